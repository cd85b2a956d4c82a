"""Old stores are read or refused, never misread; the room they take is told; no kept result loses any."""

from __future__ import annotations

import fcntl
import gc
import json
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from goracs import room, store_lock
from goracs.commands import store as word
from goracs.room import DAMAGED, FINISHED, HALF, KEPT
from goracs.store import CHECKPOINT, Stage, Store
from goracs.types import GoracsError
from tests.unit.test_results import result as told
from tests.unit.test_results import save

STORES = Path(__file__).parents[1] / "stores"  # first: as the first version left it; schema1: as this one


def never(folder: Path, inputs: Mapping[str, Path]) -> None:
    raise AssertionError("it is there")


INTERRUPTED, UNFINISHED = f"{'5678' * 6}.checkpoint", f"{'1234' * 6}.partial"
ROWS = Stage("prepare", 3, {"seed": 0, "split": [0.1, 0.2]}, {}, never)
CHOSEN = Stage("select", 7, {"budget": 2, "lam": 0.5}, {"rows": ROWS}, never)


@pytest.fixture(params=["first", "schema1"])
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return Path(shutil.copytree(STORES / request.param, tmp_path / "store"))


def test_an_old_store_is_read(old: Path) -> None:
    found = Store(old).get(CHOSEN)
    assert found.cached
    assert json.loads((found.path / "chosen" / "indices.json").read_text()) == [3, 1]


@pytest.mark.parametrize("schema", [0, 2, "1", None])
def test_a_store_of_another_form_is_refused_with_the_reason(old: Path, schema: object) -> None:
    (file,) = old.glob("select/*/manifest.json")
    file.write_text(json.dumps({**json.loads(file.read_text()), "schema": schema}))
    before = file.read_bytes()
    with pytest.raises(GoracsError, match=f"manifest has schema {schema}, this one reads 1.*Delete that"):
        Store(old).get(CHOSEN)
    assert file.read_bytes() == before


def write(folder: Path, _: Mapping[str, Path]) -> None:
    (folder / "value").write_bytes(bytes(1000))


def stage(name: str, number: int, **inputs: Stage) -> Stage:
    return Stage(name, 1, {"number": number}, inputs, write)


def jobs(root: Path) -> list[Stage]:
    """Two jobs, whose results are in the store, of one pool."""
    pool = stage("prepare", 0)
    results = [stage("result", number, prepare=pool, select=stage("select", number)) for number in (0, 1)]
    for result in results:
        Store(root).get(result)
    gc.collect()  # nobody is at work in it any more
    return results


def leave(folder: Path, result: Stage) -> None:
    folder.mkdir(parents=True)
    digests = {name: source.key for name, source in result.inputs.items()}
    save(folder, {**told(), "digests": digests})


def lying(root: Path) -> set[Path]:
    return {path for path in root.rglob("*") if path.is_file() and not path.name.endswith(".lock")}


def test_prune_says_what_it_would_remove_and_removes_that_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root, kept = tmp_path / "store", tmp_path / "kept"
    first, second = jobs(root)
    leave(kept / "job", first)
    half = root / "select" / f"{first.inputs['select'].key[:24]}.partial"
    half.mkdir()
    (root / "finetune" / INTERRUPTED).mkdir(parents=True)
    words = ["prune", str(kept), "--store", str(root)]
    before = lying(root)
    assert word.run(words) == 0
    told = capsys.readouterr().out
    assert lying(root) == before
    assert "would remove 3 of 7 folders, " in told
    assert "needed by none of 1 results; 1 of interrupted commands stay" in told
    assert word.run([*words, "yes=true"]) == 0
    gone = {line.removeprefix("removed ") for line in capsys.readouterr().out.splitlines()[3:-1]}
    named = {line.partition(" (")[0] for line in told.splitlines()[:-1]}
    assert gone == named == {
        str(root / "result" / second.key[:24]),
        str(root / "select" / second.inputs["select"].key[:24]),
        str(half),
    }  # fmt: skip
    assert Store(root).get(first).cached
    assert (root / "finetune" / INTERRUPTED).exists()
    assert not list(root.rglob("*.partial"))


def interrupted(folder: Path, _: Mapping[str, Path]) -> None:
    folder.with_suffix(CHECKPOINT).mkdir()
    raise KeyboardInterrupt


def test_what_an_interrupted_command_goes_on_from_is_kept_with_all_that_it_was_made_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root, pool = tmp_path / "store", stage("prepare", 5)
    leave(tmp_path / "kept" / "job", jobs(root)[0])
    scored = stage("score", 5, prepare=pool)
    chosen = stage("select", 5, score=scored)
    tuned = Stage("finetune", 1, {}, {"prepare": pool, "select": chosen}, interrupted)
    with pytest.raises(KeyboardInterrupt):
        Store(root).get(tuned)
    unread = stage("score", 6)
    Store(root).get(unread)
    gc.collect()
    assert word.run(["prune", str(tmp_path / "kept"), "--store", str(root), "yes=true"]) == 0
    gone = {line.removeprefix("removed ") for line in capsys.readouterr().out.splitlines()}
    assert str(root / "score" / unread.key[:24]) in gone
    assert all(Store(root).has(one) for one in (pool, scored, chosen))
    assert (root / "finetune" / f"{tuned.key[:24]}.checkpoint").exists()
    Store(root).get(replace(tuned, build=write))
    assert not list(root.rglob("*.needs"))


def test_what_a_checkpoint_needs_is_known_after_prune_and_on_a_full_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = stage("select", 5)
    tuned = Stage("finetune", 1, {}, {"select": chosen}, interrupted)
    with pytest.raises(KeyboardInterrupt):
        Store(tmp_path).get(tuned)
    place = tmp_path / "finetune" / tuned.key[:24]
    place.with_suffix(".partial").mkdir()  # as kill -9 leaves it
    list(room.remove(room.unneeded(room.places(tmp_path), ())))
    assert not place.with_suffix(".partial").exists()

    def full(self: Path, _: str) -> None:
        self.open("w").close()
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", full)
        with pytest.raises(OSError, match="No space"):
            Store(tmp_path).get(tuned)
    (found,) = (one for one in room.places(tmp_path) if one.state == KEPT)
    assert found.inputs == (chosen.key,)
    assert room.unneeded(room.places(tmp_path), ()) == []


@pytest.mark.parametrize("told", [None, b"", b"[1, 2]", b"{}", b"\xff", b"[" * 10_000])
def test_a_checkpoint_that_does_not_say_what_it_needs_is_kept_alone(
    tmp_path: Path, told: bytes | None
) -> None:
    place = tmp_path / "store" / "finetune" / INTERRUPTED
    place.mkdir(parents=True)
    if told is not None:
        place.with_suffix(".needs").write_bytes(told)
    found = room.places(tmp_path / "store")
    assert [one.state for one in found] == [KEPT]
    assert room.unneeded(found, ()) == []


def test_a_stage_that_fails_with_nothing_kept_leaves_no_note(tmp_path: Path) -> None:
    with pytest.raises(AssertionError):
        Store(tmp_path).get(Stage("score", 1, {}, {}, never))
    assert not list(tmp_path.rglob("*.needs"))


def test_nothing_is_removed_while_a_command_is_at_work_or_a_result_cannot_be_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root, kept = tmp_path / "store", tmp_path / "kept"
    first, second = jobs(root)
    leave(kept / "job", first)
    words = ["prune", str(kept), "yes=true", "--store", str(root)]
    before = lying(root)
    at_work = Store(root)
    at_work.get(second)
    assert word.run(words) == 1
    assert f"error: a command is at work in the store {root.resolve()}"[:40] in capsys.readouterr().err
    del at_work
    gc.collect()
    (kept / "other").mkdir()
    (kept / "other" / "result.json").write_text('{"schema": 0}')
    assert word.run(words) == 1
    assert "is not a result of schema 1" in capsys.readouterr().err
    for mistake in (["prune"], ["prune", "yes=true"], ["prune", str(kept), "yes=yes"], ["prun", str(kept)]):
        assert word.run([*mistake, "--store", str(root)]) == 1
        assert "error: goracs store takes nothing, or prune FOLDER..." in capsys.readouterr().err
    assert word.run(["prune", str(tmp_path / "none"), "--store", str(root)]) == 1
    assert word.run(["--store", str(tmp_path / "none")]) == 1
    assert lying(root) == before


def test_nothing_is_removed_from_a_store_that_cannot_be_locked_or_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_locks(*_: object) -> None:
        raise OSError("no locks here")

    root = tmp_path / "store"
    leave(tmp_path / "kept" / "job", jobs(root)[0])
    words, before = ["prune", str(tmp_path / "kept"), "yes=true", "--store", str(root)], lying(root)
    with monkeypatch.context() as unlocked:
        unlocked.setattr(fcntl, "flock", no_locks)
        assert word.run(words) == 1
    assert "cannot be locked (no locks here): nothing is removed." in capsys.readouterr().err
    monkeypatch.setattr(store_lock, "_opened", lambda _: None)
    assert word.run(words) == 1
    assert "cannot be written." in capsys.readouterr().err
    assert lying(root) == before


def test_what_is_not_a_store_s_is_never_removed(tmp_path: Path) -> None:
    """Whatever folder is taken for a store: one above it, or somebody's own."""
    (first, _), own = jobs(tmp_path / "store"), tmp_path / "thesis" / "chapter.partial"
    leave(tmp_path / "kept" / "job", first)
    own.mkdir(parents=True)
    (own / "text").touch()
    (tmp_path / "thesis" / "data").mkdir()
    before = lying(tmp_path)
    assert word.run(["prune", str(tmp_path / "kept"), "yes=true", "--store", str(tmp_path)]) == 0
    assert lying(tmp_path) == before
    assert (tmp_path / "thesis" / "data").is_dir()


def test_the_list_tells_what_lies_there_and_what_is_damaged_or_half_built(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = jobs(tmp_path)
    broken = tmp_path / "select" / second.inputs["select"].key[:24]
    (broken / "manifest.json").write_text("{")
    (tmp_path / "select" / UNFINISHED).mkdir()
    (tmp_path / "select" / INTERRUPTED).mkdir()
    states = {place.path.name: place.state for place in room.places(tmp_path) if place.stage == "select"}
    assert states == {
        first.inputs["select"].key[:24]: FINISHED,
        broken.name: DAMAGED,
        UNFINISHED: HALF,
        INTERRUPTED: KEPT,
    }
    size = sum(file.stat().st_size for file in lying(tmp_path) if file.parts[-3] == "select")
    assert word.run(["--store", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert f"| select | 1 | {size / 1000:.1f} kB | " in out
    assert " | 1 damaged, 1 half-built, 1 interrupted |" in out
    assert f"damaged: {broken}" in out
    needed = {first.inputs["select"].key, second.inputs["select"].key, first.inputs["prepare"].key}
    left = {place.path.name for place in room.unneeded(room.places(tmp_path), needed)}
    assert left == {UNFINISHED}  # a damaged one that is needed is its command's to tell of
