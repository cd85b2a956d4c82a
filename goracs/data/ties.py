"""Which of two events at one time comes first.

`hash`    by a 64-bit hash of (seed, user, item, time, rating); users, too, come in the order of a hash. So
          neither the order of the rows, nor ids, nor the platform has a part in it: sorted by item, the last
          of several events of one second, the target, would always be the item of the largest id. Events
          that are equal in all fields are interchangeable. Where the file has parts of seconds they go first.
`file`    as the rows of the file come (the paper's rule).
Hash      ids by the first 8 bytes of their blake2b, then one round of a 64-bit mixer (Steele, Lea, Flood:
          Fast splittable pseudorandom number generators, OOPSLA 2014) for each field: the same numbers with
          any version of any library. Among a million events of one time two differ with one hash in fewer
          than one case of ten million.
"""

from __future__ import annotations

import hashlib
from typing import Literal

import numpy as np
import numpy.typing as npt
import polars as pl

Ties = Literal["hash", "file"]
Words = npt.NDArray[np.uint64]
PART = "part"  # the column of `Interactions.events` that orders events within a second, where there is one
STEP, FIRST, SECOND = (np.uint64(n) for n in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))


def in_order(events: pl.DataFrame, ties: Ties, seed: int) -> pl.DataFrame:
    """Events in the order that decides ties.

    Args:
        events: as in `Interactions`.
        ties: `file`: as they are; `hash`: by user, time and event, see above.
        seed: of the hash.

    Returns: the same columns.
    """
    if ties == "file":
        return events
    of_user, of_event = _hashes(events, seed)
    within = [PART] if PART in events.columns else []
    keys = {"of_user": of_user, "of_event": of_event}
    return events.with_columns(**keys).sort("of_user", "time", *within, "of_event").drop(*keys)


def _hashes(events: pl.DataFrame, seed: int) -> tuple[pl.Series, pl.Series]:
    """[len] u64 of each event's user, and of the event."""
    rating = events["rating"].fill_null(0.0).to_numpy() + 0.0  # -0.0 becomes 0.0
    of_user = _mixed(np.full(len(events), _of_text(str(seed)), np.uint64), _of_texts(events["user"]))
    hashed = of_user
    for field in (_of_texts(events["item"]), events["time"].to_numpy(), rating):
        hashed = _mixed(hashed, field.view(np.uint64))
    return pl.Series(of_user), pl.Series(hashed)


def _of_text(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def _of_texts(texts: pl.Series) -> Words:
    """[len] u64; each distinct text is hashed once."""
    distinct = texts.to_frame().lazy().unique().collect().to_series()  # on all cores
    hashes = np.array([_of_text(text) for text in distinct], dtype=np.uint64)
    found: Words = hashes[texts.cast(pl.Enum(distinct)).to_physical().to_numpy()]
    return found


def _mixed(hashed: Words, field: Words) -> Words:
    """[len] u64; one more field in a hash: with all others equal, different fields stay different."""
    bits = (hashed ^ field) + STEP
    bits = (bits ^ (bits >> np.uint64(30))) * FIRST
    bits = (bits ^ (bits >> np.uint64(27))) * SECOND
    return bits ^ (bits >> np.uint64(31))
