"""Whether a stated figure is the one that was found anew."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

STATED, DIFFERS, OPEN = "as stated", "DIFFERS", "open"
TOLERANCE = 1e-9  # relative, of what is summed in another order on another machine


class Check(NamedTuple):
    """One figure: its name, the file that states it, both values, the verdict, whether it is a mere copy."""

    name: str
    file: str
    stated: Any
    found: Any
    verdict: str
    copied: bool = False


def checked(name: str, stated: Any, found: Any, file: str = "result.json", scale: float = 0.0) -> Check:
    """The check of one value; numbers may differ by `TOLERANCE` of themselves, or of a `scale`."""
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in (stated, found))
    if numbers:
        same = math.isclose(stated, found, rel_tol=TOLERANCE, abs_tol=TOLERANCE * scale)
    else:
        same = stated == found
    return Check(name, file, stated, found, STATED if same else DIFFERS)


def compared(name: str, stated: Any, found: Any, exact: bool = False) -> Iterator[Check]:
    """A check for each leaf: of copies all that either side has, to the last digit, else what both have."""
    if isinstance(found, Mapping) and isinstance(stated, Mapping):
        shared = [key for key in found if exact or key in stated]
        for key in [*shared, *(key for key in stated if exact and key not in found)]:
            yield from compared(f"{name}.{key}", stated.get(key), found.get(key), exact)
    elif exact:
        same = json.dumps(stated, sort_keys=True) == json.dumps(found, sort_keys=True)
        yield Check(name, "result.json", stated, found, STATED if same else DIFFERS)
    else:
        yield checked(name, stated, found)
