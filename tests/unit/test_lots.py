"""Lots of rows against the generator's known numbers and their distribution."""

import numpy as np
import pytest

from goracs.ot import lots


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (0, [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]),
        (1234567, [6457827717110365317, 3203168211198807973, 9817491932198370423]),
    ],
)
def test_numbers_are_those_of_splitmix64(key: int, expected: list[int]) -> None:
    assert lots._mixed(key, np.arange(3)).tolist() == expected
    assert lots._mixed(key, np.array([2, 0])).tolist() == [expected[2], expected[0]]


def test_lots_are_exponential_and_never_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = lots.exponential(lots.KEYS - 1, np.arange(20_000))
    shares = np.histogram(drawn, [0, 0.1, 0.5, 1, 2, 4, np.inf])[0] / 20_000
    expected = -np.diff(np.exp(-np.array([0, 0.1, 0.5, 1, 2, 4, np.inf])))
    np.testing.assert_allclose(shares, expected, atol=0.018)  # 5 standard deviations
    for extreme in (0, 2**64 - 1):
        monkeypatch.setattr(lots, "_mixed", lambda *_, extreme=extreme: np.array([extreme], np.uint64))
        found = lots.exponential(0, np.arange(1))[0]
        assert 0 < found < np.inf
