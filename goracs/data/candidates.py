"""Items that a recommended target is ranked against: from what its user never touched.

Kinds    `negatives`  each row draws its own, uniformly (`own` in the configuration, where it is the default).
         `popular`    the same with chances in proportion to weights: how many users touched an item.
         `shared`     as the released code of GORACS draws: every row begins anew with one seed, so users
                      share most of theirs.
         `everything` all of them: the full catalogue.
Law      the row of (user, target) is a function of (seed, user, target, that user's items, the catalogue,
         count) alone: neither the other rows nor any order has a part in it, but for `shared` that of the
         catalogue, and `shared` looks at neither user nor target but to leave items out.
How      a counter-based generator (Philox) per row, keyed by the first 128 bits of a sha256 of
         [seed, user, target].
"""

from __future__ import annotations

import hashlib
import json
import random
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from goracs.types import Example, InvalidInput

Items = npt.NDArray[np.str_]
Kind = Literal["own", "popular", "shared", "everything"]


def drawn(
    kind: Kind,
    users: Sequence[str],
    targets: Sequence[str],
    seen: Mapping[str, Collection[str]],
    catalogue: Sequence[str],
    count: int,
    seed: int,
) -> Sequence[Items]:
    """For each row the items of one kind; `everything` looks at neither count nor seed. See `negatives`."""
    if kind == "everything":
        return everything(users, targets, seen, catalogue)
    if kind == "shared":
        return list(shared(users, targets, seen, catalogue, count, seed))
    if kind == "popular":
        touched = Counter(item for items in seen.values() for item in set(items))
        weights = {item: float(touched[item]) for item in catalogue}
        return list(popular(users, targets, seen, weights, count, seed))
    return list(negatives(users, targets, seen, catalogue, count, seed))


def to_rank(
    kind: Kind,
    examples: Sequence[Example],
    seen: Mapping[str, Collection[str]],
    catalogue: Sequence[str],
    count: int,
    seed: int,
) -> tuple[list[Example], list[list[str]]]:
    """The examples that are `rankable`, and for each its target (the first) and the items it is ranked among.

    See `negatives`.
    """
    kept = rankable(kind, examples, seen, catalogue, count)
    users, targets = [one.user for one in kept], [one.item for one in kept]
    others = drawn(kind, users, targets, seen, catalogue, count, seed)
    return kept, [[target, *row.tolist()] for target, row in zip(targets, others, strict=True)]


def rankable(
    kind: Kind,
    examples: Sequence[Example],
    seen: Mapping[str, Collection[str]],
    catalogue: Collection[str],
    count: int,
) -> list[Example]:
    """The examples whose users have left enough items untouched to rank the target among, in order.

    `everything` needs one such item, the other kinds `count`; see `negatives`.

    Raises:
        InvalidInput: none is left, or a count below 1.
    """
    _check_count(count)
    items, least = set(catalogue), 1 if kind == "everything" else count
    touched = (items.intersection([*seen[one.user], one.item]) for one in examples)
    kept = [one for one, own in zip(examples, touched, strict=True) if len(items) - len(own) >= least]
    if not kept:
        raise InvalidInput(
            f"no target can be ranked: every user of the {len(examples)} examples has fewer than {least} of "
            f"the {len(items)} items left untouched. Lower evaluate.negatives."
        )
    return kept


def negatives(
    users: Sequence[str],
    targets: Sequence[str],
    seen: Mapping[str, Collection[str]],
    catalogue: Collection[str],
    count: int,
    seed: int,
) -> Items:
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
    items = np.unique(np.asarray(list(catalogue), dtype=np.str_))
    rows = [
        _generator(seed, user, target).choice(free, count, replace=False)
        for user, target, free in _free(users, targets, seen, items, count)
    ]
    return items[np.array(rows, dtype=np.intp).reshape(-1, count)]


def popular(
    users: Sequence[str],
    targets: Sequence[str],
    seen: Mapping[str, Collection[str]],
    weights: Mapping[str, float],
    count: int,
    seed: int,
) -> Items:
    """As `negatives`, with chances in proportion to `weights` (> 0), whose items are the catalogue.

    Each next item of a row is drawn from what is left of its chances.
    """
    if not all(weight > 0 for weight in weights.values()):
        raise InvalidInput("popular needs a weight > 0 for every item: leave out items nobody touched.")
    items = np.array(sorted(weights), dtype=np.str_)
    chances = np.array([weights[str(item)] for item in items], dtype=np.float64)
    rows = []
    for user, target, free in _free(users, targets, seen, items, count):
        left = chances[free] / chances[free].sum()
        rows.append(_generator(seed, user, target).choice(free, count, replace=False, p=left))
    return items[np.array(rows, dtype=np.intp).reshape(-1, count)]


def shared(
    users: Sequence[str],
    targets: Sequence[str],
    seen: Mapping[str, Collection[str]],
    catalogue: Sequence[str],
    count: int,
    seed: int,
) -> Items:
    """As `negatives`, but each row draws places in its list of untouched items with the same seed."""
    items = np.array(list(dict.fromkeys(catalogue)), dtype=np.str_)
    rows = [
        random.Random(seed).sample(free.tolist(), count)
        for *_, free in _free(users, targets, seen, items, count)
    ]
    return items[np.array(rows, dtype=np.intp).reshape(-1, count)]


def everything(
    users: Sequence[str],
    targets: Sequence[str],
    seen: Mapping[str, Collection[str]],
    catalogue: Collection[str],
) -> list[Items]:
    """For each row all items that its user never interacted with, but the target; sorted."""
    items = np.unique(np.asarray(list(catalogue), dtype=np.str_))
    return [items[free] for *_, free in _free(users, targets, seen, items, 1)]


def _free(
    users: Sequence[str],
    targets: Sequence[str],
    seen: Mapping[str, Collection[str]],
    items: Items,
    count: int,
) -> Iterator[tuple[str, str, npt.NDArray[np.intp]]]:
    """Each row's user, target and the places in `items` that may be drawn, at least `count` of them."""
    if len(users) != len(targets):
        raise InvalidInput(
            f"negatives needs one target per user, got {len(users)} users, {len(targets)} targets."
        )
    _check_count(count)
    place = {str(item): row for row, item in enumerate(items)}
    for user, target in zip(users, targets, strict=True):
        if user not in seen:
            raise InvalidInput(f"negatives needs the items of user {user!r}: it is missing in `seen`.")
        open_ = np.ones(len(items), dtype=bool)
        open_[[place[item] for item in (*seen[user], target) if item in place]] = False
        free = np.flatnonzero(open_)
        if len(free) < count:
            raise InvalidInput(
                f"user {user!r} has {len(free)} items left of a catalogue of {len(items)}, fewer than the "
                f"{count} negatives that were asked for: ask for fewer."
            )
        yield user, target, free


def _check_count(count: int) -> None:
    if count < 1:
        raise InvalidInput(f"negatives must be asked for at least 1 item per row, got {count}.")


def _generator(seed: int, user: str, target: str) -> np.random.Generator:
    digest = hashlib.sha256(json.dumps([seed, user, target]).encode()).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest[:16], "little")))
