"""Text that should be UTF-8: bytes that are not are read as Windows-1252, those alone, and counted by lines.

Rule     whatever is UTF-8 is read as such, also beside a byte that is not; so neither one wrong byte nor a
         whole file in Latin-1 (of which Windows-1252 is what is met) makes another title unreadable.
Limit    a guess is right for a few lines: more than `most` of them refuse the file.
Cost     only a file that the engine has refused comes here.
"""

from __future__ import annotations

import logging
from pathlib import Path

from goracs.data.readers.raw import unpacked
from goracs.types import InvalidInput

SHOWN = 80  # characters of a line in a message
LATIN1 = (0x81, 0x8D, 0x8F, 0x90, 0x9D)  # bytes that Windows-1252 does not know
WINDOWS = {
    0xDC00 + byte: bytes([byte]).decode("latin-1" if byte in LATIN1 else "cp1252")
    for byte in range(0x80, 0x100)
}
log = logging.getLogger("goracs")


def mended(file: Path, most: int | None) -> tuple[bytes, dict[str, int]]:
    """The content of a file in UTF-8, and why -> how many of its lines were read otherwise.

    Args:
        file: text, compressed or not.
        most: more lines that are not UTF-8 are refused; None: any number.

    Raises:
        InvalidInput: more such lines, or what `unpacked` refuses.
    """
    content = unpacked(file)
    lines, wrong = content.split(b"\n"), list[int]()
    for k, line in enumerate(lines):
        if (text := as_windows(line)) is not None:
            lines[k] = text.encode()
            wrong.append(k)
    if not wrong:
        return content, {}
    first = f"line {wrong[0] + 1}: {shown(lines[wrong[0]].decode())}"
    if most is not None and len(wrong) > most:
        raise InvalidInput(
            f"{file} is not text in UTF-8 in {len(wrong)} lines, more than dataset.broken_lines={most}, the "
            f"first is {first}. Save it as UTF-8, or raise that: such bytes are then read as Windows-1252."
        )
    log.warning(
        "%s is not UTF-8 in %d lines, whose other bytes are read as Windows-1252, first %s",
        *(file, len(wrong), first),
    )
    return b"\n".join(lines), noted(len(wrong), wrong[0] + 1)


def as_windows(line: bytes) -> str | None:
    """A line whose bytes that are not UTF-8 are read as Windows-1252; None if there are none."""
    if line.isascii():
        return None
    try:
        line.decode()
    except UnicodeDecodeError:
        return line.decode(errors="surrogateescape").translate(WINDOWS)
    return None


def noted(lines: int, first: int) -> dict[str, int]:
    """How lines that were read as Windows-1252 are counted."""
    return {f"line that is not UTF-8, read as Windows-1252 (the first: {first})": lines} if lines else {}


def shown(text: str) -> str:
    """The start of a line, for a message."""
    text = text.strip()
    return repr(text if len(text) <= SHOWN else f"{text[:SHOWN]}...")
