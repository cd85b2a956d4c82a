"""A pool on a cluster, with workers in this process: any shards, any workers, any order, the same numbers."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import goracs
from goracs import api
from goracs.cluster import on_ray
from goracs.cluster import settings as cluster_settings
from goracs.cluster.crew import Crew
from goracs.cluster.questions import Low
from goracs.cluster.settings import Local, refuse
from goracs.cluster.sharded import Sharded
from goracs.cluster.shards import Plan, cut, lay_out, open_shard
from goracs.cluster.spread import Joined, stored
from goracs.ot import distance, lagrangian
from goracs.ot.cheapest import shape
from goracs.ot.distance import largest_distance
from goracs.ot.pool import Streamed
from goracs.search import itra, lazily, parts
from goracs.search.limits import STARTS
from goracs.search.watch import Watch
from goracs.selection import by_class
from goracs.selection.goracs import Goracs
from goracs.types import Coreset, InvalidInput, SelectionProblem
from tests.workers import Drawn, Here, crew, odd


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cluster")


@pytest.fixture(scope="module", autouse=True)
def small() -> Iterator[None]:
    """Small blocks, and few rows at a time, so that 60 rows are many."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(distance, "BLOCK_BYTES", 4 * 9 * 7)
        patch.setattr(lazily, "FEW", 4)
        patch.setattr(lazily, "PART", 2)
        yield


def spread(root: Path, draw: Drawn) -> tuple[Streamed, Sharded]:
    """A pool in this process and on some workers."""
    size, m = int(draw.integers(1, 61)), int(draw.integers(1, 21))
    offset = draw.choice([0, 0.3, 1e6]) * draw.random(size)
    streamed = Streamed(odd(draw, size), odd(draw, m), draw.permutation(size), offset, 1.5)
    return streamed, crew(root, draw).pool(streamed)


@given(st.integers(0, 2**32))
@settings(max_examples=60)
def test_a_spread_pool_says_what_the_same_pool_says_here(root: Path, seed: int) -> None:
    draw = np.random.default_rng(seed)
    streamed, sharded = spread(root, draw)
    assert (sharded.size, sharded.width) == (streamed.size, streamed.width)
    assert sharded.low == streamed.low
    some = draw.integers(0, streamed.size, 3)
    np.testing.assert_array_equal(sharded.rows(some), streamed.rows(some))
    for budget in {1, 3, streamed.size}:
        prices = draw.choice([0.0, 0.1]) * draw.normal(size=streamed.width)
        count = int(draw.integers(1, streamed.size + 1))
        expected = streamed.cheapest(prices, shape(budget, streamed.width), count)
        found = sharded.cheapest(prices, shape(budget, streamed.width), count)
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_array_equal(one, other)
        most = float(expected[1][-1])
        likely = sharded.likely(prices, shape(budget, streamed.width), most)
        assert set(expected[0]) <= set(likely.tolist())
        assert (np.diff(likely) > 0).all()


def test_a_row_that_ties_with_the_limit_is_told() -> None:
    streamed = Streamed(np.zeros((5, 2)), np.zeros((3, 2)), np.arange(5)[::-1], np.zeros(5), 1.0)
    rows, found = streamed.cheapest(np.zeros(3), shape(3, 3), 2, 0.0)
    assert (rows.tolist(), found.tolist()) == ([0, 1], [0.0, 0.0])
    assert streamed.cheapest(np.zeros(3), shape(3, 3), 2, -1.0)[0].tolist() == []


@given(st.integers(0, 2**32), st.sampled_from([lazily.capacity, lazily.facility]))
@settings(max_examples=60)
def test_starts_pick_the_same_rows(root: Path, seed: int, start: Any) -> None:
    draw = np.random.default_rng(seed)
    streamed, sharded = spread(root, draw)
    budget = int(draw.integers(1, streamed.size + 1))
    np.testing.assert_array_equal(start(sharded, budget), start(streamed, budget))


@given(st.integers(0, 2**32))
@settings(max_examples=30)
def test_the_largest_distance_is_the_same(root: Path, seed: int) -> None:
    draw = np.random.default_rng(seed)
    pool, target = odd(draw, int(draw.integers(1, 40))), odd(draw, 5)
    assert crew(root, draw).largest_distance(pool, target) == largest_distance(pool, target)


def problem(draw: Drawn, size: int = 60) -> SelectionProblem:
    norms = {"gradient_norm": draw.integers(0, 4, size).astype(float)}
    return SelectionProblem(draw.normal(size=(size, 3)), draw.normal(size=(9, 3)), norms)


MEMORY = 1e-9  # GB: no costs are held
SMALL: dict[str, Any] = {"lam": 0.1, "memory": MEMORY}


@given(st.integers(0, 2**32), st.sampled_from(STARTS), st.booleans())
@settings(max_examples=12)
def test_the_search_is_the_same_to_the_last_bit(root: Path, seed: int, start: str, held: bool) -> None:
    draw = np.random.default_rng(seed)
    asked = problem(draw)
    method = api.build("goracs", {"lam": 0.1, "memory": 1.0 if held else MEMORY, "start": start})
    alone = by_class.select(method, asked, 7, 0)
    assert isinstance(method, Goracs)
    there = by_class.select(replace(method, memory=MEMORY), replace(asked, spread=crew(root, draw)), 7, 0)
    np.testing.assert_array_equal(there.indices, alone.indices)
    assert there.report == alone.report
    for one, other in zip(there.trace, alone.trace, strict=True):
        assert {**one, "seconds": 0} == {**other, "seconds": 0}


@given(st.integers(0, 2**32))
@settings(max_examples=8)
def test_a_certified_search_is_the_same(root: Path, seed: int) -> None:
    """Among rows that the bound did not generate too, part after part."""
    draw = np.random.default_rng(seed)
    asked = problem(draw)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(itra, "FIRST", 8)
        patch.setattr(lagrangian, "SPREAD", 1)
        patch.setattr(parts, "PART", 9)
        found = [
            goracs_select(replace(asked, spread=where), effort="certify", start="random")
            for where in (None, crew(root, draw))
        ]
    np.testing.assert_array_equal(found[0].indices, found[1].indices)
    assert found[0].report == found[1].report
    assert found[0].report["certified_local"] == "pool"


def test_by_class_and_auto_are_the_same(root: Path) -> None:
    draw = np.random.default_rng(5)
    plain = problem(draw)
    asked = replace(
        plain, labels=draw.integers(0, 2, 60), target_labels=np.array([0, 1] * 4 + [1]),
    )  # fmt: skip
    found = [goracs_select(replace(asked, spread=where), by_class=True) for where in (None, crew(root, draw))]
    np.testing.assert_array_equal(found[0].indices, found[1].indices)
    assert found[0].report == found[1].report


def goracs_select(asked: SelectionProblem, **fields: Any) -> Coreset:
    return by_class.select(api.build("goracs", {**SMALL, **fields}), asked, 7, 0)


def test_a_search_goes_on_elsewhere_from_where_it_was_stopped(root: Path, tmp_path: Path) -> None:
    """Begun with workers, killed between two sweeps, ended without; and the other way round."""
    draw = np.random.default_rng(0)
    asked, method = problem(draw), api.build("goracs", SMALL)
    assert isinstance(method, Goracs)
    whole = goracs_select(asked)

    class Killed(Watch):
        def save(self, state: Any) -> None:
            super().save(state)
            raise KeyboardInterrupt

    for there, then in ((crew(root, draw), None), (None, crew(root, draw))):
        file = tmp_path / f"{then is None}.npz"
        with pytest.raises(KeyboardInterrupt):
            method.search(replace(asked, spread=there), 7, np.random.default_rng(0), Killed(file))
        found = method.search(replace(asked, spread=then), 7, np.random.default_rng(0), Watch(file))
        np.testing.assert_array_equal(found.indices, whole.indices)
        assert found.report == whole.report


def test_what_is_told_in_a_pass_does_not_grow_with_the_pool(root: Path) -> None:
    told = []
    for size in (300, 3000):
        draw = np.random.default_rng(1)
        folder = root / f"told-{size}"
        folder.mkdir()
        hands = Here(2, np.random.default_rng(0))
        pool, target = draw.normal(size=(size, 2)), draw.normal(size=(9, 2))
        streamed = Streamed(pool, target, np.arange(size), np.zeros(size), 1.0)
        sharded = Joined(lambda hands=hands: hands, folder, 4).pool(streamed)  # type: ignore[misc]
        sharded.cheapest(np.zeros(9), shape(3, 9), 12)
        assert len(hands.told) == 8
        assert all(len(rows) <= 12 for rows, _ in hands.told)
        told.append(sum(len(rows) for rows, _ in hands.told))
    assert max(told) < 8 * 12  # and fewer than that: later shards know what is no use


def test_a_slow_worker_takes_fewer_shards_and_keeps_what_it_remembers() -> None:
    class Slow(Here):
        def first(self, sent: Collection[Any]) -> Any:
            return max(sent)  # worker 0 last

        def answers(self, handle: Any) -> list[Any]:
            return [handle[0]] * len(handle[2])

    hands = Slow(2, np.random.default_rng(0))
    team = Crew(hands, "", 6)
    found = dict(team.passed(Low))
    assert hands.asked == [1, 5]
    assert dict(team.remembered(range(6), Low)) == found
    assert hands.asked == [2, 10]


def test_features_in_a_file_are_read_there_and_others_are_written_once(root: Path, tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    values = draw.normal(size=(20, 3)).astype("f4")
    np.save(tmp_path / "pool.npy", values)
    mapped = np.load(tmp_path / "pool.npy", mmap_mode="r")
    held = SelectionProblem(mapped, values).features
    assert stored(held) == tmp_path / "pool.npy"
    np.save(tmp_path / "other.npy", values[::2])
    changed = np.load(tmp_path / "pool.npy", mmap_mode="c")
    changed[0] = 9
    assert [stored(array) for array in (values, held[1:], held[:, :2], held[::-1], changed)] == [None] * 5
    team = crew(root, draw)
    for features in (held, values, values, values[:7].copy()):
        assert team.largest_distance(features, values) == largest_distance(features, values)
    assert sum(shard.stop - shard.start for shard in cut(team.files, 1)) == 7  # the others are gone


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (lambda file: file.unlink(), "does not see .*pool.npy: features and cluster.folder must lie on"),
        (
            lambda file: file.write_bytes(file.read_bytes()[:-8]),
            "shard .*pool.npy cannot be read .* shortened",
        ),
        (lambda file: file.write_bytes(b"no such file"), "shard .*pool.npy cannot be read .* shortened"),
        (
            lambda file: np.save(file, np.zeros((20, 4), "f4")),
            r"holds <f4 of shape \(20, 4\) on .* \(20, 3\)",
        ),
        (
            lambda file: np.save(file, np.zeros((19, 3), "f4")),
            r"holds <f4 of shape \(19, 3\) on .* \(20, 3\)",
        ),
        (lambda file: np.save(file, np.zeros((20, 3))), r"holds <f8 of shape .* the pool has <f4"),
    ],
)
def test_a_shard_that_is_not_what_it_was_is_named(break_it: Any, message: str, tmp_path: Path) -> None:
    draw, file = np.random.default_rng(0), tmp_path / "pool.npy"
    streamed = Streamed(draw.normal(size=(20, 3)), draw.normal(size=(9, 3)), np.arange(20), np.zeros(20), 1.0)
    np.save(file, streamed.features.astype("f4"))
    lay_out(tmp_path, Plan(cut([(file, 20)], 3), 3, "<f4", 1.0), streamed)
    assert [len(open_shard(tmp_path, number).rows) for number in range(3)] == [7, 7, 6]
    break_it(file)
    with pytest.raises(InvalidInput, match=message):
        open_shard(tmp_path, 1)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"workers": 0}, "cluster.workers must be a whole number >= 1, got 0"),
        ({"memory": 0.0}, "cluster: memory must be a number > 0, in GB"),
        ({"address": "ray://here:10001"}, "cluster.address must be null, auto or HOST:PORT"),
        ({"address": "here"}, "cluster.address must be null, auto or HOST:PORT"),
        ({"gpus": 1}, "cluster ray has no gpus; its fields: address, folder, gpus_per_worker, memory, w"),
    ],
)
def test_settings_that_cannot_be_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        goracs.select(problem(np.random.default_rng(0)), 3, "goracs", cluster=fields)


def test_methods_that_hold_all_features_refuse_a_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = problem(np.random.default_rng(0))
    with pytest.raises(InvalidInput, match="selector facility_location holds all features in one process"):
        goracs.select(asked, 3, "facility_location", cluster="ray")
    with pytest.raises(InvalidInput, match="there is no cluster 'slurm'; the clusters: local, ray"):
        goracs.select(asked, 3, "random", cluster="slurm")
    monkeypatch.setattr(cluster_settings, "find_spec", lambda _: None)
    with pytest.raises(InvalidInput, match=r"pip install 'goracs\[ray\]'"):
        goracs.select(asked, 3, "random", cluster="ray")
    refuse(Local(), api.build("facility_location", {}), "facility_location")


@pytest.mark.parametrize(
    ("cores", "gpus", "memory", "room"),
    [
        (1, 0, 1.0, 12), (8, 0, 1.0, 1), (1, 0, 24.0, 3), (1, 1, 1.0, 2), (1, 2, 1.0, 1), (1, 3, 1.0, 0),
        (1, 0.5, 1.0, 4), (1, 0.6, 1.0, 2), (13, 0, 1.0, 0),
    ],
)  # fmt: skip
def test_a_machine_has_room_for_workers_that_share_no_device_with_another(
    cores: int, gpus: float, memory: float, room: int
) -> None:
    machine = {"CPU": 12.0, "GPU": 2.0, "memory": 90.0 * on_ray.GB}
    assert on_ray._fits(machine, memory, on_ray.Post(object, cores, gpus)) == room
    assert on_ray._fits({}, memory, on_ray.Post(object, cores, gpus)) == 0
