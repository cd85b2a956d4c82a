"""`goracs methods`: a card for each method, made of its configuration and its code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from goracs.commands import methods as word
from goracs.report.methods import card, commented, names, sections

GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.mark.parametrize("name", names())
def test_every_method_tells_its_source_its_cost_and_every_field(name: str) -> None:
    found = card(name)
    assert found.about.endswith(".")
    assert {"Source", "Cost"} <= found.notes.keys()
    assert all(field["about"] for field in found.parameters.values())


@pytest.mark.parametrize("name", [name for name in names() if "Golden" in card(name).notes])
def test_golden_values_that_a_card_names_are_there_and_tested(name: str) -> None:
    tests = "".join(file.read_text() for file in GOLDEN.glob("test_*.py"))
    for file in card(name).notes["Golden"].rstrip(".").split(", "):
        assert (GOLDEN / file).exists()
        assert file.removesuffix(".npz") in tests


def test_sections_of_a_docstring_go_on_over_lines() -> None:
    told = (
        "What.",
        "",
        "Problem    min f",
        "           over S.",
        "Not here   that.",
        "",
        "Words  of it.",
        " and",
    )
    text = "\n".join(told)
    assert sections(text) == {
        "Problem": "min f over S.",
        "Not here": "that.",
        "Words": "of it. and",
    }
    assert sections("Source  in the first line is none.") == {}


def test_comments_are_those_of_the_file_and_of_each_field(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("# Rows by\n# chance.\n_target_: a.b # no field\nlam: 0.1 # weight # of it\nseed: null\n")
    assert commented(file) == ("Rows by chance.", {"lam": "weight # of it", "seed": ""})


def test_a_card_of_a_method_says_what_it_needs_and_how_it_is_called() -> None:
    found = card("kcenter")
    assert found.needs == ("features",)
    assert (found.target, found.deterministic, found.cluster) == (False, False, True)
    found_there = [
        name for name in ("goracs", "random", "el2n", "goracs_exchange", "d2") if card(name).cluster
    ]
    assert found_there == ["goracs", "random", "el2n", "goracs_exchange"]
    assert found.parameters["start"] == {"value": None, "about": "the pool row to begin with; null draws one"}


def test_the_word_lists_shows_and_prints_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert word.run([]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["method", *names()]
    assert word.run(["goracs"]) == 0
    assert "selector.lam=0.1" in capsys.readouterr().out
    assert word.run(["output=json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [one["name"] for one in told] == names()
    assert told[0]["needs"] == list(card(names()[0]).needs)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nope"], "there is no selector 'nope'; the selectors: "),
        (["random", "full"], "takes one NAME, or none, and output=json; got random full"),
        (["output=xml"], "takes one NAME"),
    ],
)
def test_what_it_cannot_show_is_refused(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert word.run(words) == 1
    assert message in capsys.readouterr().err
