"""The whole of prepare: counts, files, their bytes, and what it refuses."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hydra.utils import instantiate
from omegaconf import OmegaConf

from goracs.data.prepare import PARTS, Prepared, prepare, read_catalogue, read_examples, read_seen, write
from goracs.data.splits import Paper
from goracs.types import InvalidInput

ROOT = Path(__file__).parents[2]
MOVIES = "movieId,title\n1,One\n2,Two\n3,Three\n4,\n5,Never rated\n"
EVENTS = [
    ("a", 1, 4),
    ("b", 9, 5),
    ("a", 2, 2),
    ("c", 3, 5),
    ("c", 1, 3),
    ("b", 4, 4),
    ("d", 2, 5),
    ("e", 9, 1),
]


def configured(name: str, **changes: Any) -> Any:
    return instantiate(OmegaConf.merge(OmegaConf.load(ROOT / "conf" / f"{name}.yaml"), changes))


def small(path: Path, events: Any = EVENTS, **changes: Any) -> Prepared:
    rows = "\n".join(f"{user},{item},{rating},{time}" for time, (user, item, rating) in enumerate(events))
    (path / "ratings.csv").write_text(f"userId,movieId,rating,timestamp\n{rows}\n")
    (path / "movies.csv").write_text(MOVIES)
    dataset = configured("dataset/movielens_small", reader={"folder": str(path)}, **changes)
    return prepare(dataset, Paper(valid=1, test=1), configured("task/ctr"))


@pytest.fixture(scope="module")
def quick() -> Prepared:
    dataset = configured("dataset/movielens_small", history=4, size=400)
    return prepare(dataset, configured("split/users"), configured("task/ctr"))


def digests(folder: Path) -> dict[str, str]:
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(folder.iterdir())}


def test_prepare_equals_counts_by_hand(tmp_path: Path) -> None:
    """Films 4 (no title) and 9 (not listed) go, with users b and e; a, c, d give one sample each."""
    found = small(tmp_path)
    assert found.statistics == {
        "events": 8,
        "dropped_events": 3,
        "users": 3,
        "items": 3,
        "samples": 3,
        "liked": 1,
        "like_rate": 1 / 3,
        "pool": 1,
        "splits": {
            "train": {"samples": 1, "liked": 0, "users": 1},
            "valid": {"samples": 1, "liked": 0, "users": 1},
            "test": {"samples": 1, "liked": 1, "users": 1},
        },
    }
    assert [example.item for part in (found.train, found.valid, found.test) for example in part] == [
        "2",
        "1",
        "2",
    ]


def test_prepare_keeps_in_the_catalogue_what_has_an_event_and_a_title(tmp_path: Path) -> None:
    assert small(tmp_path).catalogue.rows() == [("1", "One"), ("2", "Two"), ("3", "Three")]


def test_prepare_keeps_every_item_of_a_user_as_seen_once(tmp_path: Path) -> None:
    seen = [("a", ["1", "2"]), ("b", ["9", "4"]), ("c", ["3", "1"]), ("d", ["2"]), ("e", ["9"])]
    assert small(tmp_path, [*EVENTS, ("d", 2, 3)]).seen.rows() == seen


def test_prepare_equals_the_demo_counts(quick: Prepared) -> None:
    assert quick.statistics["dropped_events"] == 0
    assert (quick.statistics["users"], quick.statistics["items"]) == (610, 9724)
    assert [len(part) for part in (quick.train, quick.valid, quick.test)] == [400, 200, 200]
    assert quick.statistics["splits"]["train"]["liked"] == sum(example.label or 0 for example in quick.train)


def test_prepare_never_shows_more_than_the_history(quick: Prepared) -> None:
    assert {len(example.history) for example in quick.train} == {4}


def test_read_equals_what_was_written(quick: Prepared, tmp_path: Path) -> None:
    write(quick, tmp_path)
    for part in PARTS:
        assert read_examples(tmp_path, part) == getattr(quick, part)
    assert list(read_catalogue(tmp_path).items()) == quick.catalogue.rows()
    assert list(read_seen(tmp_path).items()) == quick.seen.rows()
    assert json.loads((tmp_path / "statistics.json").read_text()) == quick.statistics


def test_read_equals_what_was_written_without_labels(tmp_path: Path) -> None:
    dataset = configured("dataset/movielens_small", size=5)
    made = prepare(dataset, configured("split/users"), configured("task/seqrec"))
    write(made, tmp_path)
    assert read_examples(tmp_path, "train") == made.train
    assert made.train[0].label is None


def test_write_equals_its_own_bytes_in_another_process_and_thread_count(
    quick: Prepared, tmp_path: Path
) -> None:
    write(quick, tmp_path / "here")
    script = (
        "from tests.unit.test_prepare import *\n"
        "dataset = configured('dataset/movielens_small', history=4, size=400)\n"
        "made = prepare(dataset, configured('split/users'), configured('task/ctr'))\n"
        f"write(made, Path({str(tmp_path / 'there')!r}))"
    )
    environment = {"POLARS_MAX_THREADS": "1", "PYTHONHASHSEED": "7", "PATH": ""}
    subprocess.run([sys.executable, "-c", script], check=True, cwd=ROOT, env=environment)
    assert digests(tmp_path / "here") == digests(tmp_path / "there")


def test_prepare_never_imports_an_llm_framework() -> None:
    heavy = "{'torch', 'transformers', 'scipy'}"
    script = f"import sys, goracs.data.prepare as _; print(sorted({heavy} & set(sys.modules)))"
    found = subprocess.run(
        [sys.executable, "-c", script], check=True, cwd=ROOT, capture_output=True, text=True
    )
    assert found.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("events", "changes", "match"),
    [
        (
            [("a", 9, 5), ("b", 4, 5)],
            {},
            "data set movielens_small is empty: of its 2 events none has an item",
        ),
        (
            EVENTS,
            {"min_history": 2},
            r"no sample with at least 2 items before it \(dataset\.min_history\) among its 5",
        ),
        (EVENTS[:3], {}, r"split\.valid \(1 samples\) and split\.test \(1\) leave nothing for the pool"),
        (EVENTS, {"size": 2}, r"dataset\.size is 2, but the pool of this split has 1 samples"),
    ],
)
def test_prepare_refuses_an_empty_part(
    tmp_path: Path, events: Any, changes: dict[str, Any], match: str
) -> None:
    with pytest.raises(InvalidInput, match=match):
        small(tmp_path, events, **changes)


def test_prepare_is_unchanged_by_events_without_a_title(tmp_path: Path) -> None:
    kept = [event for event in EVENTS if event[1] not in (4, 9)]
    (tmp_path / "some").mkdir()
    assert (
        small(tmp_path, EVENTS).statistics["samples"] == small(tmp_path / "some", kept).statistics["samples"]
    )


def test_catalogue_titles_equal_the_file(quick: Prepared) -> None:
    titles = dict(quick.catalogue.rows())
    assert titles["1"] == "Toy Story (1995)"
    assert quick.catalogue.schema == {"item": pl.String, "title": pl.String}
