"""Raw files as they lie: found, known by their content, read by lines.

Compression   is seen by a file's first bytes, whatever its name. The engine unpacks gzip as it goes; bz2 and
              xz are unpacked in memory. A file that ends too early is refused.
Engine        polars, streaming. It refuses a whole file for one broken line and does not say which: only then
              are the lines sifted, by the same parser.
"""

from __future__ import annotations

import bz2
import glob
import gzip
import hashlib
import json
import logging
import lzma
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import IO, Any, TypeVar

import polars as pl

from goracs.types import InvalidInput

Kept = TypeVar("Kept")
Line = tuple[int, bytes]
BLOCK = 1 << 25  # bytes that are sifted at once
BOM = b"\xef\xbb\xbf"
MAGIC: dict[bytes, ModuleType] = {b"\x1f\x8b": gzip, b"BZh": bz2, b"\xfd7zXZ\x00": lzma}
CUT_SHORT = (EOFError, OSError, lzma.LZMAError, zlib.error)
SHOWN = 80  # characters of a broken line
log = logging.getLogger("goracs")


class MissingColumn(InvalidInput):
    """A table without a column that is needed."""


@dataclass(frozen=True)
class Broken:
    """A line that gives no row: its number, from 1, what it holds, and what is wrong with it."""

    number: int
    text: str
    why: str


def found(path: str, key: str) -> Path:
    """The file that the configured value `key` names; InvalidInput if there is none."""
    file = Path(path).expanduser()
    if not file.is_file():
        raise InvalidInput(f"no file {file}: {key} must name one.")
    return file


def digest(file: Path) -> str:
    """sha256 (hex) of a file's bytes."""
    with file.open("rb") as raw:
        return hashlib.file_digest(raw, "sha256").hexdigest()


def unpacked(file: Path) -> bytes:
    """The whole content, without a byte order mark; InvalidInput if the file is cut short."""
    return b"".join(_blocks(file)).removeprefix(BOM)


def source(file: Path) -> Path | bytes:
    """What the engine reads: the file where it can unpack it by itself, else the content."""
    return unpacked(file) if _packer(file) in (bz2, lzma) else file


def collected(file: Path, frame: pl.LazyFrame) -> pl.DataFrame:
    """The rows of a query over `file`.

    Raises:
        InvalidInput: a file cut short.
        polars.exceptions.PolarsError: what else the engine finds wrong.
    """
    try:
        return frame.collect(engine="streaming")
    except OSError as error:
        raise _cut_short(file, error) from error


def text_lines(file: Path, **columns: pl.Expr) -> pl.DataFrame:
    """A row for each line that is not blank: `number` from 1, and `columns` computed from `line` (str).

    Raises:
        InvalidInput: a file cut short, or one that is not text in UTF-8.
    """
    every = pl.scan_lines(source(file), row_index_name="number", row_index_offset=1, glob=False)
    line = pl.col("line").str.strip_prefix("\ufeff")
    query = every.with_columns(line).filter(line.str.contains(r"\S")).select("number", **columns)
    try:
        return collected(file, query)
    except pl.exceptions.PolarsError as error:
        raise InvalidInput(f"{file} is not text in UTF-8 ({error}).") from error


def json_lines(
    file: Path, fields: Mapping[str, pl.DataType], needed: Sequence[str], most_broken: int
) -> tuple[pl.DataFrame, dict[str, int]]:
    """One row for each JSON object of a file of JSON lines.

    Args:
        file: one object a line; blank lines are skipped.
        fields: name -> type of what is read; other fields are not looked at.
        needed: the fields that every object must have (not null); a line without one counts as broken.
        most_broken: up to so many broken lines are left out.

    Returns: the rows in file order, and why -> how many lines were left out.

    Raises:
        InvalidInput: more broken lines than that, a file cut short, or one without any usable line.
    """
    content = source(file)
    asked = content if isinstance(content, bytes) else glob.escape(str(content))
    try:
        frames, left_out = [collected(file, pl.scan_ndjson(asked, schema=fields))], dict[str, int]()
    except pl.exceptions.PolarsError:
        frames = []
    if not frames or _lacking(frames[0], needed):
        _refuse_missing(file, frames, needed)
        parts = (part for lines in _numbered(file) if lines for part in _sifted(lines, fields, needed))
        frames, left_out = kept(file, parts, most_broken)
    frame = pl.concat([pl.DataFrame(schema=fields), *frames])
    if frame.is_empty():
        raise InvalidInput(f"{file} is empty: it must hold a line for each object, with {', '.join(needed)}.")
    return frame, left_out


def kept(file: Path, parts: Iterable[Kept | Broken], most_broken: int) -> tuple[list[Kept], dict[str, int]]:
    """`parts` without the broken lines, which are told, and why -> how many lines were left out.

    Raises:
        InvalidInput: as soon as more than `most_broken` lines are broken; it names the first.
    """
    good, broken = list[Kept](), list[Broken]()
    for part in parts:
        if not isinstance(part, Broken):
            good.append(part)
            continue
        broken.append(part)
        log.warning("%s, line %d is left out: it %s: %s", file, part.number, part.why, _shown(part.text))
        if len(broken) > most_broken:
            raise InvalidInput(
                f"{file} has more broken lines than dataset.broken_lines={most_broken}: the first, line "
                f"{broken[0].number}, {broken[0].why}: {_shown(broken[0].text)}. Mend the file or raise that."
            )
    return good, {f"broken line (the first: {broken[0].number})": len(broken)} if broken else {}


def _packer(file: Path) -> ModuleType | None:
    with file.open("rb") as raw:
        start = raw.read(max(map(len, MAGIC)))
    return next((packer for magic, packer in MAGIC.items() if start.startswith(magic)), None)


def _opened(file: Path) -> IO[bytes]:
    packer = _packer(file)
    opened: IO[bytes] = packer.open(file, "rb") if packer else file.open("rb")
    return opened


def _blocks(file: Path) -> Iterator[bytes]:
    try:
        with _opened(file) as raw:
            yield raw.read(BLOCK).removeprefix(BOM)
            while block := raw.read(BLOCK):
                yield block
    except CUT_SHORT as error:
        raise _cut_short(file, error) from error


def _cut_short(file: Path, error: Exception) -> InvalidInput:
    return InvalidInput(
        f"{file} cannot be read to its end ({error}): it is cut short or damaged, get it again."
    )


def _numbered(file: Path) -> Iterator[list[Line]]:
    """The lines of a file with their numbers, in lists of about a block; blank ones only count."""
    number, rest = 0, b""
    for block in _blocks(file):
        *whole, rest = (rest + block).split(b"\n")
        yield [(number + k, line) for k, line in enumerate(whole, 1) if line.strip()]
        number += len(whole)
    yield [(number + 1, rest)] if rest.strip() else []


def _sifted(
    lines: Sequence[Line], fields: Mapping[str, pl.DataType], needed: Sequence[str]
) -> Iterator[pl.DataFrame | Broken]:
    """The rows of some lines in few frames, and every line that gives no row: halving finds it."""
    frame = _parsed(lines, fields)
    if frame is not None and not _lacking(frame, needed):
        yield frame
    elif len(lines) == 1:
        number, text = lines[0]
        yield Broken(number, text.decode(errors="replace"), _fault(text, needed))
    else:
        yield from _sifted(lines[: len(lines) // 2], fields, needed)
        yield from _sifted(lines[len(lines) // 2 :], fields, needed)


def _refuse_missing(file: Path, frames: Sequence[pl.DataFrame], needed: Sequence[str]) -> None:
    """Raise MissingColumn if every line could be read but none has one of the fields."""
    missing = [name for frame in frames for name in needed if frame[name].null_count() == len(frame)]
    if missing:
        first = next(line for lines in _numbered(file) for _, line in lines)
        there = ", ".join(json.loads(first))
        raise MissingColumn(
            f"{file} has no line with {', '.join(missing)}: its first one has the fields {there}."
        )


def _parsed(lines: Sequence[Line], fields: Mapping[str, pl.DataType]) -> pl.DataFrame | None:
    try:
        return pl.read_ndjson(b"\n".join(text for _, text in lines), schema=fields)
    except pl.exceptions.PolarsError:
        return None


def _lacking(frame: pl.DataFrame, needed: Sequence[str]) -> bool:
    return any(frame[name].null_count() for name in needed)


def _fault(line: bytes, needed: Sequence[str]) -> str:
    try:
        fields: Any = json.loads(line)
    except ValueError as error:
        return f"is not JSON ({error})"
    if not isinstance(fields, dict):
        return f"is no JSON object with {', '.join(needed)}"
    lacking = [name for name in needed if fields.get(name) is None]
    if lacking:
        return f"has no {', '.join(lacking)} among its fields {', '.join(fields)}"
    return f"has a value of the wrong type in one of {', '.join(needed)}"


def _shown(text: str) -> str:
    text = text.strip()
    return repr(text if len(text) <= SHOWN else f"{text[:SHOWN]}...")
