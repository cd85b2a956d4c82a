"""The methods that read training dynamics, against hand-made ones, and what they refuse."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from goracs import select
from goracs.selection.aum import Aum
from goracs.selection.cartography import Cartography
from goracs.selection.forgetting import Forgetting, forgotten
from goracs.selection.tdds import Tdds, depths
from goracs.types import InvalidInput, SelectionProblem

ROUNDING = 1e-12  # float64 sums in another order
MARGINS = np.array([[-2, -1, -3], [1, -1, 1], [5, 6, -0.5], [4.5, 5, 4.6], [0, 0, 0], [-1, 4, 4]], float)


def problem(margins: Any = MARGINS) -> SelectionProblem:
    scores = {"right_margins": margins, "answer_losses": np.logaddexp(0, -margins)}
    return SelectionProblem(np.empty((len(margins), 0)), np.empty((2, 0)), scores=scores)


def by_hand(row: list[bool]) -> int:
    if not any(row):
        return len(row)
    return sum(before and not after for before, after in pairwise(row))


@given(
    st.integers(1, 6).flatmap(lambda c: st.lists(st.lists(st.booleans(), min_size=c, max_size=c), min_size=1))
)
def test_forgetting_counts_rights_that_turn_wrong_and_rows_that_never_were_right(
    rows: list[list[bool]],
) -> None:
    assert forgotten(np.array(rows)).tolist() == [by_hand(row) for row in rows]


def test_forgetting_keeps_what_is_never_right_then_the_most_forgotten() -> None:
    """A margin of 0 is wrong; ties by the smallest margin at the earliest checkpoint."""
    given = SelectionProblem(np.empty((6, 0)), np.empty((2, 0)), scores={"right_margins": MARGINS})
    assert select(given, 1, "forgetting").indices.tolist() == [0]
    assert select(given, 2, "forgetting").indices.tolist() == [0, 4]
    found = select(given, 3, "forgetting")
    assert found.indices.tolist() == [0, 1, 4]
    assert found.report == {"smallest_kept": 1, "never_right": 2, "warnings": []}


@pytest.mark.parametrize(
    ("keep", "kept", "ends"),
    [("smallest", [0, 4], [-2, 0]), ("largest", [2, 3], [3.5, 4.7]), ("middle", [1, 5], [1 / 3, 7 / 3])],
)
def test_aum_keeps_ranks_of_the_mean_margin(keep: str, kept: list[int], ends: list[float]) -> None:
    found = select(problem(), 2, "aum", keep=keep)
    assert found.indices.tolist() == kept
    assert [found.report[f"{end}_kept"] for end in ("smallest", "largest")] == pytest.approx(ends)


@pytest.mark.parametrize(("region", "kept"), [("ambiguous", [2, 5]), ("hard", [0, 4]), ("easy", [2, 3])])
def test_cartography_keeps_what_lies_deepest_in_a_region(region: str, kept: list[int]) -> None:
    chances = 1 / (1 + np.exp(-MARGINS))
    found = select(problem(), 2, "cartography", region=region)
    assert found.indices.tolist() == kept
    assert found.report["confidence"] == pytest.approx(chances[kept].mean())
    assert found.report["variability"] == pytest.approx(
        np.mean([np.sqrt(np.mean((row - row.mean()) ** 2)) for row in chances[kept]])
    )


def test_tdds_weighs_later_windows_more_and_counts_no_even_move() -> None:
    still, even = np.full((1, 5, 2), 0.5), np.full((1, 5, 2), 0.5)
    even[0, :, 0] = 0.9 / 2 ** np.arange(5)  # with 1 - p left as it is, each move is p' log 2: uneven
    assert depths(still, 3, 0.9).tolist() == [0.0]
    late = np.array([[0.5, 0.5, 0.5, 0.5, 0.9], [0.5, 0.9, 0.9, 0.9, 0.9]])
    score = depths(np.stack([late, 1 - late], axis=2), 3, 0.9)
    move = 0.9 * np.log(1.8) + 0.1 * np.log(5)
    np.testing.assert_allclose(score, move / 2**0.5 * 0.9 * np.array([1, 0.01]), rtol=1e-6)  # EPS in logs
    whole = depths(np.stack([late, 1 - late], axis=2), 5, 0.9)
    np.testing.assert_allclose(whole, 0.9 * move * 0.75**0.5, rtol=1e-6)


def test_rows_that_never_move_are_told() -> None:
    flat = problem(np.ones((4, 3)))
    for name in ("forgetting", "aum", "cartography", "tdds"):
        found = select(flat, 2, name)
        assert found.indices.tolist() == [0, 1]
        assert "is equal for all rows" in found.report["warnings"][0], name


ONE = problem(MARGINS[:, :1])
TWO = problem(MARGINS[:, :2])
NONE = SelectionProblem(np.empty((3, 0)), np.empty((2, 0)), scores={"loss": np.ones(3)})
BAD: list[tuple[Any, SelectionProblem, str]] = [
    (Forgetting(by_class=False), NONE, "selector forgetting needs the score 'right_margins'"),
    (Forgetting(by_class=False), ONE, r"at 2 checkpoints at least, .* \(6, 1\): raise adapter.checkpoints"),
    (Aum("smallest", by_class=False), ONE, r"selector aum takes the score 'right_margins' at 2"),
    (Aum("most", by_class=False), TWO, "selector aum: keep must be largest, smallest or middle, got 'most'"),  # type: ignore[arg-type]
    (Cartography("ambiguous", by_class=False), NONE, "selector cartography needs the score 'answer_losses'"),
    (Cartography("sea", by_class=False), TWO, "region must be ambiguous, hard or easy, got 'sea'"),  # type: ignore[arg-type]
    (Tdds(None, 0.9, by_class=False), TWO, r"selector tdds takes the score 'answer_losses' at 3"),
    (Tdds(4, 0.9, by_class=False), problem(), "window must be null or a whole number, 3 to the 3 .* got 4"),
    (Tdds(2, 0.9, by_class=False), problem(), "got 2"),
    (Tdds(3, 0.0, by_class=False), problem(), "decay must be a number, 0 < decay <= 1, got 0.0"),
    (Tdds(3, True, by_class=False), problem(), "decay must be a number, 0 < decay <= 1, got True"),
]


@pytest.mark.parametrize(("selector", "given", "message"), BAD)
def test_what_does_not_fit_is_refused(selector: Any, given: SelectionProblem, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        selector.select(given, 2, np.random.default_rng(0))
