"""Fields of JSON objects under other names than those of the first object.

Engine    reads a field by one name. A pattern that looks for another spelling passes over the bytes; only
          where it finds one are the objects parsed, since it may be text or an object within an object.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from goracs.data.readers.encoding import as_windows
from goracs.data.readers.names import plain
from goracs.data.readers.raw import blocks, matches
from goracs.types import InvalidInput


def spelt(file: Path, wanted: Iterable[str], there: Iterable[str]) -> dict[str, str]:
    """Each wanted name -> how the file writes it; itself where the file does not have it.

    Args:
        file: named in the message.
        wanted: names of fields.
        there: the names of all fields of all objects.

    Raises:
        InvalidInput: a field that is written in two ways, of which one would be lost.
    """
    asked, known, names = list(wanted), dict.fromkeys(there), dict[str, str]()
    for name in asked:
        same = [one for one in known if plain(one) == plain(name)]
        same = [one for one in same if one == name or one not in asked]
        if len(same) > 1:
            ways = " and ".join(map(repr, same))
            raise InvalidInput(f"{file} writes the field {name} in two ways, {ways}: write it in one.")
        names[name] = same[0] if same else name
    return names


def fields_of_lines(file: Path, wanted: Iterable[str], first: Iterable[str]) -> list[str]:
    """The fields of the first line, and those of all where another writes a wanted one otherwise."""
    asked, found = list(wanted), dict.fromkeys(first)
    if matches(file, _other_spelling(asked, found)):
        found |= dict.fromkeys(name for one in _objects(file) for name in one)
    return list(found)


def _other_spelling(wanted: list[str], first: Iterable[str]) -> re.Pattern[bytes]:
    """Of a key that means a wanted name and is written otherwise than in the first line."""
    there = [name for name in first if plain(name) in map(plain, wanted)]
    known = there + [name for name in wanted if plain(name) not in map(plain, there)]
    own = b"|".join(re.escape(name.encode()) for name in known)
    same = b"|".join(re.escape(plain(name).encode()) for name in wanted)
    starts = b"".join(
        {re.escape(one.encode()[:1]) for name in wanted for one in (plain(name), plain(name).upper())}
    )
    typed = rb"(?::(?:token|float)(?:_seq)?)?"
    cheap = rb"(?=[\s%b])" % starts  # most quotes are ruled out by the next byte
    return re.compile(rb'"%b(?!(?:%b)"\s*:)\s*(?i:%b)%b\s*"\s*:' % (cheap, own, same, typed))


def _objects(file: Path) -> Iterator[dict[str, object]]:
    rest = b""
    for block in blocks(file):
        *whole, rest = (rest + block).split(b"\n")
        yield from filter(None, map(_object, whole))
    yield _object(rest)


def _object(line: bytes) -> dict[str, object]:
    """What a line holds; nothing where it is no JSON object."""
    try:
        found = json.loads(as_windows(line) or line)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
