"""Test examples through the LLM to predictions.parquet and metrics.json, for each task.

Where titles are written, decoding.json says by which settings.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from goracs.data.candidates import to_rank
from goracs.data.popularity import popularity, read_pool
from goracs.data.prepare import read_catalogue, read_examples, read_seen
from goracs.evaluation.ctr import ctr_metrics
from goracs.evaluation.ranking import ranked_figures
from goracs.llm.answers import answer
from goracs.llm.ranking import rank
from goracs.llm.recommender import Recommender
from goracs.llm.settings import Evaluate
from goracs.types import Example, FloatArray


def evaluate_ctr(llm: Recommender, model: Any, prepared: Path, settings: Evaluate, folder: Path) -> None:
    """Ask Yes or No for every test example."""
    test = read_examples(prepared, settings.part)
    job = llm.job("evaluate", f"split.{settings.part} or dataset.history")
    write_ctr(test, answer(model, llm.pair, llm.asked(test), job), settings, folder)


def write_ctr(test: list[Example], margins: FloatArray, settings: Evaluate, folder: Path) -> None:
    """Write the answers to some examples, given as margins [t], and their figures."""
    labels = np.array([example.label for example in test], dtype=np.int64)
    users = [example.user for example in test]
    metrics = ctr_metrics(
        margins, labels, users, scores_are="logit_margin", draws=settings.draws, seed=settings.seed
    )
    _write(folder, test, {"label": labels, "margin": margins}, metrics)


def evaluate_seqrec(llm: Recommender, model: Any, prepared: Path, settings: Evaluate, folder: Path) -> None:
    """Rank the target of every test example among sampled items.

    Examples of users who have touched nearly every item are left out, and counted.
    """
    catalogue, everyone = read_catalogue(prepared), read_examples(prepared, settings.part)
    test, items = to_rank(
        settings.candidates,
        everyone,
        read_seen(prepared),
        list(catalogue),
        settings.negatives,
        settings.seed,
    )
    llm.prompts["left_out"] = len(everyone) - len(test)
    titles = [[catalogue[item] for item in row] for row in items]
    found = rank(llm, model, test, titles, set(catalogue.values()), settings)
    figures = ranked_figures(
        found.distances,
        items,
        [example.user for example in test],
        popularity(read_pool(prepared)),
        catalogue,
        draws=settings.draws,
        seed=settings.seed,
    )
    said = {} if found.written is None else {"written": found.written}
    _write(folder, test, {**said, "rank": figures.ranks, "first": figures.first}, figures.metrics)
    if found.decoding is not None:
        (folder / "decoding.json").write_text(json.dumps(found.decoding, indent=1))


def _write(folder: Path, test: list[Example], columns: dict[str, Any], metrics: dict[str, Any]) -> None:
    users, items = [example.user for example in test], [example.item for example in test]
    pl.DataFrame({"user": users, "item": items, **columns}).write_parquet(folder / "predictions.parquet")
    (folder / "metrics.json").write_text(json.dumps(metrics, indent=1, allow_nan=False))
