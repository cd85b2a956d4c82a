"""What a pass over a pool still says at later prices: most rows need not be looked at again.

Idea   rho_i is a mean over what a row ships, of costs less prices (`goracs.ot.cheapest`): at other prices it
       is smaller by no more than the largest rise of a price. As an ascent settles, prices hardly rise.
Exact  what is remembered only saves time: where it says nothing, every row is looked at.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from goracs.ot.cheapest import Shape
from goracs.types import FloatArray

SLACK = 1e-12  # of the terms of a figure: far above its rounding, and hardly a row more to measure


@dataclass(frozen=True, eq=False)
class Pass:
    """Lower bounds of rho.

    Args:
        spread: how a row ships.
        prices: [m].
        bounds: [N] lower bounds at these prices.
    """

    spread: Shape
    prices: FloatArray
    bounds: FloatArray


class Past:
    """The last pass, if there was one."""

    def __init__(self) -> None:
        self.last: Pass | None = None

    def at(self, prices: FloatArray, spread: Shape) -> FloatArray | None:
        """[N] lower bounds of rho at prices [m], by what is remembered; None where that says nothing."""
        if self.last is None or self.last.spread != spread:
            return None
        rise = float((prices - self.last.prices).max())
        size = abs(rise) + float(np.abs(prices).max() + np.abs(self.last.prices).max())
        found: FloatArray = self.last.bounds - (rise + SLACK * size)
        found -= SLACK * np.abs(self.last.bounds)
        return found

    def keep(self, prices: FloatArray, spread: Shape, bounds: FloatArray) -> None:
        """Remember bounds [N], in the place of those before."""
        self.last = Pass(spread, prices.copy(), bounds)
