"""The three methods of ranking SeqRec candidates, on titles: what they share, where they must agree."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from goracs.data.prepare import prepare, read_catalogue, read_examples, write
from goracs.data.tokens import title_ids, tokenized
from goracs.evaluation.ranking import UNRANKED, foremost
from goracs.llm.ranking import rank
from goracs.llm.recommender import Recommender
from goracs.llm.settings import Evaluate
from tests.conftest import RUNTIME, TINY
from tests.unit.test_prepare import MANY, NAMES, configured, made, paper

METHODS = ("ground", "constrained", "likelihood")
TITLES = ["Heat", "Heat 2", "Heat", 'The "Heat"', "Éa, or: a title with more words in it (1995)"]  # one twice


@pytest.fixture(scope="module")
def llm(tiny_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Recommender:
    """A SeqRec recommender of a small catalogue."""
    folder, task = tmp_path_factory.mktemp("prepared"), configured("task/seqrec")
    write(prepare(made(MANY, NAMES, history=3), paper(valid=20, test=20), task), folder)
    return Recommender(tiny_weights, TINY, task, RUNTIME, folder)


def settings(method: Any, **changes: Any) -> Evaluate:
    given: dict[str, Any] = {"likelihood": "mean", "beams": 10, "max_new_tokens": 8, **changes}
    return Evaluate("test", 0, "own", 9, method, draws=50, **given)


def ranked(llm: Recommender, method: str, titles: list[str], count: int = 4, **changes: Any) -> Any:
    assert llm.prepared is not None
    asked, known = read_examples(llm.prepared, "test")[:count], set(read_catalogue(llm.prepared).values())
    return rank(llm, llm.bare(), asked, [titles] * count, known, settings(method, **changes))


@pytest.mark.parametrize("method", METHODS)
def test_items_of_one_title_tie_and_every_candidate_has_a_place(llm: Recommender, method: str) -> None:
    for distances in ranked(llm, method, TITLES).distances:
        assert distances.shape == (5,)
        assert np.isfinite(distances).all()
        assert distances[0] == distances[2]
        assert len(set(distances)) == 4


@pytest.mark.parametrize("likelihood", ["mean", "sum"])
def test_with_beams_for_all_titles_constrained_writing_ranks_as_the_likelihood_does(
    llm: Recommender, likelihood: str
) -> None:
    """And what it wrote is the likeliest title, quoted as answers are."""
    written = ranked(llm, "constrained", TITLES, likelihood=likelihood)
    likely = ranked(llm, "likelihood", TITLES, likelihood=likelihood)
    assert likely.written is None
    for text, places, distances in zip(written.written, written.distances, likely.distances, strict=True):
        assert places.tolist() == np.unique(distances, return_inverse=True)[1].tolist()
        assert text == f'"{TITLES[distances.argmin()]}"'


def test_titles_in_no_beam_share_the_place_behind_all_that_are(llm: Recommender) -> None:
    titles = [f"Film {number}" for number in range(30)]
    for distances in ranked(llm, "constrained", titles, beams=10).distances:
        assert sorted(distances) == [*range(10), *[UNRANKED] * 20]
        assert len(foremost(distances, titles, 30)) == 10


def test_the_mean_and_the_sum_rank_titles_of_different_lengths_otherwise(llm: Recommender) -> None:
    mean, total = (ranked(llm, "likelihood", TITLES, likelihood=how).distances for how in ("mean", "sum"))
    assert np.argsort(mean).tolist() != np.argsort(total).tolist()


def test_a_title_is_ranked_by_the_tokens_that_it_is_trained_with(llm: Recommender) -> None:
    assert llm.prepared is not None
    examples, catalogue = read_examples(llm.prepared, "train"), read_catalogue(llm.prepared)
    titles = [catalogue[example.item] for example in examples]
    ids = title_ids(titles, llm.task.template, llm.tokenizer)
    trained = tokenized(examples, llm.task.template, llm.tokenizer)
    assert [ids[title] for title in titles] == [encoded.answer for encoded in trained]


def test_a_likelihood_is_the_models_own_of_the_answer_behind_the_prompt(llm: Recommender) -> None:
    assert llm.prepared is not None
    example, model = read_examples(llm.prepared, "test")[0], llm.bare()
    title = read_catalogue(llm.prepared)[example.item]
    (text,) = tokenized([example], llm.task.template, llm.tokenizer)
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([text.prompt + text.answer])).logits[0]
    chances = logits[len(text.prompt) - 1 : -1].double().log_softmax(1)
    expected = -chances[torch.arange(len(text.answer)), torch.tensor(text.answer)].mean()
    assert ranked(llm, "likelihood", [title], 1).distances[0] == pytest.approx([float(expected)], rel=1e-5)
