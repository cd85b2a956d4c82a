"""The MovieLens layouts, and MovieTweetings', which is one of them: the files of one folder.

Layouts   u.data (tab) and u.item (|), as in 100k; ratings.dat and movies.dat (::), as in 1M, 10M and
          MovieTweetings; ratings.csv and movies.csv with a header, as in 20M and all later ones.
          Each file may be compressed, with .gz, .bz2, .xz or .zst behind its name.
Columns   user, item, rating, time (seconds); item, title. Others are left unread.
Text      UTF-8; bytes that are not are Windows-1252, however many: the older sets were published in Latin-1.
Source    F. Maxwell Harper, Joseph A. Konstan: The MovieLens Datasets. ACM TiiS 5(4), 2015.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, NamedTuple

import polars as pl

from goracs.data.codes import ID
from goracs.data.dataset import Dataset, Interactions
from goracs.data.readers.delimited import Form, columns
from goracs.data.readers.encoding import mended
from goracs.data.readers.ending import UNKNOWN, open_ended
from goracs.data.readers.events import checked, plain_ids, refuse
from goracs.data.readers.raw import Rows, digest
from goracs.data.readers.remote import refuse_url
from goracs.types import InvalidInput

BUNDLED = Path(__file__).parents[2] / "bundled" / "ml-latest-small"
ENDINGS = ("", ".gz", ".bz2", ".xz", ".zst")
EVENT = {"user": ID, "item": ID, "rating": pl.Float64(), "time": pl.Int64()}
ITEM = {"item": pl.String(), "title": pl.String()}
RATINGS = {"userId": "user", "movieId": "item", "rating": "rating", "timestamp": "time"}
MOVIES = {"movieId": "item", "title": "title"}


class Layout(NamedTuple):
    """The two files of a layout and what reads each."""

    ratings: str
    movies: str
    read_ratings: Callable[[Path], Rows]
    read_movies: Callable[[Path], Rows]


@dataclass(frozen=True, kw_only=True)
class MovieLens(Dataset):
    """Reader of a folder in any of the layouts.

    Args:
        path: the folder; `bundled` is the copy of ml-latest-small inside this package.
    """

    files: ClassVar[tuple[str, ...]] = ("path",)

    path: str

    def digests(self) -> dict[str, str]:
        """The layout's two files -> sha256 (hex); InvalidInput if the folder has none of the layouts."""
        layout, ratings, movies = _layout(self.path)
        return {layout.ratings: digest(ratings), layout.movies: digest(movies)}

    def read(self) -> Interactions:
        """The ratings and the films.

        Raises:
            InvalidInput: a missing folder, file or column, a file without rows, a value that is missing or
                not a number, a rating off the scale, a film listed twice.
        """
        return read(self.path, self.scale)


def read(path: str, scale: Sequence[float] | None) -> Interactions:
    """The ratings and the films of a folder; see `MovieLens`."""
    layout, ratings, movies = _layout(path)
    items, events = layout.read_movies(movies), layout.read_ratings(ratings)
    ids = plain_ids(items.table["item"])
    refuse(movies, "has no item id", ids, ids.is_null())
    refuse(movies, "repeats an item id", ids, ~ids.is_first_distinct())
    noted = {f"{layout.ratings}: {why}": count for why, count in events.noted.items()}
    noted |= {f"{layout.movies}: {why}": count for why, count in items.noted.items()}
    rated = events.table.with_columns(
        user=plain_ids(events.table["user"]), item=plain_ids(events.table["item"])
    )
    titles = items.table.with_columns(item=ids)
    return Interactions(checked(rated, ratings, scale, "s"), titles, noted=noted)


def _layout(path: str) -> tuple[Layout, Path, Path]:
    refuse_url(path, "dataset.path")
    folder = BUNDLED if path == "bundled" else Path(path).expanduser()
    if not folder.is_dir():
        raise InvalidInput(
            f"no folder {folder}: dataset.path must be a MovieLens folder, or the word bundled."
        )
    for layout in LAYOUTS:
        ratings, movies = _file(folder, layout.ratings), _file(folder, layout.movies)
        if ratings and movies:
            return layout, ratings, movies
    known = "; ".join(f"{layout.ratings} and {layout.movies}" for layout in LAYOUTS)
    raise InvalidInput(f"{folder} (dataset.path) is no MovieLens folder: it must hold the two files {known}.")


def _file(folder: Path, name: str) -> Path | None:
    return next((file for end in ENDINGS if (file := folder / f"{name}{end}").is_file()), None)


def _csv(names: Mapping[str, str], types: Mapping[str, pl.DataType]) -> Callable[[Path], Rows]:
    """A reader of a table whose first line names the columns, as `names` says for ours."""

    def read_table(file: Path) -> Rows:
        asked = {name: types[ours] for name, ours in names.items()}
        rows = columns(file, Form(",", None), asked, None, "timestamp")
        return rows._replace(table=rows.table.rename(dict(names)))

    return read_table


def _ratings(separator: str) -> Callable[[Path], Rows]:
    return lambda file: columns(file, Form(separator, list(EVENT)), EVENT, None, "time")


def _movies(separator: str, pattern: str) -> Callable[[Path], Rows]:
    """A reader of lines that hold an item and a title as the two groups of `pattern`."""

    def read_movies(file: Path) -> Rows:
        content, noted = mended(file, None)
        lines = pl.Series(
            "line", [line for line in content.decode().split("\n") if line.strip()], pl.String()
        )
        lines = lines.str.strip_suffix("\r")
        if lines.is_empty():
            raise InvalidInput(f"{file} lists no film: the data set is empty.")
        refuse(file, "is not of its layout", lines, ~lines.str.contains(pattern))
        parts = lines[0].count(separator) + 1
        if open_ended(file, separator, False, parts) and parts == len(ITEM):
            noted |= UNKNOWN
        titles = lines.to_frame().select(
            item=pl.col("line").str.extract(pattern, 1), title=pl.col("line").str.extract(pattern, 2)
        )
        return Rows(titles, {}, noted)

    return read_movies


LAYOUTS = (
    Layout("ratings.csv", "movies.csv", _csv(RATINGS, EVENT), _csv(MOVIES, ITEM)),
    Layout("ratings.dat", "movies.dat", _ratings("::"), _movies("::", r"^(.*?)::(.*?)(?:::[^:]*)?$")),
    Layout("u.data", "u.item", _ratings("\t"), _movies("|", r"^([^|]*)\|([^|]*)")),
)
