"""What would end a run late is seen in the prepared set: the same prompts are refused, and no others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from goracs.data import fits
from goracs.data.fits import check_lengths
from goracs.data.prepare import prepare, read_examples, read_titles, write
from goracs.data.tokens import encode, refuse_long, tokenized
from goracs.llm.backbone import load_tokenizer
from goracs.types import Example, GoracsError
from tests.unit.test_prepare import MANY, NAMES, configured, made, paper

LONG = "xq9Z" * 75


@pytest.fixture(scope="module")
def tokenizer(tiny_weights: Path) -> Any:
    return load_tokenizer(tiny_weights)


@pytest.fixture(scope="module", params=["ctr", "seqrec"])
def prepared(request: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """A set whose item i3 has a title of 300 characters, and its task."""
    folder, task = tmp_path_factory.mktemp("prepared") / "a[1]*?", configured(f"task/{request.param}")
    titles = {**NAMES, "i3": LONG}
    write(prepare(made(MANY, titles, history=3), paper(valid=20, test=20), task), folder)
    return folder, task


@given(length=st.integers(40, 900))
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_check_refuses_what_reading_would_refuse(
    prepared: tuple[Path, Any], tokenizer: Any, length: int
) -> None:
    folder, task = prepared

    def refuses(check: Any) -> bool:
        try:
            check()
        except GoracsError:
            return True
        return False

    examples = read_examples(folder, "train")
    late = refuses(lambda: encode(examples, task, read_titles(folder), tokenizer, length))
    assert refuses(lambda: check_lengths(folder, "train", task, tokenizer, length)) == late


def test_the_title_that_is_too_long_is_named_with_the_rule(
    prepared: tuple[Path, Any], tokenizer: Any
) -> None:
    folder, task = prepared
    with pytest.raises(GoracsError, match=r"prompts are longer than 150 tokens") as refusal:
        check_lengths(folder, "train", task, tokenizer, 150)
    assert "item 'i3', whose title has 300 characters" in str(refusal.value)
    assert "dataset.title_max" in str(refusal.value)


def test_prompts_that_are_short_in_bytes_are_never_tokenised(
    prepared: tuple[Path, Any], tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, task = prepared
    monkeypatch.setattr(fits, "tokenized", None)
    check_lengths(folder, "train", task, tokenizer, 2000)


@pytest.mark.parametrize(
    ("field", "value"),
    [("system", LONG), ("turns", (("Hello", LONG),)), ("instruction", LONG), ("input", LONG)],
)
def test_of_a_ready_prompt_that_is_too_long_its_longest_part_is_named(
    tokenizer: Any, field: str, value: Any
) -> None:
    """Its dialogue is never cut, so nothing is said of a history that could be."""
    plain = Example("u", "", 0, 1, (), (), "Will they?", "no, short", "Yes")
    one = replace(plain, **{field: value})
    encoded = tokenized([one], configured("task/ctr").template, tokenizer)
    with pytest.raises(GoracsError) as refusal:
        refuse_long([one], encoded, pl.DataFrame(schema={"item": pl.String, "title": pl.String}), 99)
    named = {"turns": "history"}.get(field, field)
    assert f"its {named} has " in str(refusal.value)
    assert "no history at all" not in str(refusal.value)
