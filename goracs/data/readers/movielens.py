"""The MovieLens layouts, and MovieTweetings', which is one of them: the files of one folder.

Layouts   u.data (tab) and u.item (|), as in 100k; ratings.dat and movies.dat (::), as in 1M, 10M and
          MovieTweetings; ratings.csv and movies.csv with a header, as in 20M and all later ones.
          Each file may be compressed, with .gz, .bz2 or .xz behind its name.
Columns   user, item, rating, time (seconds); item, title. Others are left unread.
Text      UTF-8; u.item and movies.dat that are not, are latin-1, as their data sets were published.
Source    F. Maxwell Harper, Joseph A. Konstan: The MovieLens Datasets. ACM TiiS 5(4), 2015.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, NamedTuple

import polars as pl

from goracs.data.dataset import Dataset, Interactions
from goracs.data.readers.delimited import columns
from goracs.data.readers.events import checked, refuse
from goracs.data.readers.raw import digest, source, unpacked
from goracs.types import InvalidInput

BUNDLED = Path(__file__).parents[2] / "bundled" / "ml-latest-small"
ENDINGS = ("", ".gz", ".bz2", ".xz")
EVENT = {"user": pl.String(), "item": pl.String(), "rating": pl.Float64(), "time": pl.Int64()}
ITEM = {"item": pl.String(), "title": pl.String()}
RATINGS = {"userId": "user", "movieId": "item", "rating": "rating", "timestamp": "time"}
MOVIES = {"movieId": "item", "title": "title"}


class Layout(NamedTuple):
    """The two files of a layout and what reads each."""

    ratings: str
    movies: str
    read_ratings: Callable[[Path], pl.DataFrame]
    read_movies: Callable[[Path], pl.DataFrame]


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
    items = layout.read_movies(movies)
    if items.is_empty():
        raise InvalidInput(f"{movies} lists no film: the data set is empty.")
    refuse(movies, "has no item id", items["item"], items["item"].is_null())
    refuse(movies, "repeats an item id", items["item"], ~items["item"].is_first_distinct())
    return Interactions(checked(layout.read_ratings(ratings), ratings, scale, "s"), items)


def _layout(path: str) -> tuple[Layout, Path, Path]:
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


def _csv_ratings(file: Path) -> pl.DataFrame:
    types = {name: EVENT[ours] for name, ours in RATINGS.items()}
    return columns(file, source(file), ",", types, header=True).rename(RATINGS)


def _csv_movies(file: Path) -> pl.DataFrame:
    types = {name: ITEM[ours] for name, ours in MOVIES.items()}
    return columns(file, source(file), ",", types, header=True).rename(MOVIES)


def _tab_ratings(file: Path) -> pl.DataFrame:
    return columns(file, source(file), "\t", EVENT, header=False)


def _colon_ratings(file: Path) -> pl.DataFrame:
    return columns(file, unpacked(file).replace(b"::", b"\t"), "\t", EVENT, header=False)


def _movies(pattern: str) -> Callable[[Path], pl.DataFrame]:
    """A reader of lines that hold an item and a title as the two groups of `pattern`."""

    def read_movies(file: Path) -> pl.DataFrame:
        rows = [line.rstrip("\r") for line in _text(file).split("\n") if line.strip()]
        lines = pl.Series("line", rows, pl.String())
        refuse(file, "is not of its layout", lines, ~lines.str.contains(pattern))
        return lines.to_frame().select(
            item=pl.col("line").str.extract(pattern, 1), title=pl.col("line").str.extract(pattern, 2)
        )

    return read_movies


def _text(file: Path) -> str:
    content = unpacked(file)
    try:
        return content.decode()
    except UnicodeDecodeError:
        return content.decode("latin-1")


LAYOUTS = (
    Layout("ratings.csv", "movies.csv", _csv_ratings, _csv_movies),
    Layout("ratings.dat", "movies.dat", _colon_ratings, _movies(r"^(.*?)::(.*?)(?:::[^:]*)?$")),
    Layout("u.data", "u.item", _tab_ratings, _movies(r"^([^|]*)\|([^|]*)")),
)
