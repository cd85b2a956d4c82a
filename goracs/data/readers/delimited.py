"""Text tables with one separator (csv, tsv and the like), by the columns that are wanted."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from goracs.data.codes import ID
from goracs.data.readers.encoding import mended
from goracs.data.readers.ending import UNKNOWN, fields, open_ended, refuse_cut_time
from goracs.data.readers.events import refuse, whole_numbers
from goracs.data.readers.names import columns_of, matched
from goracs.data.readers.raw import Rows, collected, head, last_line, refuse_packed, source, unpacked
from goracs.types import InvalidInput

SEPARATORS = (",", ";", "\t", "|")
TAB = ("tab", r"\t")  # how a tab is written on a command line
UNIT = "\x1f"  # stands for a separator of several characters, which the engine does not know
log = logging.getLogger("goracs")
Types = Mapping[str, pl.DataType]


@dataclass(frozen=True)
class Form:
    """How a table is written.

    Args:
        separator: one or more characters. With several (or one that is not ASCII), quotes mean nothing.
        names: of all its columns, where the file has no line that names them; else None.
        quotes: False where a double quote is a character like others.
    """

    separator: str
    names: Sequence[str] | None
    quotes: bool = True

    @property
    def quoted(self) -> bool:
        """Whether values may stand in double quotes, and then hold separators and line ends."""
        return self.quotes and len(self.separator.encode()) == 1


def columns(file: Path, form: Form, types: Types, most_broken: int | None, time: str | None) -> Rows:
    """Some columns of a table, in file order.

    Args:
        file: text, compressed or not.
        form: how it is written.
        types: column -> type; others are not read. The names are those of the result too.
        most_broken: so many lines that are not UTF-8 are read as Windows-1252; None: any number.
        time: the column whose last value may show that the file is cut short, if there is one.

    Raises:
        InvalidInput: a file cut short, more lines that are not UTF-8, without rows, without one of the
            columns, or with a value that is not of its column's type.
    """
    there = header(file, form)
    names = columns_of(file, list(types), there)
    may_be_cut = open_ended(file, form.separator, form.quoted, len(there))
    try:
        table, guessed = _read(file, _source(file, form), form, there, names, types), dict[str, int]()
    except pl.exceptions.PolarsError:
        table, guessed = _read_again(file, form, there, names, types, most_broken)
    if table.is_empty():
        raise InvalidInput(f"{file} has no rows: the data set is empty.")
    last = next((name for name, written in names.items() if written == there[-1]), None)
    if not may_be_cut or last is None:
        return Rows(table, {}, guessed)
    if last == time:
        refuse_cut_time(file, table[last])
    log.warning("%s has no line end behind its last row: whether its %s is whole cannot be known", file, last)
    return Rows(table, {}, guessed | UNKNOWN)


def sniffed(file: Path, wanted: Sequence[str]) -> str:
    """The separator with which the first line has all the wanted columns, else the most columns."""
    line = _first_line(file)
    split = {separator: fields(line, separator, True) for separator in SEPARATORS}
    return max(SEPARATORS, key=lambda one: (len(matched(wanted, split[one])), len(split[one])))


def counted(file: Path, separator: str, quotes: bool = True) -> Form:
    """The form of a table without a line of names, whose columns are called by their places, from 1."""
    places = len(fields(_first_line(file), separator, Form(separator, None, quotes).quoted))
    return Form(separator, [str(place) for place in range(1, places + 1)], quotes)


def header(file: Path, form: Form) -> list[str]:
    """The names of all columns; InvalidInput if the line that should name them is empty."""
    if form.names is not None:
        return list(form.names)
    line = _first_line(file)
    if not line.strip():
        raise InvalidInput(f"{file} is empty, or its first line is: that must name the columns.")
    return fields(line, form.separator, form.quoted)


def _first_line(file: Path) -> bytes:
    line = head(file).partition(b"\n")[0].removesuffix(b"\r")
    if b"\r" in line:
        raise InvalidInput(
            f"{file} has a carriage return within its first line, as where lines end in carriage returns "
            "alone: save it with line feeds."
        )
    return line


def _source(file: Path, form: Form) -> Path | bytes:
    return source(file) if form.quoted else _in_units(file, unpacked(file), form)


def _in_units(file: Path, content: bytes, form: Form) -> bytes:
    found = content if form.quoted else content.replace(form.separator.encode(), UNIT.encode())
    refuse_packed(file, found)  # the unit separator is the first byte of gzip's mark, too
    return found


def _read(
    file: Path,
    content: Path | bytes,
    form: Form,
    there: Sequence[str],
    names: Mapping[str, str],
    types: Types,
) -> pl.DataFrame:
    """By place: two columns of a file may have one name."""
    labels = [name if name not in there[:place] else f"{place} {name}" for place, name in enumerate(there)]
    wanted = {names[name]: pl.String() if kind == ID else kind for name, kind in types.items()}
    table = pl.scan_csv(
        content,
        separator=form.separator if form.quoted else UNIT,
        quote_char='"' if form.quoted else None,
        has_header=False,
        skip_rows=int(form.names is None),
        schema={label: wanted.get(label, pl.String()) for label in labels},
        missing_columns="insert",
        glob=False,
    )
    return collected(file, table.select(**{name: pl.col(names[name]).cast(types[name]) for name in names}))


def _read_again(
    file: Path,
    form: Form,
    there: Sequence[str],
    names: Mapping[str, str],
    types: Types,
    most_broken: int | None,
) -> tuple[pl.DataFrame, dict[str, int]]:
    """With lines that are not UTF-8 mended, and whole numbers that are written as floats."""
    content, guessed = mended(file, most_broken)
    numbers = [name for name, kind in types.items() if kind == pl.Int64]
    texts = {name: pl.String() if name in numbers else kind for name, kind in types.items()}
    try:
        table = _read(file, _in_units(file, content, form), form, there, names, texts)
    except pl.exceptions.PolarsError as error:
        reason = str(error).partition("\n")[0].rstrip(".")
        cut = "" if last_line(file) is None else " Its last line has no line end: is it cut short?"
        raise InvalidInput(
            f"{file} is not a table with the columns {', '.join(types)}: {reason}.{cut}"
        ) from error
    whole = {name: whole_numbers(table[name]) for name in numbers}
    for name, found in whole.items():
        wrong = found.is_null() & table[name].is_not_null()
        refuse(file, f"has a {name} that is no whole number", table[name], wrong)
    return table.with_columns(**whole), guessed
