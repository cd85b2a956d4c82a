"""Anybody's own two tables: interactions and items as text with a separator, JSON or Parquet.

Format    by the end of a file's name: .csv, .tsv, .txt, .dat, .inter, .item (text; the first line names the
          columns), .json, .jsonl, .ndjson (JSON lines or an array of objects) or .parquet, and .gz, .bz2, .xz
          or .zst behind it where it is compressed. A pattern (*.parquet) names several files of one table.
Columns   are named in the configuration (`goracs.data.readers.names`); others are not read. Whole numbers
          instead of names are the places of the columns, from 1, in text without a line that names them.
Ids       are texts or whole numbers; where all of a column are written as in 12.0, the .0 goes.
Time      whole numbers in `time_unit`; or dates, which are read as UTC: ISO 8601 texts, dates of Parquet.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import polars as pl

from goracs.data.codes import ID
from goracs.data.dataset import Dataset, Interactions
from goracs.data.readers import packed
from goracs.data.readers.delimited import TAB, Form, columns, counted, sniffed
from goracs.data.readers.events import Origin, Unit, checked, plain_ids, refuse, untitled, whole_numbers
from goracs.data.readers.files import Files, Place, digest_of, each, joined, listed
from goracs.data.readers.lines import json_rows
from goracs.data.readers.names import MissingColumn, columns_of
from goracs.data.readers.raw import Rows, collected
from goracs.types import InvalidInput

TEXT = ("csv", "tsv", "txt", "dat", "inter", "item")
JSON = ("jsonl", "json", "ndjson")
PACKED = ("gz", "bz2", "xz", "zst")
LONG = (pl.String, pl.Binary, pl.Categorical, pl.Enum)  # types whose values may be of any length
HINT = (
    "dataset.columns says what they are called. A log without ratings (dataset.columns.rating=null) goes "
    "with task=seqrec. A table without a time (dataset.columns.time=null) is in the order of its events, "
    "which split=leave_one_out split.ties=file can use and no other split. In a text whose first line names "
    "no columns they are counted, as in dataset.columns.user=1."
)


@dataclass(frozen=True)
class Columns:
    """What the columns are called: `rating` or `time` None where there is none, `id` that of the items."""

    user: str | int
    item: str | int
    rating: str | int | None
    time: str | int | None
    id: str | int
    title: str | int


@dataclass(frozen=True, kw_only=True)
class Tables(Dataset):
    """Reader of the two tables.

    Args:
        interactions: path of the events, or a pattern that many files match.
        items: the same of the catalogue; None where there is none: then an item's id is its title.
        columns: what the columns are called.
        separator: of text; `tab` is one too; None: a tab in .tsv, else the one of , ; tab | that fits.
        time_unit: s, ms, us or ns, of times that are numbers; step: only their order counts.
        broken_lines: so many broken lines of a table of JSON lines may be left out, and so many lines of a
            file that are not UTF-8 are read as Windows-1252, >= 0.
    """

    files: ClassVar[tuple[str, ...]] = ("interactions", "items")

    interactions: str
    items: str | None
    columns: Columns
    separator: str | None
    time_unit: Unit
    broken_lines: int

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.columns.rating is None and self.scale is not None:
            raise InvalidInput(
                f"dataset.scale={list(self.scale)} bounds ratings, but there are none "
                "(dataset.columns.rating=null): set dataset.scale=null."
            )

    def digests(self) -> dict[str, str]:
        """Each table with its format -> sha256 (hex)."""
        files = {"interactions": self._interactions(), "items": self._items()}
        return {f"{name}.{_format(file)}": digest_of(file) for name, file in files.items() if file}

    def read(self) -> Interactions:
        """The two tables.

        Raises:
            InvalidInput: a missing file or column, an unknown format, a damaged file, a missing or wrong
                value, an item listed twice.
        """
        events, read = self._events(self._interactions())
        excluded, noted = _told("interactions", read.left_out), _told("interactions", read.noted)
        file = self._items()
        if file is None:
            items, none = untitled(events)
            noted |= _told("items", none)
        else:
            titles = self._catalogue(file)
            items = titles.table
            excluded |= _told("items", titles.left_out)
            noted |= _told("items", titles.noted)
        timed, rated = self.columns.time is not None, self.columns.rating is not None
        return Interactions(events, items, excluded, noted, timed=timed, rated=rated)

    def _interactions(self) -> Place | Files:
        return listed(self.interactions, "dataset.interactions")

    def _items(self) -> Place | Files | None:
        return None if self.items is None else listed(self.items, "dataset.items")

    def _events(self, files: Place | Files) -> tuple[pl.DataFrame, Rows]:
        user, item = str(self.columns.user), str(self.columns.item)
        rating = None if self.columns.rating is None else str(self.columns.rating)
        name = None if self.columns.time is None else str(self.columns.time)
        types: dict[str, pl.DataType] = {user: ID, item: ID}
        if rating is not None:
            types[rating] = pl.Float64()
        if name is not None:
            types[name] = pl.String()
        try:
            rows, origin = self._table(files, types, list(types), name)
        except MissingColumn as error:
            raise InvalidInput(f"{error} {HINT}") from error
        table = rows.table
        unit: Unit | Literal["date"] = "step"
        time = pl.zeros(len(table), pl.Int64, eager=True)
        if name is not None:
            time, unit = _time(origin, table[name], self.time_unit)
        events = table.select(
            user=plain_ids(table[user]),
            item=plain_ids(table[item]),
            rating=pl.lit(None, pl.Float64) if rating is None else pl.col(rating),
            time=time,
        )
        return checked(events, origin, self.scale, unit, rating is not None), rows

    def _catalogue(self, files: Place | Files) -> Rows:
        key, title = str(self.columns.id), str(self.columns.title)
        rows, origin = self._table(files, {key: pl.String(), title: pl.String()}, [key], None)
        ids = plain_ids(rows.table[key])
        refuse(origin, f"has no {key}", ids, ids.is_null())
        refuse(origin, f"repeats a {key}", ids, ~ids.is_first_distinct())
        return rows._replace(table=pl.DataFrame({"item": ids, "title": rows.table[title]}))

    def _table(
        self, files: Place | Files, types: Mapping[str, pl.DataType], needed: Sequence[str], time: str | None
    ) -> tuple[Rows, Origin]:
        """The columns in `types` of a table; `time` is the one of times."""
        return joined(files, lambda file: self._file(file, types, needed, time), self.broken_lines)

    def _file(
        self, file: Path, types: Mapping[str, pl.DataType], needed: Sequence[str], time: str | None
    ) -> Rows:
        match _format_of(file):
            case "jsonl":
                texts = {name: pl.String() if kind == ID else kind for name, kind in types.items()}
                rows = json_rows(file, texts, needed, self.broken_lines, ())
                return rows._replace(
                    table=rows.table.cast({name: ID for name, kind in types.items() if kind == ID})
                )
            case "parquet":
                return Rows(_parquet(file, types, time), {}, {})
            case kind:
                form = self._form(file, kind, list(types))
                last = None if self.time_unit == "step" else time
                try:
                    return columns(file, form, types, self.broken_lines, last)
                except MissingColumn as error:
                    raise MissingColumn(f"{error} {self._separated(form.separator)}") from error

    def _separated(self, separator: str) -> str:
        if self.separator is None:
            return f"Its values were taken to stand between {separator!r}; dataset.separator says if not."
        return f"dataset.separator={self.separator} is that of both tables, where they are text."

    def _form(self, file: Path, kind: str, wanted: Sequence[str]) -> Form:
        separator = "\t" if self.separator in TAB else self.separator
        if separator is not None and (not separator or set(separator) & set('"\r\n')):
            raise InvalidInput(
                f"dataset.separator must be one or more characters, none of them a quote or a line end, or "
                f"null; got {separator!r}."
            )
        if separator is None:
            separator = "\t" if kind == "tsv" else sniffed(file, wanted)
        if not all(name.isdecimal() for name in wanted):
            return Form(separator, None)
        return counted(file, separator)


def _told(name: str, counts: Mapping[str, int]) -> dict[str, int]:
    return {f"{name}: {why}": count for why, count in counts.items()}


def _format(files: Place | Files) -> str:
    kinds = {_format_of(file): file for file in each(files)}
    if len(kinds) > 1:
        examples = " and ".join(f"{file} ({kind})" for kind, file in sorted(kinds.items()))
        raise InvalidInput(f"{files} are of several formats, {examples}: one table is of one format.")
    return next(iter(kinds))


def _format_of(file: Place) -> str:
    ends = [end[1:].lower() for end in file.suffixes]
    last = next((end for end in reversed(ends) if end not in PACKED), "")
    if last not in (*TEXT, *JSON, "parquet"):
        known = ", ".join(f".{end}" for end in (*TEXT, *JSON, "parquet"))
        raise InvalidInput(
            f"{file} is of no known format: its name must end in {known} (and .gz, .bz2, .xz or .zst where "
            "packed)."
        )
    return "jsonl" if last in JSON else last if last in ("tsv", "parquet") else "csv"


def _parquet(file: Path, types: Mapping[str, pl.DataType], time: str | None) -> pl.DataFrame:
    """The columns of a Parquet file in the wanted types; times that are dates or numbers stay such."""
    try:
        there = pl.scan_parquet(file, glob=False)
        schema = there.collect_schema()
        names = columns_of(file, list(types), schema.names())
        packed.refuse_rows(file, there.select(pl.len()).collect().item(), len(types))
        packed.refuse_texts(file, there, [name for name in names.values() if schema[name] in LONG])
        read = {name: _read(schema, names[name], kind, name == time) for name, kind in types.items()}
        return collected(file, there.select(**read))
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        reason = str(error).partition("\n")[0].rstrip(".")
        raise InvalidInput(f"{file} is no Parquet table with {', '.join(types)}: {reason}.") from error


def _read(schema: pl.Schema, name: str, kind: pl.DataType, is_time: bool) -> pl.Expr:
    column, there = pl.col(name), schema[name]
    if is_time and there.is_temporal():
        return column
    if is_time and there.is_integer() and there != pl.UInt64:
        return column.cast(pl.Int64)
    return column.cast(pl.String).cast(ID) if kind == ID else column.cast(kind)


def _time(file: Origin, values: pl.Series, unit: Unit) -> tuple[pl.Series, Unit | Literal["date"]]:
    """Times as whole numbers, and their unit."""
    if not values.dtype.is_temporal():
        numbers = values if values.dtype == pl.Int64 else whole_numbers(values)
        if numbers.null_count() < len(values):
            wrong = numbers.is_null() & values.is_not_null()
            refuse(file, "has a time that is no whole number", values, wrong)
            return numbers, unit
    dates = _dates(values) if values.dtype == pl.String else values
    refuse(
        file,
        "has a time that is no whole number nor a date like 2024-01-31T23:59:59",
        values,
        dates.is_null(),
    )
    return dates.dt.epoch("ms"), "date"


def _dates(texts: pl.Series) -> pl.Series:
    """The moments of ISO 8601 texts; null where one is none."""
    plain = texts.str.strip_chars().str.replace(r"\s*(UTC|GMT)$", "")
    iso = pl.DataFrame({"t": plain}).select(pl.when(pl.col("t").str.contains(r"^\d{4}-\d\d-\d\d")).then("t"))
    return iso["t"].str.to_datetime(time_unit="ms", time_zone="UTC", strict=False)
