"""Values of JSON objects that the engine would take as their JSON text where a text is asked for.

Rule      a list or an object is never a text; true, false and a number are none where only texts are meant
          (a prompt), but may be one elsewhere (an id, a label). Half a character is none anywhere: the engine
          would take it for a zero byte, and two ids for one.
Engine    a pattern passes over the bytes; only the lines where it finds something are parsed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path

import polars as pl

from goracs.data.readers.raw import matches

HALF = re.compile("[\ud800-\udfff]")  # of a character: JSON and Python can spell it, no encoding has it
SPELT = re.compile(rb"\\u[dD][89a-fA-F]")  # half of one, or one in two halves


def is_text(value: object) -> bool:
    """Whether it is a text of whole characters."""
    return isinstance(value, str) and (value.isascii() or HALF.search(value) is None)


def halved(content: bytes) -> bool:
    """Whether some text in a JSON value is half a character; False where it is no JSON."""
    if not SPELT.search(content):
        return False
    try:
        return HALF.search(json.dumps(json.loads(content), ensure_ascii=False)) is not None
    except (ValueError, RecursionError):
        return False


class Kinds:
    """What the values of some fields may be.

    Args:
        fields: name -> type, as the engine reads them.
        texts: of those, which must be texts (or null).
    """

    def __init__(self, fields: Mapping[str, pl.DataType], texts: Iterable[str]) -> None:
        self.texts = [name for name in fields if name in set(texts)]
        scalar = [name for name, kind in fields.items() if kind == pl.String()]
        self.scalars = [name for name in scalar if name not in self.texts]

    def wrong(self, found: Mapping[str, object]) -> list[str]:
        """The names of the fields of an object whose value is not of their kind."""
        bad = [name for name in self.texts if not isinstance(found.get(name), str | None)]
        return bad + [name for name in self.scalars if isinstance(found.get(name), list | dict)]

    def doubtful(self, file: Path) -> bool:
        """Whether some value in a file of JSON lines may be of another kind; it may be in an inner object."""
        return self._pattern is not None and matches(file, self._pattern)

    def holds(self, line: bytes) -> bool:
        """Whether all values of a line are of their kind; also where it is no JSON object."""
        if halved(line):
            return False
        if self._pattern is None or not self._pattern.search(line):
            return True
        try:
            found = json.loads(line)
        except (ValueError, RecursionError):
            return True
        return not isinstance(found, dict) or not self.wrong(found)

    @cached_property
    def _pattern(self) -> re.Pattern[bytes] | None:
        forms = [(self.texts, rb'[^"n\s]'), (self.scalars, rb"[\[{]")]
        parts = [_valued(names, start) for names, start in forms if names]
        starts = b"".join({re.escape(name.encode()[:1]) for name in (*self.texts, *self.scalars)})
        # most quotes are ruled out by the next byte
        return re.compile(rb'"(?=[%b])(?:%b)' % (starts, b"|".join(parts))) if parts else None


def _valued(names: Sequence[str], start: bytes) -> bytes:
    return rb'(?:%b)"\s*:\s*%b' % (b"|".join(re.escape(name.encode()) for name in names), start)
