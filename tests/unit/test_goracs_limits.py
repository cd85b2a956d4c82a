"""What ends a search early: exchanges, seconds, an interrupt; and going on from a checkpoint."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from goracs.ot import exact, lagrangian
from goracs.ot.pool import Streamed
from goracs.search import itra, parts
from goracs.search.canonical import canonical_order
from goracs.search.limits import EFFORTS
from goracs.search.refine import Sweeps, refine
from goracs.search.watch import Watch
from goracs.types import Coreset, GoracsError
from tests.searches import ROUNDING, STREAM, assert_falling, assert_sound, costs_of, problem, search


def test_max_exchanges_is_a_limit() -> None:
    given = problem()
    whole = search(given, start="random").report["exchanges"]
    assert whole > 3
    for limit in (0, 1, 3):
        coreset = search(given, start="random", max_exchanges=limit)
        assert_sound(given, coreset, 0.3)
        assert coreset.report["exchanges"] == limit
        assert coreset.report["certified_local"] is None
        assert coreset.report["reproducible"] is True
    none = search(given, start="random", max_exchanges=0)
    np.testing.assert_array_equal(none.indices, search(given, start="random", effort="alternate").indices)


@pytest.mark.parametrize("effort", EFFORTS)
@pytest.mark.parametrize("start", ["capacity", "facility", "random"])
def test_no_seconds_equal_the_start(start: str, effort: str) -> None:
    given = problem()
    expected = search(given, start=start, effort="start")
    for seconds in (0, 0.0):
        coreset = search(given, start=start, effort=effort, seconds=seconds)
        assert_sound(given, coreset, 0.3)
        np.testing.assert_array_equal(coreset.indices, expected.indices)
        assert coreset.report["reproducible"] is False
        assert coreset.report["exchanges"] == 0


def test_enough_seconds_equal_no_limit_but_for_the_promise() -> None:
    given = problem()
    coreset = search(given, seconds=1e6)
    np.testing.assert_array_equal(coreset.indices, search(given).indices)
    assert (coreset.report["status"], coreset.report["reproducible"]) == ("finished", False)


class Stop(Watch):
    """Presses ctrl-c at the k-th step."""

    def __init__(self, at: int, checkpoint: Path | None = None) -> None:
        super().__init__(checkpoint)
        self.left = at

    def step(self, *_: Any) -> None:
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt


def test_an_interrupt_returns_the_best_so_far() -> None:
    given = problem(60, 13, seed=1)
    whole = search(given, start="random")
    assert whole.report["exchanges"] > 2
    for at in range(1, len(whole.trace) + 1):
        coreset = search(given, watch=Stop(at), start="random")
        report = coreset.report
        assert report["status"] == "interrupted"
        assert report["reproducible"] is False
        assert len(coreset.trace) == at
        assert report["poo"] == pytest.approx(coreset.trace[-1]["objective"], abs=ROUNDING)
        assert report["poo"] == pytest.approx(exact.solve(costs_of(given, 0.3)[coreset.indices]).value)
        assert report["certified_local"] is None
        if coreset.trace[-1]["bound"] is None:
            assert (report["lower_bound"], report["gap"], report["gap_absolute"]) == (None, None, None)
            json.dumps([dict(report), list(coreset.trace)], allow_nan=False)
        else:
            assert_sound(given, coreset, 0.3)


OPTIMAL = {"start": "random", "effort": "optimal"}


@pytest.mark.parametrize(
    "changed",
    [
        {"start": "random"},
        {"start": "lagrangian"},
        {"effort": "certify"},
        {"max_exchanges": 4},
        {"memory": STREAM},
        {"memory": STREAM, "effort": "certify", "start": "random"},
        OPTIMAL,
    ],
)
def test_a_killed_search_goes_on_from_its_checkpoint_to_the_same_end(
    changed: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(itra, "FIRST", 20)
    monkeypatch.setattr(lagrangian, "SPREAD", 1)
    monkeypatch.setattr(parts, "PART", 10)
    given = problem(60, 13, seed=1)
    whole = search(given, **changed)
    for at in range(1, len(whole.trace) + 1):
        file = tmp_path / f"{at}" / "search.npz"
        with pytest.raises(KeyboardInterrupt):
            search(given, watch=Stop(at, file), **changed)
        again = search(given, watch=Watch(file), **changed)
        assert_same(again, whole)
        assert_same(search(given, watch=Watch(file), **changed), whole)  # and once more, from its end


@pytest.mark.parametrize("start", ["best", "lagrangian"])
def test_no_more_than_the_pass_that_a_search_is_killed_in_is_made_again(
    start: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(itra, "FIRST", 20)
    monkeypatch.setattr(lagrangian, "SPREAD", 1)
    given, made, dies = problem(60, 13, seed=1), 0, 0
    cheapest = Streamed.cheapest

    def counted(*asked: Any) -> Any:
        nonlocal made
        made += 1
        if made == dies:
            raise KeyboardInterrupt
        return cheapest(*asked)

    monkeypatch.setattr(Streamed, "cheapest", counted)
    whole = search(given, memory=STREAM, start=start)
    passes = made
    assert passes > 3
    for dies in range(1, passes + 1):
        made, file = 0, tmp_path / f"{dies}.npz"
        with pytest.raises(KeyboardInterrupt):
            search(given, watch=Watch(file), memory=STREAM, start=start)
        assert_same(search(given, watch=Watch(file), memory=STREAM, start=start), whole)
        assert made == passes + 1


@pytest.fixture
def streamed(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What asks for a certified search by parts, of `problem(150, 31, 6)` in three rounds over them."""
    for room, name, value in ((itra, "FIRST", 8), (lagrangian, "SPREAD", 1), (lagrangian, "PASSES", 0)):
        monkeypatch.setattr(room, name, value)
    monkeypatch.setattr(parts, "PART", 9)
    return {"memory": STREAM, "effort": "certify", "start": "random"}


def test_a_limit_of_exchanges_in_the_second_round_over_the_parts_is_gone_on_to(
    streamed: dict[str, Any], tmp_path: Path
) -> None:
    given, file = problem(150, 31, 6), tmp_path / "search.npz"
    changed = {**streamed, "max_exchanges": search(given, **streamed).report["exchanges"]}
    whole = search(given, **changed)
    assert whole.report["certified_local"] is None
    with pytest.raises(KeyboardInterrupt):
        search(given, watch=Stop(len(whole.trace), file), **changed)
    assert search(given, watch=Watch(file), **changed).report == whole.report


def test_a_checkpoint_says_proven_of_the_rows_that_it_holds_alone(
    streamed: dict[str, Any], tmp_path: Path
) -> None:
    given, seen = problem(150, 31, 6), 0
    costs = costs_of(given, 0.3)[canonical_order(given)]
    for at in range(1, len(search(given, **streamed).trace) + 1):
        file = tmp_path / f"{at}.npz"
        with pytest.raises(KeyboardInterrupt):
            search(given, watch=Stop(at, file), **streamed)
        kept = Watch(file).load()
        if kept is not None and "sweeps" in kept and kept["sweeps"][2]:
            held = costs[kept["generated"]]
            again = refine(held, Sweeps(kept["rows"]), None, lambda *_: True, lambda _: None)
            assert again.exchanges == 0
            seen += 1
    assert seen > 0


def test_time_that_runs_out_between_two_rounds_over_the_parts_leaves_no_proof(
    streamed: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the first round ended with was proven against its last part alone."""
    gone = [0.0]

    def rounds(*told: Any) -> Iterator[Any]:
        yield from parts.parts(*told)
        gone[0] = 1e9

    monkeypatch.setattr(itra, "parts", rounds)
    monkeypatch.setattr("goracs.search.itra.time.perf_counter", lambda: gone[0])
    report = search(problem(150, 31, 6), seconds=1.0, **streamed).report
    assert (report["status"], report["certified_local"]) == ("out of time", None)


def test_an_interrupt_between_two_parts_leaves_no_proof(
    streamed: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken_off(*told: Any) -> Iterator[Any]:
        for count, part in enumerate(parts.parts(*told)):
            if count == 5:
                raise KeyboardInterrupt
            yield part

    monkeypatch.setattr(itra, "parts", broken_off)
    given = problem(150, 31, 6)
    report = search(given, **streamed).report
    assert report["exchanges"] > search(given, start="random", memory=STREAM).report["exchanges"]
    assert (report["status"], report["certified_local"]) == ("interrupted", None)


@pytest.mark.parametrize("damage", ["flipped", "cut", "emptied"])
def test_a_damaged_checkpoint_is_told_and_the_search_starts_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    monkeypatch.setattr(itra, "FIRST", 20)
    given, file = problem(60, 13, seed=1), tmp_path / "search.npz"
    whole = search(given, watch=Watch(file))
    kept = file.read_bytes()
    for place in range(0, len(kept), 97):
        flipped = kept[:place] + bytes([kept[place] ^ 1]) + kept[place + 1 :]
        file.write_bytes({"flipped": flipped, "cut": kept[:place], "emptied": b""}[damage])
        Watch(file).load()
    file.write_bytes({"flipped": kept.replace(b"NUMPY", b"NUMPX"), "cut": kept[:-99], "emptied": b""}[damage])
    assert_same(search(given, watch=Watch(file)), whole)
    assert f"interrupted search kept in {file} is damaged" in caplog.text


@pytest.mark.parametrize("start", ["best", "lagrangian"])
@pytest.mark.parametrize("other", [{"seed": 2}, {"pool": 30}, {"width": 12}, {"budget": 5}, {"budget": 4}])
def test_a_checkpoint_of_something_else_is_refused_at_every_moment(
    start: str, other: dict[str, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(itra, "FIRST", 20)
    monkeypatch.setattr(lagrangian, "SPREAD", 1)
    given = problem(60, 13, seed=1)
    another = problem(other.get("pool", 60), other.get("width", 13), other.get("seed", 1))
    for at in (1, 2, 4):
        file = tmp_path / f"{at}.npz"
        with pytest.raises(KeyboardInterrupt):
            search(given, watch=Ends(at, file), start=start)
        with pytest.raises(GoracsError, match=r"is of another problem: delete it\."):
            search(another, other.get("budget", 8), Watch(file), start=start)


def test_of_a_checkpoint_of_another_version_nothing_is_used(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    given, file = problem(60, 13, seed=1), tmp_path / "search.npz"
    with pytest.raises(KeyboardInterrupt):
        search(given, watch=Ends(2, file))
    state = Watch(file).load()
    assert state is not None
    del state["counts"]
    Watch(file).save(state)
    assert_same(search(given, watch=Watch(file)), search(given))
    assert "is of another version: the search starts anew" in caplog.text


class Ends(Watch):
    """Ends with the k-th checkpoint."""

    def __init__(self, at: int, checkpoint: Path) -> None:
        super().__init__(checkpoint)
        self.left = at

    def save(self, state: Mapping[str, Any]) -> None:
        super().save(state)
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt


def test_what_branch_and_bound_has_done_is_not_counted_less_after_a_kill(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for room, name, value in ((itra, "FIRST", 20), (lagrangian, "SPREAD", 1), (parts, "PART", 10)):
        monkeypatch.setattr(room, name, value)
    given = problem(24, 11, seed=68)
    changed: dict[str, Any] = {"start": "random", "effort": "optimal", "lam": 0.0}
    whole = search(given, 5, **changed)
    for at in range(1, len(whole.trace) + 1):
        file = tmp_path / f"{at}.npz"
        with pytest.raises(KeyboardInterrupt):
            search(given, 5, Stop(at, file), **changed)
        assert_same(search(given, 5, Watch(file), **changed), whole)


@pytest.mark.parametrize("up", [1e-14, -1e-14])
def test_a_checkpoint_of_another_machine_may_differ_by_rounding(tmp_path: Path, up: float) -> None:
    given, file = problem(60, 13, seed=1), tmp_path / "search.npz"
    whole = search(given, watch=Watch(file))
    kept = Watch(file).load()
    assert kept is not None
    Watch(file).save({**kept, "found": kept["found"] * [1 + up, 1, 1]})
    np.testing.assert_array_equal(search(given, watch=Watch(file)).indices, whole.indices)


def assert_same(found: Coreset, expected: Coreset) -> None:
    """But for the clock."""
    np.testing.assert_array_equal(found.indices, expected.indices)
    assert {**found.report} == {**expected.report}
    timeless = [[{**step, "seconds": 0} for step in each.trace] for each in (found, expected)]
    assert timeless[0] == timeless[1]
    assert_falling(found)


def test_a_search_killed_again_and_again_ends_the_same(tmp_path: Path) -> None:
    given, file = problem(60, 13, seed=1), tmp_path / "search.npz"
    whole = search(given, start="random")
    bounds = sum(step["phase"] == "bound" for step in whole.trace)
    for at in (3, 2, 1, bounds + 2, 1, 1):  # at the start, within the ascent, and twice in the sweep after it
        with pytest.raises(KeyboardInterrupt):
            search(given, watch=Stop(at, file), start="random")
    assert_same(search(given, watch=Watch(file), start="random"), whole)
