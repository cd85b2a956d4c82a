"""Names of columns as they are asked for and as a file has them.

Same     blanks around a name, capitals and RecBole's types behind it (user_id:token) make no other name,
         where only one of a file's columns is meant.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from pathlib import Path

from goracs.types import InvalidInput

TYPED = re.compile(r":(token|float)(_seq)?$")


class MissingColumn(InvalidInput):
    """A table without a column that is needed."""


def matched(wanted: Iterable[str], there: Sequence[str]) -> dict[str, str]:
    """Each wanted name that is there -> how it is written there."""
    found = dict[str, str]()
    for name in wanted:
        same = [other for other in there if plain(other) == plain(name)]
        if name in there:
            found[name] = name
        elif len(same) == 1:
            found[name] = same[0]
    return found


def columns_of(file: Path, wanted: Sequence[str], there: Sequence[str]) -> dict[str, str]:
    """As `matched`, of all of them; MissingColumn if one is not there, with what may be meant."""
    names = matched(wanted, there)
    missing = [name for name in wanted if name not in names]
    if missing:
        raise MissingColumn(
            f"{file} lacks one of the columns {', '.join(wanted)}: it has {', '.join(there)}."
            + did_you_mean(missing, [name for name in there if name not in names.values()])
        )
    return names


def did_you_mean(missing: Iterable[str], there: Sequence[str]) -> str:
    """A sentence with the names that are near to missing ones; empty if there are none."""
    known = {plain(name): name for name in there}
    near = {name: get_close_matches(plain(name), known, n=1, cutoff=0.5) for name in missing}
    meant = [f"{known[close[0]]!r} for {name}" for name, close in near.items() if close]
    return f" Did you mean {', '.join(meant)}?" if meant else ""


def plain(name: str) -> str:
    """What is the same for all spellings of a name."""
    return TYPED.sub("", name.strip()).casefold()
