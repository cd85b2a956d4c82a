"""The trivial rule of the CTR task: who liked much will like the next item too.

It looks at no item at all, so whatever it reaches is knowledge about users; every CTR table shows it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from goracs.types import Example


def history_share(examples: Sequence[Example]) -> npt.NDArray[np.float64]:
    """[len] float64 in [0, 1]: the share of likes in the history shown; .5 where it is empty."""
    shown = (example.history_liked for example in examples)
    return np.array([likes.count(True) / len(likes) if likes else 0.5 for likes in shown], dtype=np.float64)
