"""Files of lines, JSON lines above all, and JSON arrays: what can be read stays, what cannot is counted.

Engine    polars refuses a whole file for one broken line and does not say which: only then are the lines
          sifted, by the same parser.
"""

from __future__ import annotations

import glob
import json
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

import polars as pl

from goracs.data.readers import packed
from goracs.data.readers.encoding import as_windows, mended, noted, shown
from goracs.data.readers.kinds import Kinds, halved
from goracs.data.readers.names import MissingColumn, did_you_mean
from goracs.data.readers.raw import Rows, blocks, collected, head, source, unpacked
from goracs.data.readers.spelling import fields_of_lines, spelt
from goracs.types import InvalidInput

Kept = TypeVar("Kept")
Line = tuple[int, bytes]
log = logging.getLogger("goracs")


@dataclass(frozen=True)
class Broken:
    """A line that gives no row: its number, from 1, what it holds, and what is wrong with it."""

    number: int
    text: str
    why: str


@dataclass(frozen=True)
class Mended:
    """The number of a line that gives a row once its bytes that are not UTF-8 are Windows-1252."""

    number: int


class Sifted(NamedTuple, Generic[Kept]):
    """What some lines gave, and the counts of `Rows`."""

    kept: list[Kept]
    left_out: dict[str, int]
    noted: dict[str, int]


class Asked(NamedTuple):
    """What is read of JSON objects: name -> type, the fields that each must have, and their kinds."""

    fields: Mapping[str, pl.DataType]
    needed: Sequence[str]
    kinds: Kinds


def text_lines(file: Path, most_broken: int, **columns: pl.Expr) -> Rows:
    """A row for each line that is not blank: `number` from 1, and `columns` computed from `line` (str).

    Raises:
        InvalidInput: a file cut short, or more than `most_broken` lines that are not UTF-8.
    """
    try:
        return Rows(_lines(file, source(file), columns), {}, {})
    except pl.exceptions.PolarsError:
        content, guessed = mended(file, most_broken)
        return Rows(_lines(file, content, columns), {}, guessed)


def json_rows(
    file: Path,
    fields: Mapping[str, pl.DataType],
    needed: Sequence[str],
    most_broken: int,
    texts: Sequence[str],
) -> Rows:
    """One row for each object of a file of JSON lines, or of a JSON array.

    As `json_lines`, but a field may be written as `goracs.data.readers.names` says, in one way, and no list,
    object or, for the fields in `texts`, number or truth value is taken as text: its line counts as broken.

    Raises:
        InvalidInput: as `json_lines`; a field in two spellings; an array that cannot be read, or with a value
            of the wrong type.
    """
    if head(file).lstrip().startswith(b"["):
        return _json_array(file, Asked(fields, needed, Kinds(fields, texts)), most_broken)
    names = spelt(file, fields, fields_of_lines(file, fields, fields_of_first(file)))
    there = {names[name]: kind for name, kind in fields.items()}
    kinds = Kinds(there, [names[name] for name in texts])
    rows = _json_lines(file, Asked(there, [names[name] for name in needed], kinds), most_broken)
    return rows._replace(table=rows.table.select(**names))


def json_lines(
    file: Path, fields: Mapping[str, pl.DataType], needed: Sequence[str], most_broken: int
) -> Rows:
    """One row for each JSON object of a file of JSON lines.

    Args:
        file: one object a line; blank lines are skipped.
        fields: name -> type of what is read; other fields are not looked at.
        needed: the fields that every object must have (not null); a line without one counts as broken.
        most_broken: up to so many broken lines are left out, and so many are read that are not UTF-8.

    Returns: the rows in file order.

    Raises:
        InvalidInput: more such lines than that, a file cut short, or one without any usable line.
    """
    return _json_lines(file, Asked(fields, needed, Kinds({}, ())), most_broken)


def _json_lines(file: Path, asked: Asked, most_broken: int) -> Rows:
    found = Sifted(_whole(file, asked.fields), {}, {})
    if not found.kept or _doubtful(found.kept[0], asked) or asked.kinds.doubtful(file):
        _refuse_missing(file, found.kept, asked.fields, asked.needed)
        parts = (part for lines in _numbered(file) if lines for part in _sifted(lines, asked))
        found = sifted(file, parts, most_broken)
    table = pl.concat([pl.DataFrame(schema=asked.fields), *found.kept])
    if table.is_empty():
        needed = ", ".join(asked.needed)
        raise InvalidInput(f"{file} is empty: it must hold a line for each object, with {needed}.")
    return Rows(table, found.left_out, found.noted)


def _doubtful(frame: pl.DataFrame, asked: Asked) -> bool:
    """Whether a line lacks something, or has a zero byte: what the engine makes of half a character."""
    texts = frame.select(pl.col(pl.String))
    return _lacking(frame, asked.needed) or any(text.str.contains("\0", literal=True).any() for text in texts)


def _whole(file: Path, fields: Mapping[str, pl.DataType]) -> list[pl.DataFrame]:
    """The whole file in one frame, as the fast engine reads it; none where it finds a broken line."""
    content = source(file)
    asked = content if isinstance(content, bytes) else glob.escape(str(content))
    try:
        return [collected(file, pl.scan_ndjson(asked, schema=fields))]
    except pl.exceptions.PolarsError:
        return []


def sifted(file: Path, parts: Iterable[Kept | Broken | Mended], most_broken: int) -> Sifted[Kept]:
    """`parts` without the broken lines; those, and the lines read by a guess, are told and counted.

    Raises:
        InvalidInput: as soon as more than `most_broken` lines are broken, or not UTF-8; the first is named.
    """
    good, broken, guessed = list[Kept](), list[Broken](), list[Mended]()
    for part in parts:
        if isinstance(part, Broken):
            broken.append(part)
            log.warning("%s, line %d is left out: it %s: %s", file, part.number, part.why, shown(part.text))
            _refuse_more(file, broken, most_broken)
        elif isinstance(part, Mended):
            guessed.append(part)
            log.warning("%s, line %d is not UTF-8: read as Windows-1252", file, part.number)
            _refuse_guesses(file, guessed, most_broken)
        else:
            good.append(part)
    left_out = {f"broken line (the first: {broken[0].number})": len(broken)} if broken else {}
    return Sifted(good, left_out, noted(len(guessed), guessed[0].number) if guessed else {})


def _refuse_more(file: Path, broken: Sequence[Broken], most: int) -> None:
    if len(broken) > most:
        raise InvalidInput(
            f"{file} has more broken lines than dataset.broken_lines={most}: the first, line "
            f"{broken[0].number}, {broken[0].why}: {shown(broken[0].text)}. Mend the file or raise that."
        )


def _refuse_guesses(file: Path, guessed: Sequence[Mended], most: int) -> None:
    if len(guessed) > most:
        raise InvalidInput(
            f"{file} is not text in UTF-8 in more lines than dataset.broken_lines={most}, the first is line "
            f"{guessed[0].number}. Save it as UTF-8, or raise that: they are then read as Windows-1252."
        )


def _lines(file: Path, content: Path | bytes, columns: Mapping[str, pl.Expr]) -> pl.DataFrame:
    every = pl.scan_lines(content, row_index_name="number", row_index_offset=1, glob=False)
    line = pl.col("line").str.strip_prefix("\ufeff")
    query = every.with_columns(line).filter(line.str.contains(r"\S")).select("number", **columns)
    return collected(file, query)


def _json_array(file: Path, asked: Asked, most_broken: int) -> Rows:
    content, guessed = unpacked(file), dict[str, int]()
    try:
        content.decode()
    except UnicodeDecodeError:
        content, guessed = mended(file, most_broken)
    if halved(content):
        raise _no_array(file, asked.needed, "half a character (\\ud800 to \\udfff alone) is in it")
    objects = _objects(file, content, asked.needed)
    names = spelt(file, asked.fields, [name for one in objects for name in one])
    meant = [{name: one.get(there) for name, there in names.items()} for one in objects]
    _refuse_kinds(file, meant, asked.kinds)
    try:
        table = pl.read_ndjson("\n".join(map(json.dumps, meant)).encode(), schema=asked.fields)
    except pl.exceptions.PolarsError as error:
        raise _no_array(file, asked.needed, error) from error
    return Rows(table, {}, guessed)


def _refuse_kinds(file: Path, objects: Iterable[Mapping[str, object]], kinds: Kinds) -> None:
    for number, one in enumerate(objects, 1):
        if wrong := kinds.wrong(one):
            raise InvalidInput(
                f"{file} has a value of the wrong type in {', '.join(wrong)} of its object {number}: "
                f"{shown(json.dumps(one[wrong[0]], ensure_ascii=False))}. Write it as text."
            )


def _objects(file: Path, content: bytes, needed: Sequence[str]) -> list[dict[str, Any]]:
    try:
        found: list[dict[str, Any]] = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise _no_array(file, needed, error) from error
    if not all(isinstance(one, dict) for one in found):
        raise _no_array(file, needed, "something else than an object is in it")
    return found


def _no_array(file: Path, needed: Sequence[str], why: object) -> InvalidInput:
    return InvalidInput(f"{file} is no JSON array of objects with {', '.join(needed)}: {why}.")


def _numbered(file: Path) -> Iterator[list[Line]]:
    """The lines of a file with their numbers, in lists of about a block; blank ones only count."""
    number, rest = 0, b""
    for block in blocks(file):
        *whole, rest = (rest + block).split(b"\n")
        yield [(number + k, line) for k, line in enumerate(whole, 1) if line.strip()]
        number += len(whole)
    yield [(number + 1, rest)] if rest.strip() else []


def _sifted(lines: Sequence[Line], asked: Asked) -> Iterator[pl.DataFrame | Broken | Mended]:
    """The rows of some lines in few frames, and every line that gives no row: halving finds it."""
    frame = _usable([text for _, text in lines], asked)
    if frame is not None:
        yield frame
    elif len(lines) == 1:
        yield from _judged(*lines[0], asked)
    else:
        yield from _sifted(lines[: len(lines) // 2], asked)
        yield from _sifted(lines[len(lines) // 2 :], asked)


def _judged(number: int, line: bytes, asked: Asked) -> Iterator[pl.DataFrame | Broken | Mended]:
    text = as_windows(line)
    frame = None if text is None else _usable([text.encode()], asked)
    if frame is None:
        yield Broken(number, line.decode(errors="replace"), _fault(line if text is None else text, asked))
    else:
        yield Mended(number)
        yield frame


def _usable(lines: Sequence[bytes], asked: Asked) -> pl.DataFrame | None:
    """The rows of some lines, if each of them gives one."""
    frame = _parsed(lines, asked.fields)
    lacking = frame is None or _lacking(frame, asked.needed)
    return None if lacking or not all(map(asked.kinds.holds, lines)) else frame


def _refuse_missing(
    file: Path, frames: Sequence[pl.DataFrame], fields: Iterable[str], needed: Sequence[str]
) -> None:
    """Raise MissingColumn if every line could be read but none has one of the fields."""
    missing = [name for frame in frames for name in needed if frame[name].null_count() == len(frame)]
    if missing:
        there = fields_of_first(file)
        raise MissingColumn(
            f"{file} has no line with {', '.join(missing)}: its first one has the fields "
            f"{', '.join(there)}." + did_you_mean(missing, [name for name in there if name not in fields])
        )


def fields_of_first(file: Path) -> list[str]:
    """The names of the fields of a file's first line; none where it is no JSON object."""
    first = next((line for lines in _numbered(file) for _, line in lines), b"")
    try:
        fields = json.loads(as_windows(first) or first)
    except (ValueError, RecursionError):
        return []
    return list(fields) if isinstance(fields, dict) else []


def _parsed(lines: Sequence[bytes], fields: Mapping[str, pl.DataType]) -> pl.DataFrame | None:
    content = b"\n".join(lines)
    if packed.by_engine(content):
        return None
    try:
        return pl.read_ndjson(content, schema=fields)
    except pl.exceptions.PolarsError:
        return None


def _lacking(frame: pl.DataFrame, needed: Sequence[str]) -> bool:
    return any(frame[name].null_count() for name in needed)


def _fault(line: bytes | str, asked: Asked) -> str:
    try:
        found: Any = json.loads(line)
    except (ValueError, RecursionError) as error:
        return f"is not JSON ({error})"
    if not isinstance(found, dict):
        return f"is no JSON object with {', '.join(asked.needed)}"
    if halved(line if isinstance(line, bytes) else line.encode()):
        return "has half a character (\\ud800 to \\udfff alone)"
    lacking = [name for name in asked.needed if found.get(name) is None]
    if lacking:
        return f"has no {', '.join(lacking)} among its fields {', '.join(found)}"
    whole = line if isinstance(line, bytes) else line.encode()
    wrong = [name for name, kind in asked.fields.items() if _parsed([whole], {name: kind}) is None]
    wrong = wrong or asked.kinds.wrong(found) or list(asked.fields)
    return f"has a value of the wrong type in {', '.join(wrong)}"
