"""What a packed file may unpack to: a small one must fill neither memory nor disk.

Limit     `ROOM` bytes in any case, above that `RATIO` times the file's own size. Text packs to a tenth, a
          table that says the same again and again to a hundredth; a bomb to a thousandth and less.
Looked    bz2 and xz while they are unpacked (`goracs.data.readers.raw`); zstd by what its blocks can hold at
          most, Parquet by its rows, neither unpacked; gzip and Parquet's texts, which cannot say it, by
          unpacking files up to `SMALL` once: a second or two. A larger gzip can hold 1,032 times its size.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import IO

import polars as pl

from goracs.types import InvalidInput

ROOM = 1 << 28
RATIO = 200
SMALL = 1 << 26
DEFLATED = 1032  # bytes that one byte of gzip can stand for
BLOCK = 1 << 22
ZSTD_MAGIC, ZSTD_BLOCK = 0xFD2FB528, 1 << 17  # of a block: bytes at most
VALUE = 8  # bytes of a value in memory
BY_ENGINE = (b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"x\x01", b"x\x9c", b"x\xda")  # gzip, zstd, zlib


def by_engine(start: bytes) -> bool:
    """Whether the engine would unpack content that begins so, in a file or in memory, without a limit."""
    return start.startswith(BY_ENGINE)


def allowed(file: Path) -> int:
    """Bytes that a file may unpack to."""
    return max(ROOM, RATIO * file.stat().st_size)


def refuse_large(file: Path, size: int) -> None:
    """Raise InvalidInput for a file that holds so many bytes, or more, where that is too many."""
    if size > allowed(file):
        raise InvalidInput(
            f"{file} holds more than {allowed(file) >> 20:,} MiB in {file.stat().st_size:,} bytes: it would "
            "fill the memory. If it really is what you mean to read, unpack it and name the unpacked file."
        )


def refuse_gzip(file: Path) -> None:
    """Raise InvalidInput for a gzip file that holds too much."""
    stamp = file.stat()
    if ROOM / DEFLATED < stamp.st_size <= SMALL:
        refuse_large(file, _unpacked(file.absolute(), stamp.st_size, stamp.st_mtime_ns))


@cache
def _unpacked(file: Path, _size: int, _touched: int) -> int:
    """Bytes that a gzip file holds, or more than it may; where it is cut short, those up to there."""
    total = 0
    try:
        with gzip.open(file, "rb") as opened:
            while total <= allowed(file) and (block := opened.read(BLOCK)):
                total += len(block)
    except (EOFError, OSError, zlib.error):  # told by whoever reads it
        pass
    return total


def refuse_zstd(file: Path) -> None:
    """Raise InvalidInput for a zstd file whose blocks could hold too much."""
    total = 0
    with file.open("rb") as opened:
        for size in _blocks(opened):
            total += size
            if total > ROOM:
                refuse_large(file, total)


def refuse_rows(file: Path, rows: int, columns: int) -> None:
    """Raise InvalidInput for a table whose rows are too many for its size."""
    refuse_large(file, rows * columns * VALUE)


def refuse_texts(file: Path, table: pl.LazyFrame, columns: Sequence[str]) -> None:
    """Raise InvalidInput for a Parquet file whose texts are too long: one may stand in each row."""
    if columns and file.stat().st_size <= SMALL:
        lengths = [pl.col(name).cast(pl.String).str.len_bytes().cast(pl.Int64).sum() for name in columns]
        refuse_large(file, sum(table.select(lengths).collect(engine="streaming").row(0)))


def _blocks(opened: IO[bytes]) -> Iterator[int]:
    """Bytes that each block of each frame can stand for (RFC 8878); ends where it is no frame."""
    while len(magic := opened.read(4)) == 4:
        found = int.from_bytes(magic, "little")
        if found & 0xFFFFFFF0 == 0x184D2A50:  # to be skipped
            opened.seek(int.from_bytes(opened.read(4), "little"), 1)
            continue
        if found != ZSTD_MAGIC or not (head := opened.read(1)):
            return
        single, checksum = head[0] >> 5 & 1, head[0] >> 2 & 1
        sized = (single, 2, 4, 8)[head[0] >> 6]
        opened.seek((not single) + (0, 1, 2, 4)[head[0] & 3] + sized, 1)
        yield from _of_frame(opened)
        opened.seek(4 * checksum, 1)


def _of_frame(opened: IO[bytes]) -> Iterator[int]:
    last = False
    while not last and len(head := opened.read(3)) == 3:
        told = int.from_bytes(head, "little")
        last, kind, size = bool(told & 1), told >> 1 & 3, told >> 3
        yield ZSTD_BLOCK if kind == 2 else size
        opened.seek(1 if kind == 1 else size, 1)
