"""Examples and prompts word for word, the words of another domain, and the history-share rule."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hydra.utils import instantiate
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from goracs.data.prepare import judged
from goracs.data.prompts import embedding_text, prompt, without_oldest
from goracs.data.rule import history_share
from goracs.data.tasks import Ctr, SeqRec, as_examples
from goracs.types import Example, GoracsError, InvalidInput

CONF = Path(__file__).parents[2] / "conf" / "task"
NAMES = {"1": "Emma (1996)", "2": 'The "Up" Film', "3": "{items} {0}", "4": "Up (2009)"}
TITLES = pl.DataFrame({"item": list(NAMES), "title": list(NAMES.values())})


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


def worded(task: Ctr | SeqRec, frame: pl.DataFrame) -> list[Example]:
    return as_examples(task.examples(judged(frame, task.like_threshold), TITLES))


def test_ctr_equals_the_wording_filled_by_hand() -> None:
    (example,) = worded(ctr(), sample())
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
    (example,) = worded(ctr(), sample(rating))
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
    (example,) = worded(ctr(), sample(history=history, ratings=ratings))
    assert example.input.split("\n")[:2] == lines


def test_seqrec_equals_the_wording_filled_by_hand() -> None:
    (example,) = worded(seqrec(), sample())
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
    (example,) = worded(seqrec(), sample(history=(), ratings=()))
    assert example.input == "none"


def test_tasks_keep_no_movie_once_the_words_are_those_of_games() -> None:
    words = {"item_word": "game", "items_word": "games"}
    for task in (ctr(**words), seqrec(**words, verb="played")):
        (example,) = worded(task, sample())
        assert not re.search("movie|watch", prompt(example, task.template, None) + example.output)


def test_ctr_answers_equal_the_configured_words() -> None:
    (example,) = worded(ctr(answer_yes="Ja", answer_no="Nein"), sample())
    assert example.output == "Ja"
    assert example.instruction.endswith("Answer Ja or Nein.")


@pytest.mark.parametrize("wording", ["{film}", "{}", "{item"])
def test_tasks_refuse_an_unknown_placeholder(wording: str) -> None:
    with pytest.raises(
        InvalidInput, match=r"task\.input holds a placeholder .*it may use \{item\} \{items\}"
    ):
        worded(ctr(input=wording), sample())
    with pytest.raises(InvalidInput, match=r"task\.instruction holds a placeholder .*\{verb\}"):
        worded(seqrec(instruction=wording), sample())


def test_prompt_equals_the_template_filled_by_hand() -> None:
    task = ctr()
    (example,) = worded(task, sample())
    assert prompt(example, task.template, None) == (
        f"### Instruction:\n{example.instruction}\n\n### Input:\n{example.input}\n\n### Response:\n"
    )


@pytest.mark.parametrize(
    ("template", "match"),
    [
        ("{instruction}", "must hold {instruction} and {input}, or be the word chat"),
        ("{input}", "must hold {instruction} and {input}, or be the word chat"),
        ("{instruction}{input}{output}", "something else in braces"),
        ("{instruction}{input}{", "something else in braces"),
    ],
)
def test_prompt_refuses_a_template_with_other_parts(template: str, match: str) -> None:
    (example,) = worded(ctr(), sample())
    with pytest.raises(InvalidInput, match=match):
        prompt(example, template, None)


def test_prompt_refuses_the_chat_of_a_tokenizer_without_one() -> None:
    (example,) = worded(ctr(), sample())
    with pytest.raises(GoracsError, match=r"task\.template=chat needs a backbone with a chat template"):
        prompt(example, "chat", object())


TITLE = st.text(st.characters(codec="utf-8"), min_size=1)
PLACES = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from([1.0, 3.0, 3.5, 5.0])), max_size=4)


@given(
    st.lists(st.tuples(PLACES, st.sampled_from("abc"), st.sampled_from([2.0, 4.0])), min_size=1),
    st.tuples(TITLE, TITLE, TITLE),
)
def test_wording_by_columns_equals_wording_row_by_row(rows: list[Any], names: tuple[str, str, str]) -> None:
    """Whatever the titles hold; the wording written out in plain Python."""
    titles = dict(zip("abc", names, strict=True))
    frame = pl.DataFrame(
        {
            "user": "u",
            "item": [target for _, target, _ in rows],
            "rating": [rating for *_, rating in rows],
            "time": range(len(rows)),
            "history": [[item for item, _ in shown] for shown, *_ in rows],
            "history_rating": [[rating for _, rating in shown] for shown, *_ in rows],
        },
        schema_overrides={"history": pl.List(pl.String), "history_rating": pl.List(pl.Float64)},
    )
    table = pl.DataFrame({"item": list(titles), "title": list(titles.values())})
    for task in (ctr(), seqrec()):
        made = as_examples(task.examples(judged(frame, 3), table))
        for example, (shown, target, rating) in zip(made, rows, strict=True):
            quoted = [(f'"{titles[item]}"', score > 3) for item, score in shown]
            liked = ", ".join(title for title, like in quoted if like) or "none"
            disliked = ", ".join(title for title, like in quoted if not like) or "none"
            both = ", ".join(title for title, _ in quoted) or "none"
            asked = f'Liked: {liked}\nDisliked: {disliked}\nNext movie: "{titles[target]}"'
            of_ctr = (asked, "Yes" if rating > 3 else "No", int(rating > 3))
            expected = of_ctr if task.name == "ctr" else (both, f'"{titles[target]}"', None)
            assert (example.input, example.output, example.label) == expected
            assert example.history == tuple(item for item, _ in shown)
            assert example.history_liked == tuple(like for _, like in quoted)


@pytest.mark.parametrize("task", [ctr(), seqrec()], ids=lambda task: task.name)
def test_without_oldest_equals_a_sample_that_never_had_it(task: Ctr | SeqRec) -> None:
    examples = worded(task, pl.concat([sample(), sample(2.0, ("3",), (4.0,))]))
    never = worded(task, pl.concat([sample(4.0, ("2", "3"), (3.0, 3.5)), sample(2.0, (), ())]))
    assert without_oldest(examples, task, TITLES) == never


def test_embedding_text_never_has_the_answer_of_ctr() -> None:
    (example,) = worded(ctr(), sample())
    assert embedding_text(example, ctr().embed_output) == f"{example.instruction}\n{example.input}"


def test_embedding_text_keeps_the_answer_of_seqrec() -> None:
    (example,) = worded(seqrec(), sample())
    expected = f"{example.instruction}\n{example.input}\n{example.output}"
    assert embedding_text(example, seqrec().embed_output) == expected


def test_tasks_equal_the_settings_of_the_paper() -> None:
    one, other = seqrec(), ctr()
    assert (one.published_lam, one.max_exchanges, one.candidates, one.by_class, one.embed_output) == (
        0.1,
        100,
        30,
        False,
        True,
    )
    assert (other.published_lam, other.max_exchanges, other.candidates, other.by_class) == (0.5, 20, 3, True)
    assert (one.lam, other.lam) == (0.1, "auto")  # ours: not .5 of divided distances, which nobody published


def test_history_share_equals_the_share_of_likes() -> None:
    frame = pl.concat(
        [sample(ratings=(4.0, 3.0, 3.5)), sample(history=(), ratings=()), sample(ratings=(1.0, 2.0, 3.0))]
    )
    shares = history_share(worded(ctr(), frame))
    np.testing.assert_array_equal(shares, [2 / 3, 0.5, 0.0])
    assert shares.dtype == np.float64


def test_history_share_of_no_examples_equals_an_empty_vector() -> None:
    assert history_share([]).shape == (0,)
