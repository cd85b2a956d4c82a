"""Transport that validation ships in full and the pool takes unevenly, at a price.

Problem    min <C, P> + e KL(P | all alike) + k KL(P 1 | all alike) over P > 0 with P' 1 = 1/m, C [N, m].
Solution   P_ij = exp(u_j + v_i - C_ij / e), u_j such that column j ships 1/m, and v_i = -k / (k + e) log s_i
           with s_i = sum_j exp(u_j - C_ij / e), up to a constant. Row i takes s_i to the power e / (k + e).
Steps      u from v and v from u, in logarithms; each brings them nearer by the factor k / (k + e) at least.
Memory     one block of costs with its logarithms; who holds or forms the blocks is not asked.
Source     Chizat, Peyre, Schmitzer and Vialard (Mathematics of Computation, 2018).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from goracs.types import FloatArray

MOST = 1000  # steps
SETTLED = 1e-12  # of the largest u, or absolute where that is below 1


def shares(
    blocks: Callable[[], Iterable[FloatArray]], width: int, entropy: float, marginal: float
) -> tuple[FloatArray, int, bool]:
    """What the rows of the pool take, all together 1.

    Args:
        blocks: gives the costs, float64 [B, m] each, in the order of the pool; called once a step.
        width: m.
        entropy: e > 0.
        marginal: k >= 0.

    Returns:
        [N] logarithms of the shares; how many steps were made; whether they settled.
    """
    power, u = marginal / (marginal + entropy), np.zeros(width)
    steps, settled = 0, False
    while steps < MOST and not settled:
        sums, columns = [], np.full(width, -np.inf)
        for costs in blocks():
            near = costs / -entropy
            sums.append(_log_sum(near + u, 1))
            columns = np.logaddexp(columns, _log_sum(near - power * sums[-1][:, None], 0))
        settled = bool(np.abs(columns + u).max() <= SETTLED * max(1.0, np.abs(columns).max()))
        steps, u = steps + 1, -columns
    taken = (1 - power) * np.concatenate(sums)
    return taken - _log_sum(taken, 0), steps, settled


def _log_sum(table: FloatArray, axis: int) -> FloatArray:
    """The logarithm of the sum of exponentials along an axis."""
    top = table.max(axis=axis, keepdims=True)
    found: FloatArray = np.log(np.exp(table - top).sum(axis=axis)) + top.squeeze(axis)
    return found
