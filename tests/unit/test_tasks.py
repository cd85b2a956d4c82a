"""Examples and prompts word for word, the words of another domain, and the history-share rule."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hydra.utils import instantiate
from omegaconf import OmegaConf

from goracs.data.prompts import embedding_text, prompt, text
from goracs.data.rule import history_share
from goracs.data.tasks import Ctr, SeqRec
from goracs.types import Example, InvalidInput

CONF = Path(__file__).parents[2] / "conf" / "task"
TITLES = {"1": "Emma (1996)", "2": 'The "Up" Film', "3": "{items} {0}", "4": "Up (2009)"}


def ctr(**changes: Any) -> Ctr:
    made = instantiate(OmegaConf.merge(OmegaConf.load(CONF / "ctr.yaml"), changes))
    assert isinstance(made, Ctr)
    return made


def seqrec(**changes: Any) -> SeqRec:
    made = instantiate(OmegaConf.merge(OmegaConf.load(CONF / "seqrec.yaml"), changes))
    assert isinstance(made, SeqRec)
    return made


def sample(
    rating: float = 4.0, history: tuple[str, ...] = ("1", "2", "3"), ratings: Any = (4.0, 3.0, 3.5)
) -> pl.DataFrame:
    schema = {
        "user": pl.String(),
        "item": pl.String(),
        "rating": pl.Float64(),
        "time": pl.Int64(),
        "history": pl.List(pl.String()),
        "history_rating": pl.List(pl.Float64()),
    }
    return pl.DataFrame([("u", "4", rating, 9, history, ratings)], schema=schema, orient="row")


def test_ctr_equals_the_wording_filled_by_hand() -> None:
    (example,) = ctr().examples(sample(), TITLES)
    assert example == Example(
        user="u",
        item="4",
        time=9,
        label=1,
        history=("1", "2", "3"),
        history_liked=(True, False, True),
        instruction=(
            "From the movies a user liked and disliked: will they like the next one? Answer Yes or No."
        ),
        input='Liked: "Emma (1996)", "{items} {0}"\nDisliked: "The "Up" Film"\nNext movie: "Up (2009)"',
        output="Yes",
    )


@pytest.mark.parametrize(("rating", "label", "output"), [(3.0, 0, "No"), (3.5, 1, "Yes"), (0.5, 0, "No")])
def test_ctr_label_equals_rating_above_three(rating: float, label: int, output: str) -> None:
    (example,) = ctr().examples(sample(rating), TITLES)
    assert (example.label, example.output) == (label, output)


@pytest.mark.parametrize(
    ("history", "ratings", "lines"),
    [
        ((), (), ["Liked: none", "Disliked: none"]),
        (("1",), (5.0,), ['Liked: "Emma (1996)"', "Disliked: none"]),
        (("1",), (1.0,), ["Liked: none", 'Disliked: "Emma (1996)"']),
    ],
)
def test_ctr_keeps_a_word_for_an_empty_list(history: Any, ratings: Any, lines: list[str]) -> None:
    (example,) = ctr().examples(sample(history=history, ratings=ratings), TITLES)
    assert example.input.split("\n")[:2] == lines


def test_seqrec_equals_the_wording_filled_by_hand() -> None:
    (example,) = seqrec().examples(sample(), TITLES)
    assert example == Example(
        user="u",
        item="4",
        time=9,
        label=None,
        history=("1", "2", "3"),
        history_liked=(True, False, True),
        instruction="Here are movies a user watched, oldest first. Name the next movie.",
        input='"Emma (1996)", "The "Up" Film", "{items} {0}"',
        output='"Up (2009)"',
    )


def test_seqrec_keeps_a_word_for_an_empty_history() -> None:
    (example,) = seqrec().examples(sample(history=(), ratings=()), TITLES)
    assert example.input == "none"


def test_tasks_keep_no_movie_once_the_words_are_those_of_games() -> None:
    words = {"item_word": "game", "items_word": "games"}
    for task in (ctr(**words), seqrec(**words, verb="played")):
        (example,) = task.examples(sample(), TITLES)
        assert not re.search("movie|watch", text(example, task.template))


def test_ctr_answers_equal_the_configured_words() -> None:
    (example,) = ctr(answer_yes="Ja", answer_no="Nein").examples(sample(), TITLES)
    assert example.output == "Ja"
    assert example.instruction.endswith("Answer Ja or Nein.")


@pytest.mark.parametrize("wording", ["{film}", "{}", "{item"])
def test_tasks_refuse_an_unknown_placeholder(wording: str) -> None:
    with pytest.raises(
        InvalidInput, match=r"task\.input holds a placeholder .*it may use \{item\} \{items\}"
    ):
        ctr(input=wording).examples(sample(), TITLES)
    with pytest.raises(InvalidInput, match=r"task\.instruction holds a placeholder .*\{verb\}"):
        seqrec(instruction=wording).examples(sample(), TITLES)


def test_prompt_equals_the_template_filled_by_hand() -> None:
    task = ctr()
    (example,) = task.examples(sample(), TITLES)
    assert prompt(example, task.template) == (
        f"### Instruction:\n{example.instruction}\n\n### Input:\n{example.input}\n\n### Response:\n"
    )


@pytest.mark.parametrize("task", [ctr(), seqrec()], ids=lambda task: task.name)
def test_text_keeps_the_prompt_as_its_beginning(task: Ctr | SeqRec) -> None:
    (example,) = task.examples(sample(), TITLES)
    assert text(example, task.template) == prompt(example, task.template) + example.output


@pytest.mark.parametrize(
    ("template", "match"),
    [
        ("{instruction}", "must hold {instruction} and {input}"),
        ("{input}", "must hold {instruction} and {input}"),
        ("{instruction}{input}{output}", "something else in braces"),
        ("{instruction}{input}{", "something else in braces"),
    ],
)
def test_prompt_refuses_a_template_with_other_parts(template: str, match: str) -> None:
    (example,) = ctr().examples(sample(), TITLES)
    with pytest.raises(InvalidInput, match=match):
        prompt(example, template)


def test_embedding_text_never_has_the_answer_of_ctr() -> None:
    (example,) = ctr().examples(sample(), TITLES)
    assert embedding_text(example, ctr().embed_output) == f"{example.instruction}\n{example.input}"


def test_embedding_text_keeps_the_answer_of_seqrec() -> None:
    (example,) = seqrec().examples(sample(), TITLES)
    expected = f"{example.instruction}\n{example.input}\n{example.output}"
    assert embedding_text(example, seqrec().embed_output) == expected


def test_tasks_equal_the_settings_of_the_paper() -> None:
    one, other = seqrec(), ctr()
    assert (one.lam, one.max_exchanges, one.candidates, one.by_class, one.embed_output) == (
        0.1,
        100,
        30,
        False,
        True,
    )
    assert (other.lam, other.max_exchanges, other.candidates, other.by_class) == (0.5, 20, 3, True)


def test_history_share_equals_the_share_of_likes() -> None:
    frame = pl.concat(
        [sample(ratings=(4.0, 3.0, 3.5)), sample(history=(), ratings=()), sample(ratings=(1.0, 2.0, 3.0))]
    )
    shares = history_share(ctr().examples(frame, TITLES))
    np.testing.assert_array_equal(shares, [2 / 3, 0.5, 0.0])
    assert shares.dtype == np.float64


def test_history_share_of_no_examples_equals_an_empty_vector() -> None:
    assert history_share([]).shape == (0,)
