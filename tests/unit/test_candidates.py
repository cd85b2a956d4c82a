"""Negatives: what they are drawn from, what they depend on, what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from goracs.data.candidates import negatives
from goracs.types import InvalidInput

CATALOGUE = [f"i{number}" for number in range(50)]
SEEN = {"a": ["i1", "i2", "gone"], "b": ["i3"], "c": []}


def draw(**changes: Any) -> Any:
    given = {"users": ["a", "b", "c"], "targets": ["i1", "i3", "i9"], "seen": SEEN, "catalogue": CATALOGUE}
    return negatives(**(given | {"count": 20, "seed": 0} | changes))


def test_negatives_equals_its_first_values() -> None:
    """A change here changes every ranking metric: it needs a new version of the stage that draws them."""
    first = [["i40", "i34", "i47", "i44"], ["i19", "i39", "i8", "i16"], ["i4", "i34", "i31", "i16"]]
    assert draw(count=4).tolist() == first


def test_negatives_never_has_a_seen_item_the_target_or_a_repeat() -> None:
    rows = draw()
    assert rows.shape == (3, 20)
    for row, user, target in zip(rows, "abc", ["i1", "i3", "i9"], strict=True):
        assert len(set(row)) == 20
        assert set(row) <= set(CATALOGUE) - set(SEEN[user]) - {target}


def test_negatives_equals_everything_that_is_left_when_all_is_asked() -> None:
    (row,) = draw(users=["c"], targets=["i9"], count=49)
    assert set(row) == set(CATALOGUE) - {"i9"}


def test_negatives_is_unchanged_by_other_rows() -> None:
    np.testing.assert_array_equal(draw()[1:2], draw(users=["b"], targets=["i3"]))


def test_negatives_is_unchanged_by_the_order_of_the_catalogue_and_repeats() -> None:
    np.testing.assert_array_equal(draw(), draw(catalogue=CATALOGUE[::-1] + CATALOGUE[:5]))


@pytest.mark.parametrize("change", [{"seed": 1}, {"targets": ["i4", "i4", "i4"]}, {"users": ["b", "c", "b"]}])
def test_negatives_of_another_key_never_agree_in_many_places(change: dict[str, Any]) -> None:
    """Chance makes about 1 place in 47 agree; one stream over a catalogue of one item less, nearly all."""
    assert (draw() == draw(**change)).mean() < 0.2


def test_negatives_refuses_too_few_items() -> None:
    with pytest.raises(
        InvalidInput, match=r"user 'a' has 48 items left of a catalogue of 50, fewer than the 49"
    ):
        draw(count=49)


def test_negatives_refuses_a_user_without_items() -> None:
    with pytest.raises(InvalidInput, match="items of user 'd': it is missing"):
        draw(users=["a", "b", "d"])


def test_negatives_refuses_lengths_that_differ() -> None:
    with pytest.raises(InvalidInput, match="got 1 users, 3 targets"):
        draw(users=["a"])


def test_negatives_refuses_no_items() -> None:
    with pytest.raises(InvalidInput, match="at least 1 item per row, got 0"):
        draw(count=0)
