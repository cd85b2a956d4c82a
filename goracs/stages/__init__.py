"""The stages, one file each: what a stage is hashed by, what it reads, the files it writes.

`stage(...)` of a file describes that stage and runs nothing; the store runs it when its artifact is wanted.
A changed result means a bumped version. What needs a framework is imported inside `build`, so that
describing a stage costs nothing.

    prepare ──▶ embed ─────────┐
       │                       ├──▶ select ──▶ finetune ──▶ evaluate ──▶ result
       └──▶ adapter ──▶ score ─┘                  ▲
                └────────────────────────────────┘

With task=ctr a start that is trained is judged from states, one pass over the test set that nothing before
evaluate sees. A head (finetune=head) takes the place of finetune: fitted on score, judged from states too.
"""
