"""Tables that lie in one file or in many: which files a configured name means, and rows as if they were one.

Names    a name that is a file's is that file; else *, ?, [...] and ** (any folders) make a pattern.
         s3:// and gs:// name objects of a store likewise (`goracs.data.readers.remote`).
Order    the files of a pattern come in the order of their names, folder by folder, and so do their rows.
"""

from __future__ import annotations

import glob
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from goracs.data.readers.names import MissingColumn
from goracs.data.readers.raw import Rows, digest, found
from goracs.data.readers.remote import Remote, fetched, is_url, objects
from goracs.types import InvalidInput

Place = Path | Remote


@dataclass(frozen=True)
class Files:
    """Several files whose rows are one table; as text, what a message calls them.

    Args:
        name: the pattern.
        files: in order.
        rows: of each; none as long as they are not read.
    """

    name: str
    files: Sequence[Place]
    rows: Sequence[int] = ()

    def __str__(self) -> str:
        return f"{self.name} ({len(self.files)} files)"

    def place(self, row: int) -> str:
        """Where a row is, from 0 over all files: its file and its number there, from 1."""
        for file, rows in zip(self.files, self.rows, strict=True):
            if row < rows:
                return f"row {row + 1} of {file}"
            row -= rows
        raise IndexError(row)


def listed(path: str, key: str) -> Place | Files:
    """The file, or the files, that the configured value `key` names.

    Raises:
        InvalidInput: there is none, or what `objects` refuses.
    """
    if is_url(path):
        there = objects(path, key)
        return there[0] if len(there) == 1 else Files(path, there)
    pattern = Path(path).expanduser()
    if pattern.is_file() or not glob.has_magic(path):
        return found(path, key)
    matching = glob.iglob(str(pattern), recursive=True)  # noqa: PTH207 (whose patterns are relative)
    files = sorted(file for file in map(Path, matching) if file.is_file())
    if not files:
        raise InvalidInput(f"no file matches {pattern}: {key} must name a file, or several by a pattern.")
    return files[0] if len(files) == 1 else Files(str(pattern), files)


def each(files: Place | Files) -> Sequence[Place]:
    """The files, in order."""
    return files.files if isinstance(files, Files) else [files]


def digest_of(files: Place | Files) -> str:
    """sha256 (hex) of a file's bytes; of several files, of their digests in order; see `Remote.digest`."""
    if isinstance(files, Files):
        return hashlib.sha256("\n".join(map(digest_of, files.files)).encode()).hexdigest()
    return files.digest if isinstance(files, Remote) else digest(files)


def joined(
    files: Place | Files, one: Callable[[Path], Rows], most_broken: int | None
) -> tuple[Rows, Place | Files]:
    """The rows of all files, and the files with the counts that place a row.

    Args:
        files: as `listed` gives them.
        one: reads one of them.
        most_broken: so many lines may be left out in all; None: `one` knows how many.

    Raises:
        InvalidInput: what `one` refuses, files of different columns or types, more broken lines.
    """
    if not isinstance(files, Files):
        return _rows(files, one), files
    parts = [_part(files, number, one) for number in range(len(files.files))]
    _refuse_other_types(files, [part.table for part in parts])
    left_out, noted = _counts([part.left_out for part in parts]), _counts([part.noted for part in parts])
    if most_broken is not None and sum(left_out.values()) > most_broken:
        raise InvalidInput(
            f"{files} have {sum(left_out.values())} broken lines together, more than "
            f"dataset.broken_lines={most_broken}: {'; '.join(left_out)}. Mend the files or raise that."
        )
    sizes = [len(part.table) for part in parts]
    table = pl.concat([part.table for part in parts], how="vertical_relaxed")
    return Rows(table, left_out, noted), Files(files.name, files.files, sizes)


def _part(files: Files, number: int, one: Callable[[Path], Rows]) -> Rows:
    try:
        return _rows(files.files[number], one)
    except MissingColumn as error:
        raise MissingColumn(
            f"{error} It is file {number + 1} of the {len(files.files)} that {files.name} matches, which are "
            "read as one table and must all have these columns."
        ) from error


def _rows(place: Place, one: Callable[[Path], Rows]) -> Rows:
    if isinstance(place, Path):
        return one(place)
    with fetched(place) as copy:
        try:
            return one(copy)
        except InvalidInput as error:
            raise type(error)(str(error).replace(str(copy), place.url)) from None


def _refuse_other_types(files: Files, tables: Sequence[pl.DataFrame]) -> None:
    """Whole numbers may stand beside texts, as which they are read then."""
    first = tables[0].schema
    for file, table in zip(files.files, tables, strict=True):
        pairs = {name: {table.schema[name], first[name]} for name in first}
        other = [name for name, pair in pairs.items() if len(pair) > 1 and pair != {pl.Int64(), pl.String()}]
        if other:
            raise InvalidInput(
                f"{file} has {other[0]} as {table.schema[other[0]]}, but {files.files[0]} as "
                f"{first[other[0]]}: the files of one table ({files.name}) must have columns of one type."
            )


def _counts(of_files: Sequence[Mapping[str, int]]) -> dict[str, int]:
    """Without names of files: what is prepared does not know them."""
    return {
        f"file {number} of {len(of_files)}: {why}": count
        for number, counts in enumerate(of_files, 1)
        for why, count in counts.items()
    }
