"""SeqRec candidates in order, by one of three methods (`evaluate.method`).

ground        the LLM writes a title; candidates are ranked by the distance of their representations to that
              of the title (`goracs.llm.writing`). Source: BIGRec (Bao et al. 2023), as GORACS uses it.
constrained   a beam search over the candidates' titles; the beams are ranked by their score, all others tie
              behind them (`goracs.llm.constrained`).
likelihood    each candidate's likelihood as an answer (`goracs.llm.likelihood`).
Law           a candidate's distance is of its title alone: items of one title tie.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

import numpy as np

from goracs.data.tokens import title_ids
from goracs.evaluation.grounding import nearest_distances
from goracs.evaluation.ranking import UNRANKED
from goracs.evaluation.written import title_in
from goracs.llm import constrained
from goracs.llm.likelihood import likelihoods
from goracs.llm.recommender import Recommender
from goracs.llm.settings import Evaluate
from goracs.llm.writing import decoding, represent, write_titles
from goracs.types import Example, FloatArray

Titles = Sequence[Sequence[str]]


@dataclass(frozen=True)
class Ranking:
    """Candidates of some prompts in order.

    `distances` are, for each prompt, [c] float64 of its candidates: smaller is better, all finite, UNRANKED
    where no beam holds one. `written` is what the LLM wrote after each prompt, `decoding` by which settings;
    None where it wrote nothing.
    """

    distances: Sequence[FloatArray]
    written: Sequence[str] | None = None
    decoding: Mapping[str, Any] | None = None


def rank(
    llm: Recommender,
    model: Any,
    examples: Sequence[Example],
    candidates: Titles,
    known: Set[str],
    settings: Evaluate,
) -> Ranking:
    """The candidates of each example by `settings.method`.

    Args:
        llm: the backbone.
        model: of it, with an adapter or without.
        examples: whose prompts are read.
        candidates: the titles [c] to rank for each of them.
        known: the titles of the catalogue.
        settings: how.
    """
    by = {"ground": _grounded, "constrained": _constrained, "likelihood": _likely}[settings.method]
    return by(llm, model, examples, candidates, known, settings)


def _grounded(
    llm: Recommender,
    model: Any,
    examples: Sequence[Example],
    candidates: Titles,
    known: Set[str],
    settings: Evaluate,
) -> Ranking:
    how = decoding(model, llm.tokenizer, settings)
    writing = llm.job("evaluate: write", f"split.{settings.part}, evaluate.beams or evaluate.max_new_tokens")
    written = write_titles(model, llm.tokenizer, llm.read(examples), how, writing)
    titles = sorted({title for row in candidates for title in row})  # items of one title are one place
    reading = llm.job("evaluate: titles", f"split.{settings.part} or evaluate.negatives")
    places = represent(model, llm.tokenizer, titles, reading)
    found = [title_in(text, known) for text in written]
    answers = represent(model, llm.tokenizer, found, llm.job("evaluate: answers", f"split.{settings.part}"))
    column = {title: place for place, title in enumerate(titles)}
    distances = [
        nearest_distances(answer[None], places[[column[title] for title in row]])[0]
        for answer, row in zip(answers, candidates, strict=True)
    ]
    return Ranking(distances, written, how)


def _constrained(
    llm: Recommender,
    model: Any,
    examples: Sequence[Example],
    candidates: Titles,
    _known: Set[str],
    settings: Evaluate,
) -> Ranking:
    ids = _answers(llm, candidates)
    longest = max(map(len, ids.values()))
    how = constrained.decoding(llm.tokenizer, settings.beams, longest, settings.likelihood == "mean")
    job = llm.job("evaluate: write", f"split.{settings.part} or evaluate.beams")
    distinct = _distinct(ids, candidates)
    found = constrained.write_candidates(model, llm.read(examples), distinct, how, job)
    distances = []
    for row, beams in zip(candidates, found, strict=True):
        place = {answer: float(number) for number, answer in enumerate(beams)}
        distances.append(np.array([place.get(ids[title], UNRANKED) for title in row], dtype=np.float64))
    written = llm.tokenizer.batch_decode([beams[0] for beams in found], skip_special_tokens=True)
    return Ranking(distances, written, how)


def _likely(
    llm: Recommender,
    model: Any,
    examples: Sequence[Example],
    candidates: Titles,
    _known: Set[str],
    settings: Evaluate,
) -> Ranking:
    ids = _answers(llm, candidates)
    job = llm.job("evaluate: likelihood", f"split.{settings.part} or evaluate.negatives")
    distinct = _distinct(ids, candidates)
    found = likelihoods(model, llm.read(examples), distinct, settings.likelihood == "mean", job)
    distances = []
    for row, answers, scores in zip(candidates, distinct, found, strict=True):
        of = dict(zip(answers, scores.tolist(), strict=True))
        distances.append(np.array([-of[ids[title]] for title in row], dtype=np.float64))
    return Ranking(distances)


def _distinct(ids: Mapping[str, tuple[int, ...]], candidates: Titles) -> list[list[tuple[int, ...]]]:
    """The answers of each row, each once: items of one title are one."""
    return [list(dict.fromkeys(ids[title] for title in row)) for row in candidates]


def _answers(llm: Recommender, candidates: Titles) -> dict[str, tuple[int, ...]]:
    """The token ids of each title as an answer."""
    titles = sorted({title for row in candidates for title in row})
    return title_ids(titles, llm.task.template, llm.tokenizer)
