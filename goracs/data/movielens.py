"""The MovieLens csv format (ml-latest and ml-latest-small): movies.csv and ratings.csv in one folder.

Columns   movies.csv: movieId, title. ratings.csv: userId, movieId, rating, timestamp (seconds). Others are
          left unread. UTF-8, any line end.
Source    F. Maxwell Harper, Joseph A. Konstan: The MovieLens Datasets. ACM TiiS 5(4), 2015.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from goracs.data.dataset import Interactions
from goracs.types import InvalidInput

BUNDLED = Path(__file__).parents[1] / "bundled" / "ml-latest-small"
MOVIES = {"movieId": pl.String(), "title": pl.String()}
RATINGS = {"userId": pl.String(), "movieId": pl.String(), "rating": pl.Float64(), "timestamp": pl.Int64()}


@dataclass(frozen=True)
class MovieLens:
    """Reader of a MovieLens folder.

    Args:
        folder: path of the folder; `bundled` is the copy of ml-latest-small inside this package.
    """

    folder: str

    def digests(self) -> dict[str, str]:
        """File name -> sha256 (hex) of the two files; InvalidInput if one is missing."""
        return {name: _sha256(self._file(name)) for name in ("movies.csv", "ratings.csv")}

    def read(self) -> Interactions:
        """The ratings and the films.

        Returns: events and items in file order.

        Raises:
            InvalidInput: a missing folder, file or column, a file without rows, a value that is missing or
                not a number, a film listed twice.
        """
        movies, ratings = self._file("movies.csv"), self._file("ratings.csv")
        items = _table(movies, MOVIES)
        events = _table(ratings, RATINGS)
        _check_films(movies, items)
        _check_events(ratings, events)
        return Interactions(
            events=events.select(user="userId", item="movieId", rating="rating", time="timestamp"),
            items=items.select(item="movieId", title="title"),
        )

    def _file(self, name: str) -> Path:
        folder = BUNDLED if self.folder == "bundled" else Path(self.folder).expanduser()
        if not folder.is_dir():
            raise InvalidInput(
                f"no folder {folder}: dataset.reader.folder must be a folder with movies.csv and "
                "ratings.csv, or the word bundled."
            )
        if not (folder / name).is_file():
            raise InvalidInput(
                f"no file {name} in {folder}: a MovieLens folder has movies.csv and ratings.csv."
            )
        return folder / name


def _sha256(file: Path) -> str:
    with file.open("rb") as raw:
        return hashlib.file_digest(raw, "sha256").hexdigest()


def _table(file: Path, columns: Mapping[str, pl.DataType]) -> pl.DataFrame:
    needed = ", ".join(columns)
    try:
        frame = pl.read_csv(file, schema_overrides=columns, columns=list(columns))
    except pl.exceptions.PolarsError as error:
        reason = str(error).partition("\n")[0]
        raise InvalidInput(f"{file} is not a csv file with the columns {needed}: {reason}.") from error
    if frame.is_empty():
        raise InvalidInput(f"{file} has no rows below its header: the data set is empty.")
    return frame


def _check_films(file: Path, items: pl.DataFrame) -> None:
    _refuse_rows(file, "has no movieId", items["movieId"].is_null())
    _refuse_rows(file, "repeats a movieId", ~items["movieId"].is_first_distinct())


def _check_events(file: Path, events: pl.DataFrame) -> None:
    for name in RATINGS:
        _refuse_rows(file, f"has no {name}", events[name].is_null())
    _refuse_rows(file, "has a rating that is not finite", ~events["rating"].is_finite())


def _refuse_rows(file: Path, fault: str, wrong: pl.Series) -> None:
    rows = wrong.arg_true()
    if len(rows):
        raise InvalidInput(
            f"{file} {fault} in {len(rows)} of its rows, first in row {rows[0] + 1} of the data."
        )
