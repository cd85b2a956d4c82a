"""Whether a table ends where it should: a file cut short by a broken transfer is not to be read as whole.

Known    a file that ends in a line end is whole. Where it does not, a last row with too few columns is cut,
         and so is a last time that is shorter than all others, or before all of them and shorter than
         some or less than a fourth of each.
Unknown  otherwise the last value may be cut or not (881 of 8812): such a row is taken, told and counted,
         unless its last column is not read or ends in a quote.
"""

from __future__ import annotations

import csv
from pathlib import Path

import polars as pl

from goracs.data.readers.encoding import as_windows, shown
from goracs.data.readers.raw import blocks, last_line
from goracs.types import InvalidInput

UNKNOWN = {"last row without a line end, taken as whole": 1}
ADVICE = "It is cut short: get it again. If that row is whole, end the file with a line end."


def fields(line: bytes, separator: str, quoted: bool) -> list[str]:
    """The values of one line of a table."""
    text = as_windows(line) or line.decode()
    text = text.removesuffix("\r")
    if not quoted:
        return text.split(separator)
    # a carriage return within a line is part of a value, but the end of a line for csv
    return next(csv.reader([text.replace("\r", " ")], delimiter=separator), [""])


def open_ended(file: Path, separator: str, quoted: bool, columns: int) -> bool:
    """Whether the last value of a table may be cut.

    Raises:
        InvalidInput: the last line has no line end and fewer columns, or a value whose quote is not closed.
    """
    line = last_line(file)
    if line is None:
        return False
    closed = quoted and line.endswith(b'"')
    if quoted and line.count(b'"') % 2:  # the last line of a quoted value that has several, or a cut one
        if sum(block.count(b'"') for block in blocks(file)) % 2:
            raise InvalidInput(
                f"{file} ends in the middle of a quoted value, without a line end: {_shown(line)}. {ADVICE}"
            )
        return not closed
    found = fields(line, separator, quoted)
    if len(found) < columns:
        raise InvalidInput(
            f"{file} ends in the middle of a row: its last line has {len(found)} of {columns} columns and no "
            f"line end: {_shown(line)}. {ADVICE}"
        )
    return not closed


def refuse_cut_time(file: Path, times: pl.Series) -> None:
    """Raise InvalidInput if the last of some times (i64 or str), behind which no line end is, must be cut."""
    texts = times.cast(pl.String)
    last, others = texts[-1], texts[:-1]
    lengths = others.str.len_chars()
    if last is None or others.null_count() == len(others):
        return
    numbers = texts.cast(pl.Float64, strict=False)
    first = numbers[-1] is not None and (numbers[:-1] > numbers[-1]).all()  # a date is no number
    longer = lengths > len(last)
    if longer.all() or (first and (longer.any() or (numbers[:-1] > 4 * numbers[-1]).all())):
        raise InvalidInput(
            f"{file} ends in the middle of a time: its last row has {last!r} and no line end, while other "
            f"times are as long as {others[int(lengths.arg_max() or 0)]!r}. {ADVICE}"
        )


def _shown(line: bytes) -> str:
    return shown(line.decode(errors="replace"))
