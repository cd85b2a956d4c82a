"""Which representation has the smaller validation loss? What the presets of task=ctr follow.

`python -m experiments.representation FOLDER heads seeds=0,1,2 [override ...]` judges goracs at lam 0 on each
representation (`features=embedding,hidden` names them; the first is compared with) as `selector.lam=auto`
judges a weight: validation is cut into folds by user, each is judged by heads fitted on coresets that were
chosen against the other folds. With `lora` for `heads` there are two folds, and a fine-tune on the coreset
judges. It reads the stages of experiment=study and writes FOLDER/representation-HOW.md: mean loss, and the
difference from the first with its error over users and seeds. The rule is in docs/study/protocol.md.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from experiments.text_measure import chosen, judged
from goracs import api
from goracs.config import build, composed, store_root
from goracs.evaluation.bootstrap import user_weights
from goracs.pipeline import Job, Line
from goracs.selection import auto, by_class
from goracs.stages import finetune, select
from goracs.stages.common import examples
from goracs.store import Stage, Store
from goracs.types import FloatArray, IndexArray, SelectionProblem

FEATURES = ("embedding", "hidden", "output_gradient", "sketch")
DRAWS = 500  # resamples of users


@dataclass(frozen=True)
class Given:
    """A line of stages, what its selector sees, the users of the validation rows, goracs at lam 0."""

    line: Line
    store: Store
    problem: SelectionProblem
    users: list[str]
    plain: Any

    def rows(self, seen: SelectionProblem) -> IndexArray:
        """The coreset against some validation rows."""
        return by_class.select(self.plain, seen, self.line.budget, self.line.made["seed"]).indices


def given(features: str, seed: int, words: Sequence[str]) -> Given:
    """As experiment=study makes it."""
    config = composed(["experiment=study", f"features={features}", f"seed={seed}", *words])
    made, store = build(config), Store(store_root(config))
    line = Line(Job(made, {}, "", ""), store)
    seen = line.selected.inputs.items()
    inputs = {name: store.get(stage).path for name, stage in seen if isinstance(stage, Stage)}
    problem = select.selection_problem(inputs, made["selector"].needs)
    asked = examples({"prepare": store.get(line.prepared).path}, "valid")
    plain = api.build("goracs", {"lam": 0.0, "by_class": made["selector"].by_class})
    return Given(line, store, problem, [example.user for example in asked], plain)


def by_heads(it: Given) -> FloatArray:
    """[m] the loss of every validation row, by a head on a coreset that was not chosen against its fold."""
    selector = it.line.made["selector"]

    def choose(_lam: float, seen: SelectionProblem) -> IndexArray:
        return it.rows(seen)

    losses: FloatArray = auto.fold_losses(
        it.problem, it.line.budget, choose, [0.0], selector.folds, selector.penalty
    )[0]
    return losses


def by_fine_tunes(it: Given) -> FloatArray:
    """[m] the same by a fine-tune for each of two folds."""
    assert it.problem.target_users is not None
    of, line, found = auto.cut(it.problem.target_users, 2), it.line, np.empty(it.problem.target_size)
    for fold in (0, 1):
        rows, out = it.rows(it.problem.against(np.flatnonzero(of != fold))), np.flatnonzero(of == fold)
        made = line.made["finetune"], line.made["seed"]
        tuned = finetune.stage(line.llm, line.start, chosen(rows), *made)
        found[out] = np.load(it.store.get(judged(line, tuned, out)).path / "target_loss.npy")
    return found


WAYS: dict[str, Callable[[Given], FloatArray]] = {"heads": by_heads, "lora": by_fine_tunes}


def table(way: str, features: Sequence[str], seeds: Sequence[int], words: Sequence[str]) -> str:
    """Mean losses, and differences from the first with their error, as Markdown."""
    base, found, users = features[0], dict[str, FloatArray](), list[str]()
    for name in features:
        each = [given(name, seed, words) for seed in seeds]
        found[name], users = np.stack([WAYS[way](it) for it in each]), each[0].users
        if any(it.users != users for it in each):
            raise ValueError("the seeds have other validation rows")
    weights = np.concatenate(list(user_weights(users, DRAWS, 0)))
    lines = [["representation", "validation loss", f"less {base}'s", "error"]]
    for name, rows in found.items():
        apart = rows - found[base]
        of_seeds = apart.mean(axis=1).std(ddof=1) / len(seeds) ** 0.5 if len(seeds) > 1 else np.nan
        error = np.hypot(of_seeds, (weights @ apart.mean(axis=0) / weights.sum(axis=1)).std(ddof=1))
        told = ["-", "-"] if name == base else [f"{apart.mean():+.4f}", f"{error:.4f}"]
        lines.append([name, f"{rows.mean():.4f}", *told])
    shown = [f"| {' | '.join(cells)} |" for cells in lines]
    return "\n".join([shown[0], "| --- " * 4 + "|", *shown[1:]]) + "\n"


def main(words: Sequence[str]) -> int:
    """Write and print the table; the exit code."""
    if len(words) < 3 or words[1] not in WAYS or not words[2].startswith("seeds="):
        print(__doc__, file=sys.stderr)
        return 1
    seeds = [int(seed) for seed in words[2].removeprefix("seeds=").split(",")]
    asked = [word for word in words[3:] if word.startswith("features=")]
    features = asked[-1].removeprefix("features=").split(",") if asked else FEATURES
    text = table(words[1], features, seeds, [word for word in words[3:] if word not in asked])
    (Path(words[0]) / f"representation-{words[1]}.md").write_text(text)
    print(text, end="")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
