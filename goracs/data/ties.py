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

from goracs.data.codes import coded, known
from goracs.data.parts import by_parts, moved, of_users

Ties = Literal["hash", "file"]
Words = npt.NDArray[np.uint64]
PART = "part"  # the column of `Interactions.events` that orders events within a second, where there is one
STEP, FIRST, SECOND = (np.uint64(n) for n in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))


def in_order(events: pl.DataFrame, ties: Ties, seed: int) -> pl.DataFrame:
    """Events in the order that decides ties.

    Args:
        events: as in `Interactions`; emptied.
        ties: `file`: as they are; `hash`: by user, time and event, see above.
        seed: of the hash.

    Returns: the same columns.
    """
    return moved(events, None if ties == "file" else _by_hash(events, seed))


def _by_hash(events: pl.DataFrame, seed: int) -> pl.Series:
    """[len] u32: the numbers of the rows in the order of the hashes."""
    users, items = coded(events["user"]), coded(events["item"])
    seeded = np.full(len(known(users)), _of_text(str(seed)), np.uint64)
    of_user, of_item = _mixed(seeded, _of_texts(known(users))), _of_texts(known(items))

    def ordered(rows: pl.Series) -> pl.Series:
        hashes = of_user[_codes(users.gather(rows))], of_item[_codes(items.gather(rows))]
        return rows.gather(_order(events[rows], *hashes))

    return by_parts(of_users(users, of_user), ordered)


def _order(events: pl.DataFrame, of_user: Words, of_item: Words) -> pl.Series:
    """[len] u32: the places of some users' events by user, time and event, from hashes of their ids."""
    rating = events["rating"].fill_null(0.0).to_numpy() + 0.0  # -0.0 becomes 0.0
    hashed = of_user
    for field in (of_item, events["time"].to_numpy(), rating):
        hashed = _mixed(hashed, field.view(np.uint64))
    within = [PART] if PART in events.columns else []
    keyed = events.select("time", *within, of_user=of_user, of_event=hashed)
    return keyed.select(pl.arg_sort_by("of_user", "time", *within, "of_event")).to_series()


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
