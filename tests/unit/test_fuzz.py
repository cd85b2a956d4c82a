"""Broken files of every kind, in short: none ends without words; and one that did would be seen."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from experiments import fuzz
from experiments.fuzz_files import TARGETS
from experiments.fuzz_target import Target
from goracs.types import InvalidInput

INPUTS = 15  # of each reader; 10,000 in the long form


@pytest.mark.parametrize("name", TARGETS)
def test_what_is_valid_is_read(name: str, tmp_path: Path) -> None:
    assert fuzz.tried(TARGETS[name], tmp_path, TARGETS[name].files).kind == "read"


@pytest.mark.parametrize("name", TARGETS)
def test_what_is_broken_is_read_or_refused_in_words(name: str) -> None:
    found = [fuzz.trial(TARGETS[name], 1, number)[1] for number in range(INPUTS)]
    assert [one.said for one in found if one.kind not in ("read", "refused")] == []


@pytest.mark.parametrize(
    ("read", "kind"),
    [
        (lambda folder: json.loads((folder / "x").read_bytes()), "crashed"),
        (lambda folder: refused_after(folder / "left"), "left"),
        (lambda _: refused_after(None), "refused"),
        (lambda _: endless(), "hung"),
    ],
)
def test_a_reader_that_does_otherwise_is_seen(
    read: object, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fuzz, "LIMIT", 1)
    assert fuzz.tried(Target({"x": b"{"}, read), tmp_path, {"x": b"{"}).kind == kind  # type: ignore[arg-type]


def refused_after(left: Path | None) -> None:
    if left is not None:
        left.touch()
    raise InvalidInput("no.")


def endless() -> None:
    while True:
        pass


def put(content: bytes, place: list[str | int], value: object) -> bytes:
    whole = json.loads(content)
    if not place:
        return json.dumps(value).encode()
    node = whole
    for key in place[:-1]:
        node = node[key]
    node[place[-1]] = value
    return json.dumps(whole).encode()


DEEP = b"[" * 5000
FINDS = [  # what the long form found: reader, file, place in it, value
    ("result.json", "a/result.json", ["metrics", "tuned", "auc", "users"], [7]),
    ("result.json", "a/result.json", ["metrics", "tuned", "log_loss", "value"], "0.5"),
    ("result.json", "a/result.json", ["metrics", "start"], "none"),
    ("result.json", "a/result.json", ["precision", "backbone"], ["bf16"]),
    ("result.json", "a/result.json", ["config", "backbone"], 3),
    ("result.json", "a/result.json", ["digests", "select"], 3),
    ("result.json", "a/result.json", ["metrics", "tuned", "auc", "high"], None),
    ("result.json", "a/result.json", ["metrics", "tuned", "auc"], {"low": 0.1, "high": 0.2}),
    ("result.json", "a/result.json", ["metrics"], []),
    ("result.json", "a/result.json", ["precision", "backbone"], 1.5),
    ("result.json", "a/result.json", ["coreset", "selector"], 3),
    ("result.json", "a/result.json", ["coreset"], {"selector": "random", "budget": 4}),
    ("result.json", "a/result.json", ["coreset", "assessment", "poo"], float("nan")),
    ("result.json", "a/result.json", ["seed"], True),
    ("result.json", "a/result.json", ["command"], None),
    ("job folders", "a/result.json", ["stages", "select", "seconds"], "7"),
    ("job folders", "a/result.json", ["coreset", "report", "classes"], {}),
    ("job folders", "a/result.json", ["metrics", "tuned", "auc"], None),
    ("job folders", "a/trace.json", [0], 3),
    ("job folders", "a/trace.json", [0, "objective"], None),
    ("job folders", "a/trace.json", [0, "class"], "none such"),
    ("job folders", "a/trace.json", [0, "seconds"], float("inf")),
    ("job folders", "a/curve.json", [0], {"loss": 0.1}),
    ("job folders", "a/curve.json", [1, "valid_loss"], {}),
    ("job folders", "a/indices.json", [0], "0"),
    ("coreset.json", "coreset.json", [0, "output"], None),
    ("coreset.json", "coreset.json", [0, "history"], [["q"]]),
    ("coreset.json", "dataset_info.json", [], ["x"]),
    ("plan.json", "plan.json", ["code"], {"goracs": "0.1.0"}),
    ("plan.json", "plan.json", ["code"], "0.1.0"),
    ("plan.json", "plan.json", ["jobs", 0, "overrides"], [["seed=0"]]),
    ("plan.json", "plan.json", ["jobs", 0, "key"], []),
    ("plan.json", "plan.json", ["swept"], None),
    ("manifest.json", "", ["params", "a"], float("nan")),
]


@pytest.mark.parametrize(("reader", "name", "place", "value"), FINDS)
def test_what_was_found_is_refused_in_words(
    reader: str, name: str, place: list[str | int], value: object, tmp_path: Path
) -> None:
    target = TARGETS[reader]
    file = name or next(one for one in target.files if one.endswith("manifest.json"))
    files = {**target.files, file: put(target.files[file], place, value)}
    assert fuzz.tried(target, tmp_path, files).kind == "refused"


@pytest.mark.parametrize("place", [("coreset", "indices_file"), ("coreset", "assessment"), ("stages",)])
@pytest.mark.parametrize("null", [True, False])
def test_what_a_result_may_lack_is_lacking_in_the_report(
    place: tuple[str, ...], null: bool, tmp_path: Path
) -> None:
    target = TARGETS["job folders"]
    whole = json.loads(target.files["a/result.json"])
    *above, name = place
    inner = whole[above[0]] if above else whole
    inner[name] = None
    if not null:
        del inner[name]
    files = {**target.files, "a/result.json": json.dumps(whole).encode()}
    assert fuzz.tried(target, tmp_path, files).kind == "read"


@pytest.mark.parametrize("number", [183, 9341, 9562])
def test_a_parquet_file_at_which_the_engine_panics_is_refused(number: int) -> None:
    assert fuzz.trial(TARGETS["interactions parquet"], 18, number)[1].kind == "refused"


def test_objects_within_objects_beyond_measure_are_refused(tmp_path: Path) -> None:
    """Python reads 500 of them; what then walks through them does not."""
    target, deep = TARGETS["result.json"], json.loads('{"a":' * 500 + "1" + "}" * 500)
    files = {**target.files, "a/result.json": put(target.files["a/result.json"], ["config", "x"], deep)}
    assert "too deep within each other" in fuzz.tried(target, tmp_path, files).said


@pytest.mark.parametrize("reader", ["result.json", "plan.json", "manifest.json", "adapter", "trace.json"])
def test_lists_within_lists_without_end_are_refused(reader: str, tmp_path: Path) -> None:
    target = TARGETS[reader]
    file = next(one for one in target.files if one.endswith(".json"))
    assert fuzz.tried(target, tmp_path, {**target.files, file: DEEP}).kind == "refused"


def test_a_time_beyond_every_whole_number_is_refused(tmp_path: Path) -> None:
    target = TARGETS["amazon2018"]
    lines = gzip.decompress(target.files["reviews.gz"]).splitlines()
    lines[3] = put(lines[3], ["unixReviewTime"], 1e308)
    outcome = fuzz.tried(target, tmp_path, {**target.files, "reviews.gz": gzip.compress(b"\n".join(lines))})
    assert outcome.kind == "refused"
    assert "has a time that is no whole number in 1 of its 36 rows, first in row 4" in outcome.said


@pytest.mark.parametrize("first", [True, False])
def test_a_line_of_lists_without_end_is_refused(tmp_path: Path, first: bool) -> None:
    target = TARGETS["prompts jsonl"]
    name = sorted(target.files)[0]
    lines = target.files[name].split(b"\n")
    lines[0 if first else 1] = DEEP
    made = fuzz.tried(target, tmp_path, {**target.files, name: b"\n".join(lines)})
    assert made.kind in ("read", "refused")
