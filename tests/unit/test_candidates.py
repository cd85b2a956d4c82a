"""Negatives: what they are drawn from, what they depend on, what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from goracs.data.candidates import drawn, everything, negatives, popular, rankable, shared
from goracs.types import Example, InvalidInput

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


def example(user: str, item: str) -> Example:
    return Example(user, item, 0, None, (), (), "", "", "")


@pytest.mark.parametrize("kind", ["own", "popular", "shared", "everything"])
@pytest.mark.parametrize("count", [1, 2, 3, 9])
def test_rankable_keeps_exactly_the_rows_that_can_be_drawn(kind: Any, count: int) -> None:
    """Users with 0 to 4 of four items left, some targets untouched: drawing each row alone is the oracle."""
    catalogue = ["i0", "i1", "i2", "i3"]
    seen = {f"u{k}": [*catalogue[:k], "gone"] for k in range(5)}
    rows = [example(user, item) for user in seen for item in ("i0", "i3")]

    def can_be_drawn(row: Example) -> bool:
        try:
            found = drawn(kind, [row.user], [row.item], seen, catalogue, count, 0)
        except (InvalidInput, ValueError):
            return False
        return len(found[0]) > 0

    expected = [row for row in rows if can_be_drawn(row)]
    if not expected:
        with pytest.raises(InvalidInput, match=r"no target can be ranked: .* Lower evaluate\.negatives"):
            rankable(kind, rows, seen, catalogue, count)
    else:
        assert rankable(kind, rows, seen, catalogue, count) == expected


def test_negatives_refuses_a_user_without_items() -> None:
    with pytest.raises(InvalidInput, match="items of user 'd': it is missing"):
        draw(users=["a", "b", "d"])


def test_negatives_refuses_lengths_that_differ() -> None:
    with pytest.raises(InvalidInput, match="got 1 users, 3 targets"):
        draw(users=["a"])


def test_negatives_refuses_no_items() -> None:
    with pytest.raises(InvalidInput, match="at least 1 item per row, got 0"):
        draw(count=0)


WEIGHTS = {item: 1.0 + place for place, item in enumerate(CATALOGUE)}


def draw_by(kind: Any, catalogue: Any = CATALOGUE, **changes: Any) -> Any:
    given = {"users": ["a", "b", "c"], "targets": ["i1", "i3", "i9"], "seen": SEEN, "count": 20, "seed": 0}
    return kind(**(given | changes), **{"weights" if kind is popular else "catalogue": catalogue})


@pytest.mark.parametrize(("kind", "catalogue"), [(popular, WEIGHTS), (shared, CATALOGUE)])
def test_other_kinds_never_have_a_seen_item_the_target_or_a_repeat(kind: Any, catalogue: Any) -> None:
    rows = draw_by(kind, catalogue)
    assert rows.shape == (3, 20)
    for row, user, target in zip(rows, "abc", ["i1", "i3", "i9"], strict=True):
        assert len(set(row)) == 20
        assert set(row) <= set(CATALOGUE) - set(SEEN[user]) - {target}
    np.testing.assert_array_equal(rows, draw_by(kind, catalogue))
    assert (rows != draw_by(kind, catalogue, seed=1)).any()


def test_popular_draws_in_proportion_to_the_weights() -> None:
    """One of two items of weights 3 and 1, 4,000 times: 3,000 of the first, standard deviation 27."""
    users = [f"u{number}" for number in range(4000)]
    rows = popular(users, ["x"] * 4000, dict.fromkeys(users, ()), {"i": 3, "j": 1}, 1, 0)
    assert abs((rows == "i").sum() - 3000) < 5 * 28


def test_popular_is_unchanged_by_other_rows_and_the_order_of_the_weights() -> None:
    mixed = dict(sorted(WEIGHTS.items(), key=lambda pair: -pair[1]))
    alone = draw_by(popular, mixed, users=["b"], targets=["i3"])
    np.testing.assert_array_equal(draw_by(popular, WEIGHTS)[1:2], alone)


def test_popular_refuses_a_weight_of_nothing() -> None:
    with pytest.raises(InvalidInput, match="a weight > 0 for every item"):
        draw_by(popular, {**WEIGHTS, "i7": 0})


def test_shared_draws_the_same_places_for_every_user() -> None:
    """Users who have seen nothing share all; as in the released code, whose users share most."""
    users = ["a", "b", "c", "d"]
    rows = draw_by(shared, users=users, targets=["x"] * 4, seen=dict.fromkeys(users, ()))
    assert len({tuple(row) for row in rows}) == 1
    own = draw_by(negatives, users=users, targets=["x"] * 4, seen=dict.fromkeys(users, ()))
    assert len({tuple(row) for row in own}) == 4


def test_everything_equals_the_catalogue_without_what_was_seen_and_the_target() -> None:
    rows = everything(["a", "c"], ["i5", "i9"], SEEN, CATALOGUE)
    for row, user, target in zip(rows, "ac", ["i5", "i9"], strict=True):
        assert row.tolist() == sorted(set(CATALOGUE) - set(SEEN[user]) - {target})


@pytest.mark.parametrize(("kind", "function"), [("own", negatives), ("shared", shared)])
def test_drawn_equals_the_function_of_its_name(kind: Any, function: Any) -> None:
    given = (["a", "b"], ["i5", "i9"], SEEN, CATALOGUE, 7, 3)
    np.testing.assert_array_equal(drawn(kind, *given), function(*given))


def test_drawn_by_popularity_never_has_what_nobody_touched_while_others_are_left() -> None:
    """Chances are the users who touched an item; one of a hundred users' items is drawn far more often."""
    seen = {f"u{number}": ["hit"] if number else ["rare"] for number in range(100)} | {"me": []}
    rows = [drawn("popular", ["me"], [f"x{k}"], seen, ["hit", "rare"], 1, 0)[0][0] for k in range(50)]
    assert rows.count("hit") > 40


def test_drawn_everything_has_rows_of_any_length() -> None:
    rows = drawn("everything", ["a", "c"], ["i5", "i9"], SEEN, CATALOGUE, 3, 0)
    assert [len(row) for row in rows] == [47, 49]
