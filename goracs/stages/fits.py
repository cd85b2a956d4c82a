"""Whether the prepared examples can go the whole road with this backbone, before anything long begins."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from goracs.data.prepare import Part
from goracs.llm.settings import Evaluate
from goracs.stages.common import Llm, write_json
from goracs.store import Stage

log = logging.getLogger("goracs")


def stage(llm: Llm, parts: Sequence[Part], ranking: Evaluate | None) -> Stage:
    """fits.json: how many examples are left out of ranking (None: nothing is ranked).

    Args:
        llm: the backbone that will read the prompts.
        parts: whose prompts it will read.
        ranking: how targets will be ranked, None where they are not.
    """

    def build(folder: Path, inputs: Mapping[str, Path]) -> None:
        from goracs.data.candidates import rankable
        from goracs.data.fits import check_lengths
        from goracs.data.prepare import read_catalogue, read_examples, read_seen
        from goracs.llm.backbone import load_tokenizer

        prepared, left_out = inputs["prepare"], None
        if ranking is not None:
            asked = read_examples(prepared, ranking.part)
            given = (asked, read_seen(prepared), list(read_catalogue(prepared)))
            left_out = len(asked) - len(rankable(ranking.candidates, *given, ranking.negatives))
            if left_out:
                log.warning(
                    "warning: %d of %d %s examples are left out of ranking: their users have touched nearly "
                    "every item, fewer than evaluate.negatives=%d are left",
                    left_out, len(asked), ranking.part, ranking.negatives,
                )  # fmt: skip
        tokenizer = load_tokenizer(inputs["weights"])
        for part in parts:
            check_lengths(prepared, part, llm.task, tokenizer, llm.backbone.max_length)
        write_json(folder / "fits.json", {"left_out": left_out})

    params = {"max_length": llm.backbone.max_length, "parts": list(parts), "ranking": _hashed(ranking)}
    return Stage("fits", 1, params, llm.inputs, build)


def _hashed(ranking: Evaluate | None) -> list[str | int] | None:
    return None if ranking is None else [ranking.part, ranking.candidates, ranking.negatives]
