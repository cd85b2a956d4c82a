"""What a pass remembers: it spares rows at later prices, and moves nothing."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goracs.ot import lagrangian
from goracs.ot.cheapest import shape, shares
from goracs.ot.past import Past
from goracs.ot.pool import Streamed
from tests.unit.test_pool import KINDS, both


@settings(max_examples=60)
@given(kind=st.sampled_from(sorted(KINDS)), seed=st.integers(0, 10**6), budget=st.integers(1, 20))
def test_passes_that_remember_find_what_a_first_one_finds(kind: str, seed: int, budget: int) -> None:
    draw = np.random.default_rng(seed)
    dense, streamed = both(*KINDS[kind](draw), lam=0.5)
    spread, prices = shape(budget, 14), np.zeros(14)
    for step in (1.0, 0.3, 1e-3, 0.0, 1e-9, 1.0, 1e6, 1e-6):
        prices = prices + step * draw.normal(size=14)
        known = np.sort(shares(dense.costs, prices, spread))
        count = int(draw.integers(1, 91))
        limit = draw.choice([np.inf, known[count - 1], known[-1]])
        for one, other in zip(
            dense.cheapest(prices, spread, count),
            streamed.cheapest(prices, spread, count, limit),
            strict=True,
        ):
            np.testing.assert_array_equal(one, other)
        rows = streamed.likely(prices, spread, limit)
        assert set(np.flatnonzero(shares(dense.costs, prices, spread) <= limit)) <= set(rows.tolist())


@settings(max_examples=60)
@given(seed=st.integers(0, 10**6), size=st.sampled_from([0.0, 1e-9, 1.0, 1e9]), budget=st.integers(1, 20))
def test_what_is_remembered_bounds_what_a_row_ships(seed: int, size: float, budget: int) -> None:
    draw = np.random.default_rng(seed)
    costs, before, prices = draw.normal(size=(30, 14)), *(size * draw.normal(size=(2, 14)))
    past, spread = Past(), shape(budget, 14)
    past.keep(before, spread, shares(costs, before, spread))
    found = past.at(prices, spread)
    assert found is not None
    assert (found <= shares(costs, prices, spread)).all()
    one = past.at(before + 0.25, spread)  # all prices alike: nothing is lost
    assert one is not None
    np.testing.assert_allclose(one, shares(costs, before + 0.25, spread), atol=1e-9 * max(1, size))


def test_what_was_remembered_of_another_spread_says_nothing() -> None:
    past = Past()
    assert past.at(np.zeros(4), shape(2, 4)) is None
    past.keep(np.zeros(4), shape(2, 4), np.zeros(3))
    assert past.at(np.zeros(4), shape(1, 4)) is None


def test_later_passes_of_an_ascent_look_at_few_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    draw, looked, below = np.random.default_rng(0), [], Streamed.below
    pool, target = draw.normal(size=(3000, 4)), draw.normal(size=(60, 4))
    streamed = Streamed(pool, target, draw.permutation(3000), np.zeros(3000), 1.0)

    def counted(self: Streamed, prices: np.ndarray, spread: object, *rows: np.ndarray) -> np.ndarray:
        looked.append(len(rows[0]) if rows else 3000)
        return below(self, prices, spread, *rows)  # type: ignore[arg-type]

    monkeypatch.setattr(Streamed, "below", counted)
    start = lagrangian.sample(streamed, 200)
    lagrangian.ascend(streamed, 20, lagrangian.begin(np.zeros(60), start), 1.0, lambda _: True)
    assert looked.count(3000) >= 2  # the first pass, and the smallest cost
    assert min(looked) < 600
