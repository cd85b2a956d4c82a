"""The MovieLens reader and the Dataset: what they give on the bundled copy, what they refuse."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hydra.utils import instantiate
from omegaconf import OmegaConf

from goracs.data.dataset import Dataset
from goracs.data.movielens import MovieLens
from goracs.types import GoracsError

CONF = Path(__file__).parents[2] / "conf" / "dataset" / "movielens_small.yaml"
OFFICIAL = {  # sha256 of the files of the release of 26 September 2018
    "movies.csv": "5a5f32dd9bb3797b8e728a1b98958789d2b13f294a69fdfbc5727f8a9611aa07",
    "ratings.csv": "aa289ca83157595d0df6aea1be6a4ded676ddc4385472e8313a8ed9805352646",
}
MOVIES = 'movieId,title,genres\r\n1,Toy Story (1995),Comedy\r\n2,"American President, The (1995)",Drama\r\n'
RATINGS = "userId,movieId,rating,timestamp\r\n7,1,4.0,100\r\n7,2,3.5,90\r\n"


def folder(path: Path, movies: str = MOVIES, ratings: str = RATINGS) -> MovieLens:
    (path / "movies.csv").write_text(movies, encoding="utf-8", newline="")
    (path / "ratings.csv").write_text(ratings, encoding="utf-8", newline="")
    return MovieLens(folder=str(path))


def test_bundled_copy_equals_the_official_release() -> None:
    assert MovieLens(folder="bundled").digests() == OFFICIAL


def test_bundled_copy_keeps_its_terms_beside_it() -> None:
    terms = (Path(__file__).parents[2] / "goracs" / "bundled" / "ml-latest-small" / "README.txt").read_text()
    assert "under these same license conditions" in terms


def test_read_equals_the_files_in_file_order(tmp_path: Path) -> None:
    found = folder(tmp_path).read()
    assert found.events.rows() == [("7", "1", 4.0, 100), ("7", "2", 3.5, 90)]
    assert found.events.schema == {
        "user": pl.String,
        "item": pl.String,
        "rating": pl.Float64,
        "time": pl.Int64,
    }
    assert found.items.rows() == [("1", "Toy Story (1995)"), ("2", "American President, The (1995)")]
    assert found.items.schema == {"item": pl.String, "title": pl.String}


def test_read_keeps_leading_zeros_of_ids(tmp_path: Path) -> None:
    ratings = "userId,movieId,rating,timestamp\n007,01,4,100\n"
    assert folder(tmp_path, ratings=ratings).read().events.row(0) == ("007", "01", 4.0, 100)


def test_digests_is_unchanged_by_the_place_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    assert folder(tmp_path / "a").digests() == folder(tmp_path / "b").digests()


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (
            {"ratings": ""},
            r"ratings\.csv is not a csv file with the columns userId, movieId, rating, timestamp",
        ),
        ({"ratings": "userId,movieId,rating,timestamp\n"}, "no rows below its header"),
        ({"movies": "movieId,title\n"}, "no rows below its header"),
        (
            {"ratings": "userId,movieId,rating\n1,1,4\n"},
            r"columns userId, movieId, rating, timestamp.*timestamp",
        ),
        ({"ratings": "user,movieId,rating,timestamp\n1,1,4,5\n"}, "userId"),
        ({"movies": "movieId,name\n1,x\n"}, "title"),
        ({"ratings": "userId,movieId,rating,timestamp\n1,1,good,5\n"}, "good.*f64.*rating"),
        (
            {"ratings": "userId,movieId,rating,timestamp\n1,1,4,5\n1,1,,6\n"},
            "has no rating in 1 .*first in row 2",
        ),
        ({"ratings": "userId,movieId,rating,timestamp\n1,1,4\n"}, "has no timestamp in 1 "),
        ({"ratings": "userId,movieId,rating,timestamp\n1,1,nan,5\n"}, "not finite in 1 .*first in row 1"),
        ({"movies": "movieId,title\n1,a\n2,b\n1,c\n"}, "repeats a movieId in 1 .*first in row 3"),
        ({"movies": "movieId,title\n1,a\n,b\n"}, "has no movieId in 1 .*first in row 2"),
    ],
)
def test_read_refuses_a_damaged_file(tmp_path: Path, change: dict[str, str], match: str) -> None:
    with pytest.raises(GoracsError, match=match) as caught:
        folder(tmp_path, **change).read()
    assert "\n" not in str(caught.value)


def test_read_refuses_a_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(GoracsError, match=r"no folder .*nowhere: dataset\.reader\.folder"):
        MovieLens(folder=str(tmp_path / "nowhere")).read()


@pytest.mark.parametrize("name", ["movies.csv", "ratings.csv"])
def test_digests_refuses_a_missing_file(tmp_path: Path, name: str) -> None:
    reader = folder(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(GoracsError, match=f"no file {name} in "):
        reader.digests()


def test_dataset_equals_its_configuration() -> None:
    dataset = instantiate(OmegaConf.load(CONF))
    assert (dataset.reader, dataset.history, dataset.size) == (MovieLens(folder="bundled"), 10, None)
    assert "Harper" in dataset.notice
    assert "commercial" in dataset.notice


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"history": 0}, r"dataset\.history must be at least 1, got 0"),
        ({"min_history": -1}, r"dataset\.min_history .*got -1"),
        ({"min_history": 11}, r"0\.\.dataset\.history \(here 10\), got 11"),
        ({"size": 0}, r"dataset\.size must be at least 1, .*got 0"),
        ({"seed": -1}, r"dataset\.seed must be at least 0, got -1"),
    ],
)
def test_dataset_refuses_a_number_out_of_bounds(change: dict[str, Any], match: str) -> None:
    config = OmegaConf.merge(OmegaConf.load(CONF), change)
    values = {str(key): value for key, value in config.items() if key not in ("_target_", "reader")}
    with pytest.raises(GoracsError, match=match):
        Dataset(reader=MovieLens(folder="bundled"), **values)
