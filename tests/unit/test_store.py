"""The store: an artifact appears whole or not at all, is built once, and is never trusted blindly."""

from __future__ import annotations

import fcntl
import json
import multiprocessing
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goracs import memory
from goracs.store import DamagedArtifact, External, Stage, Store, digest, folder_digest
from goracs.store_lock import building
from goracs.types import GoracsError

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def write_one(folder: Path, _: Mapping[str, Path]) -> None:
    (folder / "value.txt").write_text("one")


def stage(
    name: str = "first",
    version: int = 1,
    params: Mapping[str, object] | None = None,
    **inputs: Stage | External,
) -> Stage:
    return Stage(name, version, params or {}, inputs, write_one)


@given(plain)
def test_digest_equals_itself_after_a_round_trip_through_json(value: object) -> None:
    assert digest(value) == digest(json.loads(json.dumps(value)))


def test_digest_refuses_what_json_does_not_have() -> None:
    with pytest.raises(ValueError, match="JSON"):
        digest({"lr": float("nan")})


def test_digest_is_unchanged_by_the_order_of_keys() -> None:
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})


def test_key_never_stays_when_name_version_params_or_inputs_change() -> None:
    keys = [
        stage().key,
        stage(name="second").key,
        stage(version=2).key,
        stage(params={"lr": 0.1}).key,
        stage(before=stage()).key,
        stage(before=stage(version=2)).key,
    ]
    assert len(set(keys)) == len(keys)


def test_kept_equals_the_finished_artifact_as_an_input(lock_free_store: Store) -> None:
    assert lock_free_store.kept("first", stage().key) is None
    made = lock_free_store.get(stage())
    found = Store(lock_free_store.root).kept("first", stage().key)
    assert found == External("first", stage().key, made.path)
    assert stage(before=found).key == stage(before=stage()).key


def test_kept_refuses_a_damaged_artifact(lock_free_store: Store) -> None:
    (lock_free_store.get(stage()).path / "value.txt").write_text("two")
    with pytest.raises(DamagedArtifact, match=r"value.txt differ from what the manifest says"):
        Store(lock_free_store.root).kept("first", stage().key)


def test_get_builds_once_and_then_opens(lock_free_store: Store) -> None:
    built = []

    def count(folder: Path, inputs: Mapping[str, Path]) -> None:
        built.append(folder)
        write_one(folder, inputs)

    counted = Stage("first", 1, {}, {}, count)
    first = lock_free_store.get(counted)
    again = Store(lock_free_store.root).get(counted)
    assert (first.cached, again.cached, len(built)) == (False, True, 1)


def test_what_a_store_built_is_told_apart_from_what_it_found(lock_free_store: Store) -> None:
    key = lock_free_store.get(stage()).key
    found, kept = Store(lock_free_store.root), Store(lock_free_store.root)
    found.get(stage())
    kept.kept("first", key)
    assert [store.built for store in (lock_free_store, found, kept)] == [{key}, set(), set()]


def test_what_another_builds_while_one_waits_is_found(
    lock_free_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextmanager
    def waited(file: Path, name: str) -> Iterator[None]:
        monkeypatch.undo()
        Store(lock_free_store.root).get(stage())
        with building(file, name):
            yield

    monkeypatch.setattr("goracs.store.building", waited)
    assert lock_free_store.get(stage()).cached


def test_a_store_is_locked_once_however_much_is_asked_of_it(
    lock_free_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each lock is an open file."""
    locked: list[Path] = []
    monkeypatch.setattr("goracs.store.share", lambda root, _: locked.append(root))
    for version in range(3):
        lock_free_store.get(stage(version=version))
    assert locked == [lock_free_store.root]


def test_a_store_that_is_moved_away_is_gone_on_with_where_it_was(lock_free_store: Store) -> None:
    lock_free_store.get(stage())
    lock_free_store.root.rename(lock_free_store.root.with_name("moved"))
    assert not lock_free_store.get(stage(version=2)).cached
    assert Store(lock_free_store.root).get(stage(version=2)).cached


def test_an_artifact_that_is_opened_is_used_now(lock_free_store: Store) -> None:
    """It is what `goracs store` tells of."""
    place = lock_free_store.get(stage()).path
    os.utime(place, (0, 0))
    Store(lock_free_store.root).get(stage())
    assert place.stat().st_mtime > 10**9


def test_get_builds_the_inputs_first_and_hands_over_their_folders(lock_free_store: Store) -> None:
    def double(folder: Path, inputs: Mapping[str, Path]) -> None:
        (folder / "value.txt").write_text((inputs["before"] / "value.txt").read_text() * 2)

    after = Stage("second", 1, {}, {"before": stage()}, double)
    assert (lock_free_store.get(after).path / "value.txt").read_text() == "oneone"


def test_a_failing_build_leaves_nothing_behind(lock_free_store: Store) -> None:
    def fail(folder: Path, inputs: Mapping[str, Path]) -> None:
        write_one(folder, inputs)
        raise GoracsError("no")

    failing = Stage("first", 1, {}, {}, fail)
    with pytest.raises(GoracsError, match="no"):
        lock_free_store.get(failing)
    assert not lock_free_store.has(failing)
    folders = [path.name for path in lock_free_store.root.rglob("*") if path.is_dir()]
    assert folders == ["first"]


def test_a_partial_folder_of_a_killed_process_never_leaks_into_the_artifact(lock_free_store: Store) -> None:
    left = lock_free_store.root / "first" / f"{stage().key[:24]}.partial"
    left.mkdir(parents=True)
    (left / "stale.txt").write_text("half")
    found = lock_free_store.get(stage())
    assert sorted(path.name for path in found.path.iterdir()) == ["manifest.json", "value.txt"]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda place: (place / "value.txt").write_text("two"), "value.txt differ from"),
        (lambda place: (place / "value.txt").unlink(), "value.txt differ from"),
        (lambda place: (place / "more.txt").write_text("x"), "more.txt differ from"),
        (lambda place: (place / "manifest.json").write_text("{"), "manifest cannot be read"),
    ],
)
def test_get_refuses_a_damaged_artifact(lock_free_store: Store, damage: object, message: str) -> None:
    place = lock_free_store.get(stage()).path
    assert callable(damage)
    damage(place)
    with pytest.raises(DamagedArtifact, match=message):
        Store(lock_free_store.root).get(stage())


def test_the_content_of_another_key_is_never_served(lock_free_store: Store) -> None:
    """Whole as it is, and its own manifest with it."""
    place, other = (lock_free_store.get(stage(params={"lr": lr})).path for lr in (0.1, 0.2))
    shutil.rmtree(place)
    shutil.copytree(other, place)
    with pytest.raises(DamagedArtifact, match="manifest is that of another artifact"):
        Store(lock_free_store.root).get(stage(params={"lr": 0.1}))


def test_a_manifest_is_refused_whatever_byte_of_its_identity_or_files_is_changed(
    lock_free_store: Store,
) -> None:
    """What it says of time, memory and packages is told and decides nothing."""
    given = stage(params={"lr": 0.1}, before=stage())
    file = lock_free_store.get(given).path / "manifest.json"
    whole = file.read_bytes()
    for place in range(len(whole)):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        try:
            found = Store(lock_free_store.root).get(given)
        except GoracsError:  # damaged, or of another version
            continue
        for name in ("stage", "version", "params", "inputs", "key", "files"):
            assert found.manifest[name] == json.loads(whole)[name], place


def test_an_external_folder_enters_by_content_and_not_by_path(tmp_path: Path) -> None:
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "raw.csv").write_text("a,b")
    folders = [tmp_path / name for name in ("here", "there")]
    keys = {Stage("s", 1, {}, {"raw": External("raw", folder_digest(f), f)}, write_one).key for f in folders}
    assert len(keys) == 1


def slow_build(folder: Path, _: Mapping[str, Path]) -> None:
    with (folder.parent / "builds").open("a") as log:
        log.write("x")
    time.sleep(0.2)
    (folder / "value.txt").write_text("one")


def build_slowly(root: Path) -> None:
    Store(root).get(Stage("first", 1, {}, {}, slow_build))


def test_processes_that_want_the_same_artifact_build_it_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=build_slowly, args=(tmp_path,)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    assert (tmp_path / "first" / "builds").read_text() == "x"


def test_a_file_system_that_honours_no_lock_is_refused(
    lock_free_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fcntl, "flock", lambda *_: None)
    with pytest.raises(GoracsError, match=r"does not honour locks \(flock\).*store.root=FOLDER"):
        lock_free_store.get(stage())
    assert not [
        path for path in lock_free_store.root.rglob("*") if not path.name.endswith(".lock") and path.is_file()
    ]


def test_the_manifest_names_no_path_and_no_host(lock_free_store: Store) -> None:
    text = (lock_free_store.get(stage()).path / "manifest.json").read_text()
    assert str(lock_free_store.root) not in text


def large_and_gone(folder: Path, _: Mapping[str, Path]) -> None:
    (folder / "bytes").write_text(str(len(bytearray(300 * 2**20))))


@pytest.mark.skipif(not memory.forget_peak(), reason="this system tells no peak of a part of a process")
def test_the_peak_memory_of_a_stage_is_its_own(lock_free_store: Store) -> None:
    small = lock_free_store.get(stage("before")).manifest["peak_mb"]
    large = lock_free_store.get(Stage("large", 1, {}, {}, large_and_gone)).manifest["peak_mb"]
    after = lock_free_store.get(stage("after")).manifest["peak_mb"]
    assert large > small + 200
    assert after < large - 200


@pytest.mark.skipif(not memory.forget_peak(), reason="this system tells no peak of a part of a process")
def test_the_peak_is_that_of_the_largest_process_that_worked(lock_free_store: Store) -> None:
    def helped(_folder: Path, _: Mapping[str, Path]) -> None:
        memory.also(10_000_000.0)
        memory.also(None)

    assert lock_free_store.get(Stage("helped", 1, {}, {}, helped)).manifest["peak_mb"] == 10_000_000.0
    assert lock_free_store.get(stage("alone")).manifest["peak_mb"] < 10_000_000.0


def test_no_peak_is_told_where_the_system_cannot_tell_a_stages_own(
    lock_free_store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("goracs.memory.RESET", tmp_path / "no" / "such")
    assert lock_free_store.get(stage()).manifest["peak_mb"] is None
