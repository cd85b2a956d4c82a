"""Raw files as they lie: found, known by their content, unpacked.

Compression   is seen by a file's first bytes, whatever its name. The engine (polars, streaming) unpacks gzip
              and zstd as it goes; bz2 and xz are unpacked in memory. A file that ends too early is refused.
"""

from __future__ import annotations

import bz2
import gzip
import hashlib
import lzma
import re
import zlib
from collections.abc import Iterator
from functools import cache
from io import BytesIO
from pathlib import Path
from types import ModuleType
from typing import IO, NamedTuple

import polars as pl

from goracs.data.readers import packed
from goracs.data.readers.remote import refuse_url
from goracs.types import InvalidInput

BLOCK = 1 << 25  # bytes that are looked at at once
HEAD = 1 << 16  # bytes that are looked at of a start or an end: more than a line has
REACH = 1 << 10  # bytes of a block that are looked at again with the next
BOM = b"\xef\xbb\xbf"
UTF16 = (b"\xff\xfe", b"\xfe\xff")
ZSTD = b"\x28\xb5\x2f\xfd"
MAGIC: dict[bytes, ModuleType] = {b"\x1f\x8b": gzip, b"BZh": bz2, b"\xfd7zXZ\x00": lzma}
CUT_SHORT = (EOFError, OSError, lzma.LZMAError, zlib.error)


class Rows(NamedTuple):
    """What a file holds, why -> how many lines were left out, and why -> how many were read by a guess."""

    table: pl.DataFrame
    left_out: dict[str, int]
    noted: dict[str, int]


def found(path: str, key: str) -> Path:
    """The file that the configured value `key` names; InvalidInput if there is none."""
    refuse_url(path, key)
    file = Path(path).expanduser()
    if not file.is_file():
        raise InvalidInput(f"no file {file}: {key} must name one.")
    return file


def digest(file: Path) -> str:
    """sha256 (hex) of a file's bytes, read once in a process while nobody touches it: every job asks."""
    stamp = file.stat()
    return _digest(file.absolute(), stamp.st_size, stamp.st_mtime_ns)


@cache
def _digest(file: Path, _size: int, _touched: int) -> str:
    with file.open("rb") as raw:
        return hashlib.file_digest(raw, "sha256").hexdigest()


def unpacked(file: Path) -> bytes:
    """The whole content, without a byte order mark; InvalidInput if the file is cut short."""
    return b"".join(blocks(file))


def source(file: Path) -> Path | bytes:
    """What the engine reads: the file where it can unpack it by itself, else the content.

    Raises:
        InvalidInput: a file that unpacks to too much (`goracs.data.readers.packed`), or is cut short.
    """
    if _packer(file) in (bz2, lzma):
        return unpacked(file)
    _refuse_large(file)
    return file


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


def blocks(file: Path) -> Iterator[bytes]:
    """The content in pieces, without a byte order mark; InvalidInput for UTF-16 and a file cut short."""
    try:
        with _opened(file) as raw:
            yield _text(file, block := raw.read(BLOCK))
            total = len(block)
            while block := raw.read(BLOCK):
                total += len(block)
                if _packer(file) is not None:
                    packed.refuse_large(file, total)
                yield block
    except CUT_SHORT as error:
        raise _cut_short(file, error) from error


def matches(file: Path, pattern: re.Pattern[bytes]) -> bool:
    """Whether a pattern is found in the content; what it matches has no more than `REACH` bytes."""
    rest = b""
    for block in blocks(file):
        if pattern.search(rest + block):
            return True
        rest = block[-REACH:]
    return False


def head(file: Path) -> bytes:
    """The start of the content, without a byte order mark; what cannot be read is refused as by `blocks`."""
    try:
        with _opened(file, HEAD) as raw:
            return _text(file, raw.read(HEAD))
    except CUT_SHORT as error:
        raise _cut_short(file, error) from error


def last_line(file: Path) -> bytes | None:
    """What stands behind the last line end; None where that is nothing, as at the end of most files."""
    end = _tail(file, HEAD)
    return None if not end or end.endswith((b"\n", b"\r")) else end[end.rfind(b"\n") + 1 :]


def _tail(file: Path, size: int) -> bytes:
    if _packer(file) is None and not _is_zstd(file):
        with file.open("rb") as raw:
            raw.seek(max(0, file.stat().st_size - size))
            return raw.read()
    kept = b""
    for block in blocks(file):
        kept = (kept + block if len(block) < size else block)[-size:]
    return kept


def _text(file: Path, start: bytes) -> bytes:
    if start.startswith(UTF16):
        raise InvalidInput(f"{file} is text in UTF-16: save it as UTF-8.")
    text = start.removeprefix(BOM)
    refuse_packed(file, text)
    return text


def _opened(file: Path, size: int | None = None) -> IO[bytes]:
    """The content, of which only the first `size` bytes may be read if that is given."""
    _refuse_large(file)
    if _is_zstd(file):
        return BytesIO(_zstd_head(file, size) if size else _zstd(file))
    packer = _packer(file)
    opened: IO[bytes] = packer.open(file, "rb") if packer else file.open("rb")
    return opened


def refuse_packed(file: Path, content: bytes) -> None:
    """Raise InvalidInput for what is to be text and the engine would unpack."""
    if packed.by_engine(content):
        raise InvalidInput(
            f"{file} begins as what zlib or a second packer makes: unpack it, and pack it at most once, "
            "by gzip, bz2, xz or zstd."
        )


def _refuse_large(file: Path) -> None:
    """What the engine unpacks by itself, seen before it does."""
    if _is_zstd(file):
        packed.refuse_zstd(file)
    elif _packer(file) is gzip:
        packed.refuse_gzip(file)
    else:
        refuse_packed(file, _start(file))


def _packer(file: Path) -> ModuleType | None:
    start = _start(file)
    return next((packer for magic, packer in MAGIC.items() if start.startswith(magic)), None)


def _is_zstd(file: Path) -> bool:
    return _start(file).startswith(ZSTD)


def _start(file: Path) -> bytes:
    with file.open("rb") as raw:
        return raw.read(max(map(len, (*MAGIC, ZSTD))))


def _zstd_head(file: Path, size: int) -> bytes:
    """The first lines, which are all of it where it has fewer bytes."""
    try:
        lines = collected(file, pl.scan_lines(file, glob=False).head(1 + size // 64))["line"]
    except pl.exceptions.PolarsError as error:
        raise _no_text(file, error) from error
    return "\n".join(lines).encode()[:size]


def _zstd(file: Path) -> bytes:
    """The content by the engine, which alone can unpack it: as one value of a table that has only one."""
    columns = {"text": pl.String(), "rest": pl.String()}
    query = pl.scan_csv(
        file,
        has_header=False,
        separator="\x01",
        eol_char="\x00",
        quote_char=None,
        schema=columns,
        glob=False,
        missing_columns="insert",
    )
    try:
        rows = collected(file, query)
    except pl.exceptions.PolarsError as error:
        raise _no_text(file, error) from error
    if len(rows) > 1 or rows["rest"].null_count() < len(rows):
        raise InvalidInput(f"{file} holds bytes that no text has (0 or 1): it is no table.")
    return b"".join(text.encode() for text in rows["text"])


def _no_text(file: Path, error: Exception) -> InvalidInput:
    return InvalidInput(f"{file} is not text in UTF-8 ({error}): unpack it first (zstd -d).")


def _cut_short(file: Path, error: Exception) -> InvalidInput:
    return InvalidInput(
        f"{file} cannot be read to its end ({error}): it is cut short or damaged, get it again."
    )
