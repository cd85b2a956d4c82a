"""The MovieLens reader on every layout, and the Dataset: what they give, what they refuse."""

from __future__ import annotations

import bz2
import gzip
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hydra.utils import instantiate
from omegaconf import OmegaConf

from goracs.data.codes import ID
from goracs.data.dataset import Interactions
from goracs.data.readers import movielens
from goracs.data.readers.movielens import MovieLens
from goracs.types import GoracsError

CONF = Path(__file__).parents[2] / "conf" / "dataset" / "movielens_small.yaml"
OFFICIAL = {  # sha256 of the files of the release of 26 September 2018
    "movies.csv": "5a5f32dd9bb3797b8e728a1b98958789d2b13f294a69fdfbc5727f8a9611aa07",
    "ratings.csv": "aa289ca83157595d0df6aea1be6a4ded676ddc4385472e8313a8ed9805352646",
}
MOVIES = 'movieId,title,genres\r\n1,Toy Story (1995),Comedy\r\n2,"American President, The (1995)",Drama\r\n'
RATINGS = "userId,movieId,rating,timestamp\r\n7,1,4.0,1000000100\r\n7,2,3.5,1000000090\r\n"
LAYOUTS = {
    "csv": {"movies.csv": MOVIES, "ratings.csv": RATINGS},
    "dat": {
        "movies.dat": "1::Toy Story (1995)::Comedy|Drama\n2::American President, The (1995)::\n",
        "ratings.dat": "7::1::4::1000000100\n7::2::3.5::1000000090\n",
    },
    "100k": {
        "u.item": "1|Toy Story (1995)|01-Jan-1995||http://x|0|1\n2|American President, The (1995)|||http://y|0|0\n",
        "u.data": "7\t1\t4\t1000000100\n7\t2\t3.5\t1000000090\n",
    },
}


def dataset(**changes: Any) -> Any:
    return instantiate(OmegaConf.merge(OmegaConf.load(CONF), changes))


def folder(path: Path, movies: str = MOVIES, ratings: str = RATINGS) -> MovieLens:
    (path / "movies.csv").write_text(movies, encoding="utf-8", newline="")
    (path / "ratings.csv").write_text(ratings, encoding="utf-8", newline="")
    made: MovieLens = dataset(path=str(path))
    return made


def layout(path: Path, files: dict[str, str], encoding: str = "utf-8") -> Interactions:
    for name, content in files.items():
        (path / name).write_bytes(content.encode(encoding))
    return movielens.read(str(path), None)


def test_bundled_copy_equals_the_official_release() -> None:
    assert dataset().digests() == OFFICIAL


def test_bundled_copy_keeps_its_terms_beside_it() -> None:
    terms = (Path(__file__).parents[2] / "goracs" / "bundled" / "ml-latest-small" / "README.txt").read_text()
    assert "under these same license conditions" in terms


def test_read_equals_the_files_in_file_order(tmp_path: Path) -> None:
    found = folder(tmp_path).read()
    assert found.events.rows() == [("7", "1", 4.0, 1000000100), ("7", "2", 3.5, 1000000090)]
    assert found.events.schema == {"user": ID, "item": ID, "rating": pl.Float64, "time": pl.Int64}
    assert found.items.rows() == [("1", "Toy Story (1995)"), ("2", "American President, The (1995)")]
    assert found.items.schema == {"item": pl.String, "title": pl.String}


def test_read_keeps_leading_zeros_of_ids(tmp_path: Path) -> None:
    ratings = "userId,movieId,rating,timestamp\n007,01,4,1000000100\n"
    assert folder(tmp_path, ratings=ratings).read().events.row(0) == ("007", "01", 4.0, 1000000100)


def test_digests_is_unchanged_by_the_place_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    assert folder(tmp_path / "a").digests() == folder(tmp_path / "b").digests()


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (
            {"ratings": ""},
            r"ratings\.csv is empty, or its first line is: that must name the columns",
        ),
        ({"ratings": "userId,movieId,rating,timestamp\n"}, "has no rows: the data set is empty"),
        ({"movies": "movieId,title\n"}, "has no rows: the data set is empty"),
        (
            {"ratings": "userId,movieId,rating\n1,1,4\n"},
            r"lacks one of the columns userId, .*: it has userId, movieId, rating\.",
        ),
        ({"ratings": "user,movieId,rating,timestamp\n1,1,4,5\n"}, "userId"),
        ({"movies": "movieId,name\n1,x\n"}, "title"),
        ({"ratings": "userId,movieId,rating,timestamp\n1,1,good,5\n"}, "good.*f64.*rating"),
        (
            {"ratings": "userId,movieId,rating,timestamp\n1,1,4,5\n1,1,,6\n"},
            "has no rating in 1 .*first in row 2",
        ),
        ({"ratings": "userId,movieId,rating,timestamp\n1,1,4\n"}, "has no time in 1 "),
        (
            {"ratings": "userId,movieId,rating,timestamp\n1,1,nan,1000000005\n"},
            "not finite in 1 .*first in row 1",
        ),
        ({"movies": "movieId,title\n1,a\n2,b\n1,c\n"}, "repeats an item id in 1 .*first in row 3"),
        ({"movies": "movieId,title\n1,a\n,b\n"}, "has no item id in 1 .*first in row 2"),
    ],
)
def test_read_refuses_a_damaged_file(tmp_path: Path, change: dict[str, str], match: str) -> None:
    with pytest.raises(GoracsError, match=match) as caught:
        folder(tmp_path, **change).read()
    assert "\n" not in str(caught.value)


def test_read_refuses_a_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(GoracsError, match=r"no folder .*nowhere: dataset\.path"):
        movielens.read(str(tmp_path / "nowhere"), None)


@pytest.mark.parametrize("name", ["movies.csv", "ratings.csv"])
def test_digests_refuses_a_missing_file(tmp_path: Path, name: str) -> None:
    reader = folder(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(
        GoracsError, match=r"is no MovieLens folder: .*ratings\.csv and movies\.csv; .*u\.item"
    ):
        reader.digests()


@pytest.mark.parametrize("files", LAYOUTS.values(), ids=LAYOUTS)
def test_every_layout_equals_the_same_tables(tmp_path: Path, files: dict[str, str]) -> None:
    found = layout(tmp_path, files)
    assert found.events.rows() == [("7", "1", 4.0, 1000000100), ("7", "2", 3.5, 1000000090)]
    assert found.items.rows() == [("1", "Toy Story (1995)"), ("2", "American President, The (1995)")]
    assert found.events.schema == {"user": ID, "item": ID, "rating": pl.Float64, "time": pl.Int64}


@pytest.mark.parametrize("files", LAYOUTS.values(), ids=LAYOUTS)
def test_compressed_files_equal_the_plain_ones(tmp_path: Path, files: dict[str, str]) -> None:
    for folder, end, pack in (("a", ".gz", gzip.compress), ("b", ".bz2", bz2.compress), ("c", "", bytes)):
        (tmp_path / folder).mkdir()
        for name, content in files.items():
            (tmp_path / folder / f"{name}{end}").write_bytes(pack(content.encode()))
    plain, *packed = (movielens.read(str(tmp_path / folder), None) for folder in "cab")
    assert all(one.events.equals(plain.events) and one.items.equals(plain.items) for one in packed)


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
@pytest.mark.parametrize("name", ["dat", "100k"])
def test_old_layouts_are_read_in_utf8_and_in_latin1(tmp_path: Path, name: str, encoding: str) -> None:
    files = {file: content.replace("Toy Story", "Misérables") for file, content in LAYOUTS[name].items()}
    assert layout(tmp_path, files, encoding).items["title"][0] == "Misérables (1995)"


def test_a_dat_title_may_hold_colons_and_an_id_leading_zeros(tmp_path: Path) -> None:
    files = {
        "movies.dat": "0000008::Edison: A::B (1894)::Short\n",
        "ratings.dat": "1::0000008::10::1381006850\n",
    }
    found = layout(tmp_path, files)
    assert found.items.rows() == [("0000008", "Edison: A::B (1894)")]
    assert found.events.rows() == [("1", "0000008", 10.0, 1381006850)]


@pytest.mark.parametrize(
    ("files", "match"),
    [
        (
            LAYOUTS["dat"] | {"movies.dat": "1::a::b\nno film\n"},
            r"movies\.dat is not of its layout in 1 .*row 2",
        ),
        (LAYOUTS["dat"] | {"ratings.dat": "1::1::4::5\n1::1::4\n"}, r"ratings\.dat has no time in 1 "),
        (
            LAYOUTS["dat"] | {"ratings.dat": "1::1::4::5::6\n"},
            r"ratings\.dat is not a table with the columns",
        ),
        (LAYOUTS["100k"] | {"u.item": "\n"}, r"u\.item lists no film"),
    ],
)
def test_read_refuses_a_damaged_file_of_an_old_layout(
    tmp_path: Path, files: dict[str, str], match: str
) -> None:
    with pytest.raises(GoracsError, match=match):
        layout(tmp_path, files)


def test_dataset_equals_its_configuration() -> None:
    made = dataset()
    assert (made.path, made.history, made.size, made.ties) == ("bundled", 10, None, "hash")
    assert "Harper" in made.notice
    assert "commercial" in made.notice


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"history": 0}, r"dataset\.history must be a whole number >= 1, got 0"),
        ({"min_history": -1}, r"dataset\.min_history .*got -1"),
        ({"min_history": 11}, r"0\.\.dataset\.history \(here 10\), got 11"),
        ({"size": 0}, r"dataset\.size \(or null\) must be a whole number >= 1, got 0"),
        ({"seed": -1}, r"dataset\.seed must be a whole number >= 0, got -1"),
    ],
)
def test_dataset_refuses_a_number_out_of_bounds(change: dict[str, Any], match: str) -> None:
    values = {str(key): value for key, value in OmegaConf.load(CONF).items() if key != "_target_"}
    with pytest.raises(GoracsError, match=match):
        MovieLens(**(values | change))


def test_a_title_that_is_not_utf8_leaves_the_others_as_they_are(tmp_path: Path) -> None:
    files = LAYOUTS["csv"] | {"movies.csv": MOVIES.replace("Toy Story", "Amélie")}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content.encode().replace(b"President", b"Pok\xe9mon"))
    found = movielens.read(str(tmp_path), None)
    assert found.items["title"].to_list() == ["Amélie (1995)", "American Pokémon, The (1995)"]
    told = "line that is not UTF-8, read as Windows-1252 (the first: 3)"
    assert found.noted == {f"movies.csv: {told}": 1}


def test_times_may_be_whole_floats_and_no_others(tmp_path: Path) -> None:
    floats = RATINGS.replace("100\r", "100.0\r")
    assert folder(tmp_path, ratings=floats).read().events.equals(folder(tmp_path).read().events)
    with pytest.raises(GoracsError, match=r"a timestamp that is no whole number in 1 of its 2 rows.*100\.5"):
        folder(tmp_path, ratings=RATINGS.replace("100\r", "100.5\r")).read()


@pytest.mark.parametrize("time", ["0", "-5", "2001", "20010101", "1000000000000", "1000000000000000"])
def test_what_is_no_time_in_seconds_is_refused(tmp_path: Path, time: str) -> None:
    ratings = RATINGS.replace("1000000090", time)
    with pytest.raises(GoracsError, match=rf"ratings\.csv has a time .* in 1 of its 2 .*row 2: {time}\."):
        folder(tmp_path, ratings=ratings).read()


def test_ids_may_be_whole_floats(tmp_path: Path) -> None:
    floats = RATINGS.replace("7,1,", "7.0,1.0,").replace("7,2,", "7.0,2.0,")
    assert folder(tmp_path, ratings=floats).read().events.equals(folder(tmp_path).read().events)
