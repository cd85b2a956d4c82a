"""Which of two events at one time comes first.

`hash`    by a 64-bit hash of (seed, user, item, time, rating); users, too, come in the order of a hash. So
          neither the order of the rows, nor ids, nor the platform has a part in it: sorted by item, the last
          of several events of one second, the target, would always be the item of the largest id. Events
          that are equal in all fields are interchangeable. Where the file has parts of seconds they go first.
`file`    as the rows of the file come (the paper's rule).
Memory    the events of a part of the users are sorted at a time.
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

from goracs.data.codes import coded, known

Ties = Literal["hash", "file"]
Words = npt.NDArray[np.uint64]
PARTITION = (
    1 << 21
)  # events, about, of the users that are sorted at once: a sort holds its rows several times
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
    given = events.schema
    events = events.with_columns(coded(events[name]).alias(name) for name in ("user", "item"))
    user, item = (_of_texts(known(events[name])) for name in ("user", "item"))
    of_user = _mixed(np.full(len(user), _of_text(str(seed)), np.uint64), user)[_codes(events["user"])]
    parts = 1 + len(events) // PARTITION
    at_most = [((k + 1) << 64) // parts - 1 for k in range(parts)]
    part = np.searchsorted(np.array(at_most, dtype=np.uint64), of_user).astype(np.uint16)
    rows = events.with_columns(of_user=of_user)
    return pl.concat([_sorted(rows.filter(part == k), item) for k in range(parts)]).cast(given)


def _sorted(events: pl.DataFrame, of_item: Words) -> pl.DataFrame:
    """Some users' events by the hashes `of_user`, times and hashes of events; without `of_user`."""
    rating = events["rating"].fill_null(0.0).to_numpy() + 0.0  # -0.0 becomes 0.0
    hashed = events["of_user"].to_numpy()
    for field in (of_item[_codes(events["item"])], events["time"].to_numpy(), rating):
        hashed = _mixed(hashed, field.view(np.uint64))
    within = [PART] if PART in events.columns else []
    keyed = events.with_columns(of_event=hashed)
    return keyed.sort("of_user", "time", *within, "of_event").drop("of_user", "of_event")


def _of_text(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def _of_texts(texts: pl.Series) -> Words:
    """[len] u64."""
    return np.fromiter(map(_of_text, texts), np.uint64, len(texts))


def _codes(ids: pl.Series) -> npt.NDArray[np.unsignedinteger]:
    """[len] the places of coded ids among the known ones."""
    found: npt.NDArray[np.unsignedinteger] = ids.to_physical().to_numpy()
    return found


def _mixed(hashed: Words, field: Words) -> Words:
    """[len] u64; one more field in a hash: with all others equal, different fields stay different."""
    bits = (hashed ^ field) + STEP
    bits = (bits ^ (bits >> np.uint64(30))) * FIRST
    bits = (bits ^ (bits >> np.uint64(27))) * SECOND
    return bits ^ (bits >> np.uint64(31))
