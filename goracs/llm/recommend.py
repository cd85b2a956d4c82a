"""What a recommender would recommend next to somebody with a given history.

SeqRec   the whole catalogue but the history, ranked as the run's own `evaluate.method` ranks candidates.
CTR      each of its titles is asked for, all of the history liked, which is read once; the order is
         that of the Yes margins.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl

from goracs.data.prepare import read_titles
from goracs.data.tasks import Ctr, as_examples
from goracs.evaluation.ranking import foremost
from goracs.llm.answers import answer_alike
from goracs.llm.ranking import rank
from goracs.llm.recommender import Recommender
from goracs.llm.settings import Evaluate
from goracs.types import Example, FloatArray


def recommend(
    llm: Recommender, model: Any, whole: Sequence[str], longest: int, settings: Evaluate, top: int
) -> list[str]:
    """At most `top` titles of the catalogue, the best first, each once and none of the history.

    Args:
        llm: with a prepared catalogue.
        model: of it, with an adapter or without.
        whole: the history, items of the catalogue, the oldest first; at least one.
        longest: so many of its last items are shown, as in the run's prompts.
        settings: of the run; a constrained search has at least `top` beams here.
        top: >= 1.
    """
    assert llm.prepared is not None
    catalogue = read_titles(llm.prepared)
    had = catalogue.filter(pl.col("item").is_in(list(whole)))["title"]
    others = catalogue.filter(~pl.col("title").is_in(had.to_list())).unique("title", maintain_order=True)
    history = whole[-longest:]
    titles = others["title"].to_list()
    if isinstance(llm.task, Ctr):
        distances = -_margins(llm, model, _asked(llm, history, others["item"].to_list(), catalogue))
    else:
        asked = _asked(llm, history, history[-1:], catalogue)  # whichever the target is: it is not read
        settings = replace(settings, beams=max(settings.beams, top))
        (distances,) = rank(llm, model, asked, [titles], set(catalogue["title"]), settings).distances
    return [titles[column] for column in foremost(distances, titles, top)]


def _asked(
    llm: Recommender, history: Sequence[str], targets: Sequence[str], catalogue: pl.DataFrame
) -> list[Example]:
    """An example for each target behind one history."""
    count = len(targets)
    frame = pl.DataFrame(
        {
            "user": [""] * count,
            "item": list(targets),
            "time": [0] * count,
            "liked": [True] * count,
            "history": [list(history)] * count,
            "history_liked": [[True] * len(history)] * count,
        }
    )
    return as_examples(llm.task.examples(frame, catalogue))


def _margins(llm: Recommender, model: Any, examples: Sequence[Example]) -> FloatArray:
    return answer_alike(model, llm.pair, llm.asked(examples), llm.job("recommend", "")).astype(np.float64)
