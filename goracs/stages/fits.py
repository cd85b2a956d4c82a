"""Whether the prepared examples can go the whole road with this backbone, before anything long begins."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from goracs.data.prepare import Part
from goracs.data.tasks import Ctr
from goracs.llm.settings import Evaluate
from goracs.stages.common import Llm, write_json
from goracs.store import Stage


def stage(llm: Llm, parts: Sequence[Part], ranking: Evaluate | None) -> Stage:
    """fits.json: how many of how many examples are left out of ranking (None: nothing is ranked).

    Args:
        llm: the backbone that will read the prompts.
        parts: whose prompts it will read.
        ranking: how targets will be ranked, None where they are not.
    """

    def build(folder: Path, inputs: Mapping[str, Path]) -> None:
        from goracs.data.candidates import rankable
        from goracs.data.fits import check_lengths
        from goracs.data.prepare import read_catalogue, read_examples, read_seen
        from goracs.data.tokens import answer_tokens
        from goracs.llm.backbone import load_tokenizer

        prepared, left_out, asked = inputs["prepare"], None, 0
        if ranking is not None:
            examples = read_examples(prepared, ranking.part)
            given = (examples, read_seen(prepared), list(read_catalogue(prepared)))
            asked = len(examples)
            left_out = asked - len(rankable(ranking.candidates, *given, ranking.negatives))
        tokenizer = load_tokenizer(inputs["weights"], llm.backbone.trust_remote_code)
        if isinstance(task := llm.task, Ctr):
            answer_tokens(task.answer_no, task.answer_yes, task.template, tokenizer)
        for part in parts:
            check_lengths(prepared, part, llm.task, tokenizer, llm.backbone.max_length)
        write_json(folder / "fits.json", {"left_out": left_out, "asked": asked})

    params = {
        "max_length": llm.backbone.max_length,
        "trust_remote_code": llm.backbone.trust_remote_code,
        "parts": list(parts),
        "ranking": _hashed(ranking),
    }
    return Stage("fits", 2, params, llm.inputs, build)


def doubts(artifact: Path, ranking: Evaluate) -> tuple[str, ...]:
    """What the user should know of what is left out of ranking, in sentences, whoever built the artifact."""
    found = json.loads((artifact / "fits.json").read_text(encoding="utf-8"))
    if not found["left_out"]:
        return ()
    return (
        f"{found['left_out']} of {found['asked']} {ranking.part} examples are left out of ranking: their "
        f"users have touched nearly every item, fewer than evaluate.negatives={ranking.negatives} are left",
    )


def _hashed(ranking: Evaluate | None) -> list[str | int] | None:
    return None if ranking is None else [ranking.part, ranking.candidates, ranking.negatives]
