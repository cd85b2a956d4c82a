"""Text tables with one separator (csv, tsv and the like), by the columns that are wanted."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import polars as pl

from goracs.data.readers.raw import MissingColumn, collected
from goracs.types import InvalidInput


def columns(
    file: Path, content: Path | bytes, separator: str, types: Mapping[str, pl.DataType], header: bool
) -> pl.DataFrame:
    """Some columns of a table in UTF-8, in file order; quoted values may hold separators and line ends.

    Args:
        file: its name, for messages.
        content: the file, or what it holds.
        separator: one character.
        types: column -> type; others are not read. Without a header these are the columns, all of them.
        header: whether the first line names the columns.

    Raises:
        InvalidInput: a file cut short, not UTF-8, without rows, without one of the columns, or with a value
            that is not of its column's type.
    """
    needed = ", ".join(types)
    try:
        if header:
            table = pl.scan_csv(
                content, separator=separator, infer_schema=False, schema_overrides=types, glob=False
            )
        else:
            table = pl.scan_csv(content, separator=separator, has_header=False, schema=types, glob=False)
        frame = collected(file, table.select(*types))
    except pl.exceptions.ColumnNotFoundError as error:
        names = ", ".join(table.collect_schema())
        raise MissingColumn(f"{file} lacks one of the columns {needed}: it has {names}.") from error
    except pl.exceptions.PolarsError as error:
        reason = str(error).partition("\n")[0].rstrip(".")
        raise InvalidInput(f"{file} is not a table with the columns {needed}: {reason}.") from error
    if frame.is_empty():
        raise InvalidInput(f"{file} has no rows: the data set is empty.")
    return frame
