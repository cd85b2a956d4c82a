"""Items that a recommended target is ranked against: drawn from what its user never touched.

Law      the row of (user, target) is a function of (seed, user, target, that user's items, the set of the
         catalogue, count) alone: neither the other rows nor any order has a part in it.
How      a counter-based generator (Philox) per row, keyed by the first 128 bits of a sha256 of
         [seed, user, target].
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from goracs.types import InvalidInput


def negatives(
    users: Sequence[str],
    targets: Sequence[str],
    seen: Mapping[str, Collection[str]],
    catalogue: Collection[str],
    count: int,
    seed: int,
) -> npt.NDArray[np.str_]:
    """`count` items per row, distinct, uniform among those that its user never interacted with.

    Args:
        users: [len]; user of each row.
        targets: [len]; the item to be ranked, itself never drawn.
        seen: user -> every item that the user ever interacted with (more than the catalogue's may be there).
        catalogue: the items that may be drawn; repeats count once.
        count: items per row, >= 1.
        seed: of all rows, >= 0.

    Returns: [len, count] str, in the order drawn.

    Raises:
        InvalidInput: lengths that differ, a user missing in `seen`, or fewer than `count` items left.

    Cost: O(len x catalogue) time.
    """
    if len(users) != len(targets):
        raise InvalidInput(
            f"negatives needs one target per user, got {len(users)} users, {len(targets)} targets."
        )
    if count < 1:
        raise InvalidInput(f"negatives must be asked for at least 1 item per row, got {count}.")
    items = np.unique(np.asarray(list(catalogue), dtype=np.str_))
    place = {str(item): row for row, item in enumerate(items)}
    drawn = np.empty((len(users), count), dtype=items.dtype)
    for row, (user, target) in enumerate(zip(users, targets, strict=True)):
        if user not in seen:
            raise InvalidInput(f"negatives needs the items of user {user!r}: it is missing in `seen`.")
        free = _free(place, (*seen[user], target))
        if len(free) < count:
            raise InvalidInput(
                f"user {user!r} has {len(free)} items left of a catalogue of {len(items)}, fewer than the "
                f"{count} negatives that were asked for: ask for fewer."
            )
        drawn[row] = items[_generator(seed, user, target).choice(free, count, replace=False)]
    return drawn


def _free(place: Mapping[str, int], taken: Collection[str]) -> npt.NDArray[np.intp]:
    open_ = np.ones(len(place), dtype=bool)
    open_[[place[item] for item in taken if item in place]] = False
    return np.flatnonzero(open_)


def _generator(seed: int, user: str, target: str) -> np.random.Generator:
    digest = hashlib.sha256(json.dumps([seed, user, target]).encode()).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest[:16], "little")))
