"""MMD: rows that a kernel can least tell from validation, by kernel herding.

Problem    min over S of MMD(S, V)^2 = mean k(s, s') - 2 mean k(s, v) + mean k(v, v), rows and validation with
           equal weights, by greedy picks: the t-th is the row left that lowers it most,
               argmin_i [k(i, i) + 2 sum_{s in S} k(i, s)] / t - 2 mean_v k(i, v).
Kernel     gaussian: exp(-d^2 / (2 bandwidth^2)). linear: the inner product; the MMD is then the distance of
           the two means (`goracs.search.toward_mean`).
Cost       O(N m d) once, O(N d) for each pick; the sums over S are kept up to date.
Source     Gretton et al. (JMLR 2012); Chen, Welling and Smola (UAI 2010), without replacement.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

import numpy as np

from goracs.ot import distance
from goracs.ot.distance import distances
from goracs.ot.part import whole
from goracs.search.canonical import canonical_order
from goracs.search.toward_mean import lowest, toward_mean
from goracs.types import ByClass, Coreset, FloatArray, IndexArray, InvalidInput, SelectionProblem

Kernel = Literal["gaussian", "linear"]
MOST = 2**24  # distances of which a median is taken


@dataclass(frozen=True)
class Mmd:
    """The rows that kernel herding picks; ties go by the canonical order. Deterministic.

    Args:
        kernel: gaussian or linear.
        bandwidth: of the gaussian kernel, in feature units, > 0; or median: of the distances between pool and
            validation rows, every so many pool rows where that would be more than 2^24 distances.
        by_class: herded in each class.
    """

    kernel: Kernel
    bandwidth: float | Literal["median"]
    by_class: ByClass

    needs: ClassVar[frozenset[str]] = frozenset({"features"})
    seeded: ClassVar[bool] = False

    def select(self, problem: SelectionProblem, budget: int, rng: np.random.Generator) -> Coreset:  # noqa: ARG002
        """See `goracs.types.Selector`; the report has the `mmd` and the `bandwidth` (None if linear).

        Raises:
            InvalidInput: another kernel, a bandwidth that is no number > 0, features without columns or so
                large that their distances overflow.
        """
        order = canonical_order(problem)
        pool = problem.features[order].astype(np.float64)
        target = problem.target_features.astype(np.float64)
        width, warnings = self._width(pool, target)
        if width is None:
            picked = toward_mean(whole(pool), target.mean(axis=0), budget)
            mmd = float(np.linalg.norm(pool[picked].mean(axis=0) - target.mean(axis=0)))
        else:
            picked, mmd = herd(pool, target, width, budget)
        report = {"mmd": mmd, "bandwidth": width, "warnings": warnings}
        return Coreset(order[picked], budget, problem.pool_size, report)

    def _width(self, pool: FloatArray, target: FloatArray) -> tuple[float | None, list[str]]:
        """The bandwidth, None of a linear kernel, and what to tell about it."""
        if self.kernel not in get_args(Kernel):
            raise InvalidInput(
                f"selector mmd: kernel must be one of {', '.join(get_args(Kernel))}, got {self.kernel!r}."
            )
        if self.kernel == "linear":
            return None, []
        return width_of(self.bandwidth, pool, target, "selector mmd")


def width_of(bandwidth: object, pool: FloatArray, target: FloatArray, reader: str) -> tuple[float, list[str]]:
    """A gaussian kernel's bandwidth, a number > 0 or median, as a number; and what to tell about it."""
    if bandwidth == "median":
        return median_width(pool, target)
    if isinstance(bandwidth, bool) or not isinstance(bandwidth, (int, float)) or not 0 < bandwidth < np.inf:
        raise InvalidInput(f"{reader}: bandwidth must be a number > 0 or median, got {bandwidth!r}.")
    return float(bandwidth), []


def herd(pool: FloatArray, target: FloatArray, width: float, budget: int) -> tuple[IndexArray, float]:
    """Rows picked by the rule above with the gaussian kernel, and the MMD that they end with.

    Args:
        pool: [N, d] float64.
        target: [m, d] float64.
        width: the kernel's bandwidth, > 0.
        budget: n, 1..N.

    Returns:
        [n] int64 distinct rows in the order of picking; a number >= 0.
    """
    picked, free = np.empty(budget, np.int64), np.ones(len(pool), np.bool_)
    near_target, near_picked, within = mean_kernel(pool, target, width), np.zeros(len(pool)), 0.0
    for place in range(budget):
        row = lowest(near_picked / (place + 1) - near_target, free)  # k(i, i) = 1 for all
        within += 1 + 2 * near_picked[row]
        near_picked += kernel(pool, pool[row : row + 1], width)[:, 0]
        picked[place], free[row] = row, False
    squared = within / budget**2 - 2 * near_target[picked].mean() + mean_kernel(target, target, width).mean()
    return picked, float(np.sqrt(max(squared, 0.0)))


def kernel(rows: FloatArray, others: FloatArray, width: float) -> FloatArray:
    """[B, m] values of the gaussian kernel."""
    with np.errstate(over="ignore", under="ignore"):  # far apart: 0
        found: FloatArray = np.exp(-0.5 * (distances(rows, others) / width) ** 2)
    return found


def mean_kernel(rows: FloatArray, others: FloatArray, width: float) -> FloatArray:
    """[N] the mean of each row's kernel with all others [m], a block of rows at a time."""
    size = max(1, distance.BLOCK_BYTES // (8 * len(others)))
    blocks = [rows[start : start + size] for start in range(0, len(rows), size)]
    return np.concatenate([kernel(block, others, width).mean(axis=1) for block in blocks])


def median_width(pool: FloatArray, target: FloatArray) -> tuple[float, list[str]]:
    """The median distance between pool and target; a median of 0 counts as 1, and a warning says so."""
    step = -(-len(pool) * len(target) // MOST)
    width = float(np.median(distances(pool[::step], target)))
    if width == 0:
        return 1.0, ["most pool rows lie on a validation row: the median distance is 0 and counts as 1."]
    return width, []
