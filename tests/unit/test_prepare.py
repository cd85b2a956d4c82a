"""The whole of prepare: counts, files, their bytes, and what it refuses."""

from __future__ import annotations

import hashlib
import json
import random
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hydra.utils import instantiate
from omegaconf import OmegaConf

from goracs.data import parts
from goracs.data import prepare as module
from goracs.data.dataset import Dataset, Interactions
from goracs.data.prepare import PARTS, Prepared, prepare, read_catalogue, read_examples, read_seen, write
from goracs.data.tasks import EXAMPLE, as_examples
from goracs.types import Example, InvalidInput

ROOT = Path(__file__).parents[2]
MOVIES = "movieId,title\n1,One\n2,Two\n3,Three\n4,\n5,Never rated\n"
START = 1_000_000_000  # of the times in files
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
    rows = "\n".join(
        f"{user},{item},{rating},{time}" for time, (user, item, rating) in enumerate(events, START)
    )
    (path / "ratings.csv").write_text(f"userId,movieId,rating,timestamp\n{rows}\n")
    (path / "movies.csv").write_text(MOVIES)
    dataset = configured("dataset/movielens_small", path=str(path), **changes)
    return prepare(dataset, paper(), configured("task/ctr"))


def paper(**changes: Any) -> Any:
    return configured("split/paper", **{"valid": 1, "test": 1, "ties": "file", **changes})


def examples(prepared: Prepared, part: str) -> list[Example]:
    frame: pl.LazyFrame = getattr(prepared, part)
    return as_examples(frame.collect())


@dataclass(frozen=True, kw_only=True)
class Made(Dataset):
    """A data set made of two tables; its rules are those of movielens_small unless changed."""

    raw: Interactions

    def digests(self) -> dict[str, str]:
        return {}

    def read(self) -> Interactions:
        return self.raw


def made(rows: list[tuple[str, str, float, int]], titles: dict[str, str | None], **changes: Any) -> Made:
    """rows are user, item, rating, time; `timed`, `excluded`, `noted` go to the interactions."""
    schema = {"user": pl.String, "item": pl.String, "rating": pl.Float64, "time": pl.Int64}
    told = {name: changes.pop(name) for name in ("timed", "rated", "excluded", "noted") if name in changes}
    items = pl.DataFrame(
        {"item": list(titles), "title": list(titles.values())}, schema_overrides={"title": pl.String}
    )
    raw = Interactions(pl.DataFrame(rows, schema=schema, orient="row"), items, **told)
    rules: Any = OmegaConf.to_container(OmegaConf.load(ROOT / "conf/dataset/movielens_small.yaml"))
    plain = {name: value for name, value in rules.items() if name not in ("_target_", "path")}
    return Made(raw=raw, **{**plain, **changes})


@pytest.fixture(scope="module")
def quick() -> Prepared:
    dataset = configured("dataset/movielens_small", history=4, size=400)
    return prepare(dataset, configured("split/users", ties="file"), configured("task/ctr"))


def digests(folder: Path) -> dict[str, str]:
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(folder.iterdir())}


def test_prepare_equals_counts_by_hand(tmp_path: Path) -> None:
    """Films 4 (no title) and 9 (not listed) go, with users b and e; a, c, d give one sample each."""
    found = small(tmp_path)
    assert found.statistics == {
        "events": 8,
        "users": 5,
        "items": 5,
        "kept": {"events": 5, "users": 3, "items": 3},
        "excluded": {"no title": 3},
        "noted": {},
        "duplicates": 0,
        "time": [START, START + 6],
        "titles_cleaned": 0,
        "samples": 3,
        "left_out": 0,
        "liked": 1,
        "like_rate": 1 / 3,
        "pool": 1,
        "splits": {
            part: {"samples": 1, "liked": liked, "users": 1, "tied": 0, "first": target, "last": target}
            for part, liked, target in (
                ("train", 0, {"user": "a", "item": "2", "time": START + 2}),
                ("valid", 0, {"user": "c", "item": "1", "time": START + 4}),
                ("test", 1, {"user": "d", "item": "2", "time": START + 6}),
            )
        },
    }
    assert [example.item for part in PARTS for example in examples(found, part)] == ["2", "1", "2"]


def test_prepare_keeps_in_the_catalogue_what_has_an_event_and_a_title(tmp_path: Path) -> None:
    assert small(tmp_path).catalogue.rows() == [("1", "One"), ("2", "Two"), ("3", "Three")]


def test_prepare_keeps_every_item_of_a_user_as_seen_once(tmp_path: Path) -> None:
    seen = [("a", ["1", "2"]), ("b", ["9", "4"]), ("c", ["3", "1"]), ("d", ["2"]), ("e", ["9"])]
    assert small(tmp_path, [*EVENTS, ("d", 2, 3)]).seen.rows() == seen


def test_prepare_equals_the_demo_counts(quick: Prepared) -> None:
    assert quick.statistics["excluded"] == {}
    assert (quick.statistics["users"], quick.statistics["items"]) == (610, 9724)
    assert [len(examples(quick, part)) for part in PARTS] == [400, 200, 200]
    liked = sum(example.label or 0 for example in examples(quick, "train"))
    assert quick.statistics["splits"]["train"]["liked"] == liked


def test_prepare_never_shows_more_than_the_history(quick: Prepared) -> None:
    assert {len(example.history) for example in examples(quick, "train")} == {4}


@pytest.mark.parametrize("part", PARTS)
def test_prepare_keeps_the_order_of_time(quick: Prepared, part: str) -> None:
    times = [example.time for example in examples(quick, part)]
    assert times == sorted(times)


def test_read_equals_what_was_written(quick: Prepared, tmp_path: Path) -> None:
    write(quick, tmp_path)
    for part in PARTS:
        assert read_examples(tmp_path, part) == examples(quick, part)
    assert list(read_catalogue(tmp_path).items()) == quick.catalogue.rows()
    assert list(read_seen(tmp_path).items()) == quick.seen.rows()
    assert json.loads((tmp_path / "statistics.json").read_text()) == quick.statistics


def test_read_equals_what_was_written_without_labels(tmp_path: Path) -> None:
    dataset = configured("dataset/movielens_small", size=5)
    prepared = prepare(dataset, configured("split/users", ties="file"), configured("task/seqrec"))
    write(prepared, tmp_path)
    pool = examples(prepared, "train")
    assert read_examples(tmp_path, "train") == pool
    assert pool[0].label is None


def test_write_equals_its_own_bytes_in_another_process_and_thread_count(
    quick: Prepared, tmp_path: Path
) -> None:
    write(quick, tmp_path / "here")
    script = (
        "from tests.unit.test_prepare import *\n"
        "dataset = configured('dataset/movielens_small', history=4, size=400)\n"
        "made = prepare(dataset, configured('split/users', ties='file'), configured('task/ctr'))\n"
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
            r"data set movielens_small is empty: of its 2 events none can be used \(no title: 2\)",
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


MANY = [(f"u{k % 7}", f"i{k * k % 11}", float(1 + k % 5), k // 4) for k in range(120)]
NAMES: dict[str, str | None] = {f"i{k}": f"Film {k}" for k in range(11)}


def test_chunks_of_any_size_give_the_same_examples(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What is worded and written piece by piece equals what is made at once; also its bytes."""
    found = []
    for size in (1, 7, 1 << 16):
        monkeypatch.setattr(module, "CHUNK", size)
        prepared = prepare(made(MANY, NAMES, history=3), paper(valid=9, test=9), configured("task/ctr"))
        write(prepared, tmp_path / str(size))
        found.append(digests(tmp_path / str(size)))
        assert prepared.train.collect_schema() == pl.Schema(EXAMPLE)
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize(("split", "ties"), [("users", "hash"), ("paper", "file"), ("leave_one_out", "file")])
def test_parts_of_any_size_give_the_same_artifact(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, split: str, ties: str
) -> None:
    """What is sorted, grouped and compared part by part equals what is at once; also its bytes."""
    rows = random.Random(2).sample([*MANY, *MANY[::9]], len(MANY) + len(MANY[::9]))
    dataset = made(rows, {**NAMES, "i1": None}, history=3, core=3, duplicates="drop", size=9)
    found = []
    for size in (9, 1 << 21):
        monkeypatch.setattr(parts, "PARTITION", size)
        rule = configured(f"split/{split}", valid=5, test=5, ties=ties)
        write(prepare(dataset, rule, configured("task/ctr")), tmp_path / str(size))
        found.append(digests(tmp_path / str(size)))
    assert found[0] == found[1]


@pytest.mark.parametrize("split", ["paper", "users", "leave_one_out"])
def test_ties_by_hash_give_the_same_artifact_for_rows_in_any_order(tmp_path: Path, split: str) -> None:
    asked = {"valid": 5, "test": 5, "ties": "hash"}
    mixed = random.Random(1).sample(MANY, len(MANY))
    found = []
    for name, rows in (("one", MANY), ("other", mixed)):
        dataset = made(
            rows, dict(random.Random(name).sample(list(NAMES.items()), len(NAMES))), history=3, size=9
        )
        write(
            prepare(dataset, configured(f"split/{split}", **asked), configured("task/ctr")), tmp_path / name
        )
        found.append(digests(tmp_path / name))
    assert found[0] == found[1]


def test_ties_by_file_follow_the_order_of_the_rows(tmp_path: Path) -> None:
    rows = [("a", "i1", 4.0, 5), ("a", "i2", 4.0, 5), ("b", "i3", 4.0, 5), ("c", "i4", 4.0, 5)]
    last = [
        prepare(made(order, NAMES), paper(), configured("task/ctr")).statistics["splits"]["test"]["last"][
            "user"
        ]
        for order in (rows, rows[::-1])
    ]
    assert last == ["c", "a"]


def test_expected_counts_that_come_out_pass() -> None:
    expected = {"events": 120, "users": 7, "items": len({item for _, item, *_ in MANY}), "test": 9}
    prepared = prepare(
        made(MANY, NAMES, size=5, expected={**expected, "train": 32}),
        paper(valid=9, test=9),
        configured("task/ctr"),
    )
    assert prepared.statistics["splits"]["train"]["samples"] == 5


def test_expected_counts_that_do_not_come_out_stop_the_run_and_are_named() -> None:
    wrong = made(MANY, NAMES, expected={"events": 121, "users": 7, "train": 3})
    with pytest.raises(InvalidInput, match=r"events 120 \(expected 121\), train 32 \(expected 3\)\. Either"):
        prepare(wrong, paper(valid=9, test=9), configured("task/ctr"))
    with pytest.raises(InvalidInput, match=r"dataset\.expected has no evnts; it may have events, users"):
        prepare(made(MANY, NAMES, expected={"evnts": 1}), paper(), configured("task/ctr"))


def test_events_without_ratings_are_for_the_next_item_alone(tmp_path: Path) -> None:
    rows: Any = [(user, item, None, time) for user, item, _, time in MANY]
    unrated = made(rows, NAMES, rated=False, history=3)
    with pytest.raises(
        InvalidInput, match=r"no ratings \(dataset\.columns\.rating=null\).* take task=seqrec"
    ):
        prepare(unrated, paper(), configured("task/ctr"))
    found, rated = (
        prepare(data, paper(valid=9, test=9, ties="hash"), configured("task/seqrec"))
        for data in (unrated, made([(u, i, 4.0, t) for u, i, _, t in rows], NAMES, history=3))
    )
    write(found, tmp_path)
    example = read_examples(tmp_path, "train")[0]
    assert example.history_liked == (None,) * len(example.history)
    assert [found.statistics[name] for name in ("liked", "like_rate")] == [None, None]
    texts = [[(one.user, one.input, one.output) for one in examples(data, "test")] for data in (found, rated)]
    assert texts[0] == texts[1]


def test_events_without_times_are_refused_but_by_leave_one_out_in_file_order() -> None:
    rows = [(f"u{k % 3}", f"i{k % 5}", 4.0, 0) for k in range(15)]
    untimed = made(rows, NAMES, timed=False)
    for split in (paper(), configured("split/leave_one_out", ties="hash")):
        with pytest.raises(InvalidInput, match=r"only split=leave_one_out split\.ties=file works"):
            prepare(untimed, split, configured("task/ctr"))
    prepared = prepare(untimed, configured("split/leave_one_out", ties="file"), configured("task/seqrec"))
    assert [example.item for example in examples(prepared, "test")] == ["i2", "i3", "i4"]
    assert next(example.history for example in examples(prepared, "test")) == ("i0", "i3", "i1", "i4")


def test_what_a_reader_left_out_is_told_beside_what_the_filters_left_out() -> None:
    titles = {**NAMES, "i0": None}
    found = prepare(
        made(MANY, titles, excluded={"broken line": 3}), paper(), configured("task/ctr")
    ).statistics
    assert found["excluded"] == {"broken line": 3, "no title": sum(item == "i0" for _, item, *_ in MANY)}
    assert found["events"] == 120


def test_turned_answers_are_those_of_some_pool_rows_alone() -> None:
    """Labels and outputs; neither what a history shows, nor the other parts, nor the counts of likes."""
    dataset, split = configured("dataset/movielens_small", size=200), configured("split/users")
    task = configured("task/ctr")
    plain, noisy = (prepare(dataset, split, replace(task, flipped=share)) for share in (0.0, 0.3))
    pairs = list(zip(examples(plain, "train"), examples(noisy, "train"), strict=True))
    turned = [theirs for mine, theirs in pairs if mine != theirs]
    assert len(turned) == 60
    for mine, theirs in pairs:
        answer = {0: task.answer_no, 1: task.answer_yes}[theirs.label or 0]
        assert theirs in (mine, replace(mine, label=theirs.label, output=answer))
    for part in ("valid", "test"):
        assert examples(plain, part) == examples(noisy, part)
    counts = noisy.statistics["splits"]["train"]
    assert counts == {**plain.statistics["splits"]["train"], "flipped": 60}


@pytest.mark.parametrize("share", [-0.1, 1.5, True])
def test_a_share_of_turned_answers_that_is_none_is_refused(share: float) -> None:
    with pytest.raises(InvalidInput, match=r"task\.flipped must be a share in \[0, 1\]"):
        replace(configured("task/ctr"), flipped=share)
