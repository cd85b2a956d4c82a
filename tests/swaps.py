"""Small instances and the exact transport of all their swaps, for the tests of bounds and exchanges."""

import numpy as np

from goracs.ot import exact

SHAPES = [(12, 9, 1), (12, 9, 2), (9, 6, 3), (9, 7, 3), (8, 3, 5), (8, 1, 4), (7, 5, 7), (9, 6, 8)]  # N, m, n


def instance(pool: int, m: int, n: int, seed: int, ties: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Costs [N, m] and n distinct rows."""
    rng = np.random.default_rng(seed)
    costs = rng.integers(0, 4, (pool, m)).astype(float) if ties else rng.random((pool, m)) - 0.3
    return costs, rng.choice(pool, n, replace=False)


def swapped(rows: np.ndarray, p: int, q: int) -> np.ndarray:
    """The rows with that in place p gone and q last."""
    return np.array([*rows[:p], *rows[p + 1 :], q])


def every_swap(costs: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """[n, N] exact transport after each swap; infinite where q is in the coreset."""
    out = np.full((len(rows), len(costs)), np.inf)
    for p in range(len(rows)):
        for q in set(range(len(costs))) - set(rows.tolist()):
            out[p, q] = exact.solve(costs[swapped(rows, p, q)]).value
    return out
