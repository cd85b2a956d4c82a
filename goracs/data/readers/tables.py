"""Anybody's own two tables: interactions and items as CSV, TSV, JSON lines or Parquet.

Format    by the end of a file's name: .csv, .tsv, .jsonl (.json, .ndjson) or .parquet, and .gz, .bz2 or .xz
          behind it where it is compressed.
Columns   are named in the configuration; others are not read. Ids may be texts or whole numbers.
Time      whole numbers in `time_unit`; or dates, which are read as UTC: ISO 8601 texts, dates of Parquet.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import polars as pl

from goracs.data.dataset import Dataset, Interactions
from goracs.data.readers.delimited import columns
from goracs.data.readers.events import Unit, checked, refuse
from goracs.data.readers.raw import MissingColumn, collected, digest, found, json_lines, source
from goracs.types import InvalidInput

FORMATS = {
    "csv": "csv",
    "tsv": "tsv",
    "jsonl": "jsonl",
    "json": "jsonl",
    "ndjson": "jsonl",
    "parquet": "parquet",
}
PACKED = ("gz", "bz2", "xz")
SEPARATORS = {"csv": ",", "tsv": "\t"}
HINT = (
    "dataset.columns says what they are called. A log without ratings (dataset.columns.rating=null) goes "
    "with task=seqrec. A table without a time (dataset.columns.time=null) is in the "
    "order of its events, which split=leave_one_out split.ties=file can use and no other split."
)


@dataclass(frozen=True)
class Columns:
    """What the columns are called: `rating` or `time` None where there is none, `id` that of the items."""

    user: str
    item: str
    rating: str | None
    time: str | None
    id: str
    title: str


@dataclass(frozen=True, kw_only=True)
class Tables(Dataset):
    """Reader of the two tables.

    Args:
        interactions: path of the events.
        items: path of the catalogue.
        columns: what the columns are called.
        time_unit: s or ms, of times that are numbers.
        broken_lines: so many broken lines of a file of JSON lines may be left out, >= 0.
    """

    files: ClassVar[tuple[str, ...]] = ("interactions", "items")

    interactions: str
    items: str
    columns: Columns
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
        return {f"{name}.{_format(file)}": digest(file) for name, file in files.items()}

    def read(self) -> Interactions:
        """The two tables.

        Raises:
            InvalidInput: a missing file or column, an unknown format, a damaged file, a missing or wrong
                value, an item listed twice.
        """
        events, left_out = self._events(self._interactions())
        items, lost = self._catalogue(self._items())
        excluded = {f"interactions: {why}": count for why, count in left_out.items()}
        excluded |= {f"items: {why}": count for why, count in lost.items()}
        timed, rated = self.columns.time is not None, self.columns.rating is not None
        return Interactions(events, items, excluded, timed=timed, rated=rated)

    def _interactions(self) -> Path:
        return found(self.interactions, "dataset.interactions")

    def _items(self) -> Path:
        return found(self.items, "dataset.items")

    def _events(self, file: Path) -> tuple[pl.DataFrame, dict[str, int]]:
        names = self.columns
        types: dict[str, pl.DataType] = {names.user: pl.String(), names.item: pl.String()}
        if names.rating is not None:
            types[names.rating] = pl.Float64()
        if names.time is not None:
            types[names.time] = pl.String()
        try:
            table, left_out = _table(file, types, list(types), self.broken_lines)
        except MissingColumn as error:
            raise InvalidInput(f"{error} {HINT}") from error
        time, unit = pl.zeros(len(table), pl.Int64, eager=True), self.time_unit
        if names.time is not None:
            time, unit = _time(file, table[names.time], unit)
        rating = pl.lit(None, pl.Float64) if names.rating is None else pl.col(names.rating)
        rows = table.select(user=names.user, item=names.item, rating=rating, time=time)
        rated = names.rating is not None
        return checked(rows, file, self.scale, unit if names.time else "s", rated), left_out

    def _catalogue(self, file: Path) -> tuple[pl.DataFrame, dict[str, int]]:
        names = self.columns
        types = {names.id: pl.String(), names.title: pl.String()}
        table, left_out = _table(file, types, [names.id], self.broken_lines)
        ids = table[names.id]
        refuse(file, f"has no {names.id}", ids, ids.is_null())
        refuse(file, f"repeats a {names.id}", ids, ~ids.is_first_distinct())
        return table.select(item=names.id, title=names.title), left_out


def _format(file: Path) -> str:
    ends = [end[1:].lower() for end in file.suffixes]
    last = next((end for end in reversed(ends) if end not in PACKED), "")
    if last not in FORMATS:
        known = ", ".join(f".{end}" for end in FORMATS)
        raise InvalidInput(
            f"{file} is of no known format: its name must end in {known} (and .gz where packed)."
        )
    return FORMATS[last]


def _table(
    file: Path, types: Mapping[str, pl.DataType], needed: Sequence[str], broken_lines: int
) -> tuple[pl.DataFrame, dict[str, int]]:
    """The columns in `types` of a table, and why -> how many of its lines were left out."""
    kind = _format(file)
    if kind == "jsonl":
        return json_lines(file, types, needed, broken_lines)
    if kind == "parquet":
        return _parquet(file, types), {}
    return columns(file, source(file), SEPARATORS[kind], types, header=True), {}


def _parquet(file: Path, types: Mapping[str, pl.DataType]) -> pl.DataFrame:
    """The columns of a Parquet file in the wanted types; dates stay what they are."""
    try:
        table = collected(file, pl.scan_parquet(file, glob=False).select(*types))
        dates = [name for name in types if table[name].dtype.is_temporal()]
        return table.cast({name: kind for name, kind in types.items() if name not in dates})
    except pl.exceptions.ColumnNotFoundError as error:
        names = ", ".join(pl.read_parquet_schema(file))
        raise MissingColumn(f"{file} lacks one of the columns {', '.join(types)}: it has {names}.") from error
    except pl.exceptions.PolarsError as error:
        reason = str(error).partition("\n")[0].rstrip(".")
        raise InvalidInput(f"{file} is no Parquet table with {', '.join(types)}: {reason}.") from error


def _time(file: Path, values: pl.Series, unit: Unit) -> tuple[pl.Series, Unit]:
    """Times as whole numbers, and their unit: seconds for dates, milliseconds if they have fractions."""
    numbers = values.cast(pl.Int64, strict=False) if values.dtype == pl.String else None
    if numbers is not None and numbers.null_count() < len(values):
        refuse(file, "has a time that is no whole number", values, numbers.is_null() & values.is_not_null())
        return numbers, unit
    dates = values
    if values.dtype == pl.String:
        iso = pl.DataFrame({"t": values}).select(
            pl.when(pl.col("t").str.contains(r"^\d{4}-\d\d-\d\d")).then("t")
        )
        dates = iso["t"].str.to_datetime(time_unit="ms", time_zone="UTC", strict=False)
    refuse(
        file,
        "has a time that is no whole number nor a date like 2024-01-31T23:59:59",
        values,
        dates.is_null(),
    )
    milliseconds = dates.dt.epoch("ms")
    whole = bool((milliseconds % 1000 == 0).all())
    return (milliseconds // 1000, "s") if whole else (milliseconds, "ms")
