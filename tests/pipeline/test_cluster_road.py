"""The same coreset on a real Ray cluster of two cores, started once; workers and commands that are killed."""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import goracs as package
from goracs import api
from goracs.cluster import on_ray
from goracs.cluster.on_ray import Post
from goracs.cluster.settings import Ray
from goracs.cluster.spread import Joined
from goracs.search.watch import Watch
from goracs.selection import by_class
from goracs.selection.goracs import Goracs
from goracs.types import GoracsError, InvalidInput, SelectionProblem
from tests.pipeline.conftest import Command

ray = pytest.importorskip("ray")
pytestmark = pytest.mark.xdist_group("ray")
CLUSTER = Ray(address=None, workers=2, memory=0.1, gpus_per_worker=0, folder=None)
FIELDS: dict[str, Any] = {"workers": 2, "memory": 0.1}
SMALL: dict[str, Any] = {"lam": 0.1, "memory": 1e-9}  # no costs are held
PATIENCE = 30.0


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Of a cluster that was there before: no selection may end it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(on_ray, "_cores", lambda: 2)
        assert on_ray._connect(CLUSTER)
    found: str = ray.get_runtime_context().gcs_address
    yield found
    assert ray.is_initialized()
    ray.shutdown()


def problem(size: int = 300) -> SelectionProblem:
    draw = np.random.default_rng(0)
    norms = {"gradient_norm": draw.random(size)}
    return SelectionProblem(draw.normal(size=(size, 4)).astype("f4"), draw.normal(size=(20, 4)), norms)


def goracs_method() -> Goracs:
    method = api.build("goracs", SMALL)
    assert isinstance(method, Goracs)
    return method


def test_the_coreset_is_the_same_on_a_cluster_that_stays(
    address: str, caplog: pytest.LogCaptureFixture
) -> None:
    asked = problem()
    alone = package.select(asked, 12, "goracs", **SMALL)
    there = package.select(asked, 12, "goracs", cluster={**FIELDS, "workers": 5}, **SMALL)
    np.testing.assert_array_equal(there.indices, alone.indices)
    assert there.report == alone.report
    assert "cluster.workers=5, and 2 cores and" in caplog.text
    assert "2 work" in caplog.text
    assert ray.is_initialized()


class Deadly(on_ray.Actors):
    """Workers of which one is killed each time it has been asked something for the k-th time."""

    def __init__(self, settings: Ray, at: set[int], post: Post = on_ray.PASSES) -> None:
        super().__init__(settings, post)
        self.at, self.sent, self.killed = at, 0, 0

    def send(self, worker: int, *asked: Any) -> Any:
        self.sent += 1
        if self.sent not in self.at:
            return super().send(worker, *asked)
        process = ray.get(self.actors[worker].__ray_call__.remote(lambda _: os.getpid()))
        handle = super().send(worker, *asked)
        os.kill(process, signal.SIGKILL)
        self.killed += 1
        return handle


def test_workers_that_are_killed_are_started_anew_and_the_coreset_is_the_same(
    address: str, tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    asked = problem()
    alone = by_class.select(goracs_method(), asked, 12, 0)
    with caplog.at_level(logging.INFO):
        hands = Deadly(CLUSTER, {3, 40, 60})  # the first pass, the start, and later
        try:
            spread = Joined(lambda: hands, tmp_path, 8)
            there = by_class.select(goracs_method(), replace(asked, spread=spread), 12, 0)
            assert hands.killed == 3
            hands.at = {hands.sent + 8}  # when k-center has something to remember
            for name in ("kcenter", "herding", "kmeans"):
                method = api.build(name, {})
                found = [by_class.select(method, replace(asked, spread=one), 12, 0) for one in (None, spread)]
                np.testing.assert_array_equal(found[0].indices, found[1].indices)
                assert found[0].report == found[1].report
            assert hands.killed == 4
        finally:
            hands.close()
    np.testing.assert_array_equal(there.indices, alone.indices)
    assert there.report == alone.report
    printed = capfd.readouterr()
    assert "killed" not in printed.out + printed.err  # Ray says it in the log alone


def test_a_worker_that_finds_something_wrong_says_so_and_the_cluster_stays(
    address: str, tmp_path: Path
) -> None:
    asked = problem()
    np.save(tmp_path / "pool.npy", asked.features)
    mapped = np.load(tmp_path / "pool.npy", mmap_mode="r")
    hands = on_ray.Actors(CLUSTER)
    try:
        sharded = Joined(lambda: hands, tmp_path, 8)
        given = replace(asked, features=mapped, spread=sharded)
        (tmp_path / "pool.npy").rename(tmp_path / "away.npy")
        monkey = pytest.MonkeyPatch()
        monkey.setattr("goracs.cluster.spread.stored", lambda _: tmp_path / "pool.npy")
        with pytest.raises(InvalidInput, match=r"does not see .*pool.npy: features and cluster.folder"):
            by_class.select(goracs_method(), given, 12, 0)
        monkey.undo()
    finally:
        hands.close()
    assert ray.is_initialized()


def test_a_run_goes_the_road_on_a_cluster_under_the_same_key(
    address: str, goracs: Command, store_root: Path, tmp_path: Path
) -> None:
    words = ("selector.lam=0", "selector.memory=1e-9", "selector.start=capacity", "until=select")
    there = goracs("cluster=ray", "cluster.memory=0.1", f"cluster.address={address}", *words)
    assert there.code == 0, there.text
    assert "skipped" in goracs(*words).text
    alone = goracs(*words, store=tmp_path / "store")
    assert there.result["digests"] == alone.result["digests"]
    place = Path("select") / there.result["digests"]["select"][:24]
    found = [np.load(root / place / "indices.npy") for root in (store_root, tmp_path / "store")]
    np.testing.assert_array_equal(*found)
    assert not list((store_root / "select").rglob("goracs-cluster-*"))


def test_an_llm_scores_on_a_cluster_though_a_worker_is_killed(
    address: str, goracs: Command, store_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the midst of the pool; the numbers are those of one process, under the same key."""
    score = ("assess=true", "selector=random", "until=score", "score.together=[hidden]")
    words = ("adapter=init", "backbone.batch_tokens=512", *score)
    alone = goracs(*words)
    made = list[Deadly]()

    def deadly(settings: Ray, post: Post) -> Deadly:
        made.append(Deadly(settings, {4}, post))
        return made[-1]

    monkeypatch.setattr(on_ray, "Actors", deadly)
    asked = ("cluster=ray", f"cluster.address={address}", "cluster.memory=0.1", "runtime.keep_every=0")
    there = goracs(*words, *asked, store=tmp_path / "store")
    assert there.code == 0, there.text
    assert [hands.killed for hands in made] == [1]
    assert there.result["digests"] == alone.result["digests"]
    place = Path("score") / there.result["digests"]["score"][:24]
    names = {file.name for file in (store_root / place).glob("*.npy")}
    assert {"pool_gradient_norm.npy", "pool_hidden.npy", "target_hidden.npy"} <= names
    for name in sorted(names):
        found, whole = (np.load(root / place / name) for root in (tmp_path / "store", store_root))
        np.testing.assert_allclose(found, whole, rtol=1e-5, err_msg=name)
    left = {path.name for path in (tmp_path / "store" / "score").iterdir()}
    assert left <= {place.name, f"{place.name}.lock"}


def test_a_gpu_where_the_cluster_has_none_is_refused_and_nothing_is_left(
    address: str, goracs: Command, tmp_path: Path
) -> None:
    words = ("adapter=init", "selector=random", "score.together=[loss]", "until=score", "cluster=ray")
    device = ("runtime.accelerator=auto", "cluster.gpus_per_worker=1", "cluster.memory=0.1")
    ended = goracs(*words, *device, f"cluster.address={address}", store=tmp_path)
    assert ended.code == 1
    assert "has 2 cores, 0 GPUs and" in ended.text
    assert "a worker takes a core, cluster.gpus_per_worker=1 and" in ended.text
    assert not [place for place in (tmp_path / "score").glob("*") if place.suffix != ".lock"]


def test_a_worker_that_is_lost_too_often_is_told_in_a_paragraph(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(on_ray, "RESTARTS", 0)
    hands = on_ray.Actors(replace(CLUSTER, workers=1))
    try:
        last = hands.actors[0].__ray_call__.remote(lambda _: os.kill(os.getpid(), signal.SIGKILL))
        with pytest.raises(GoracsError, match=r"^a worker of the Ray cluster was lost 0 times") as error:
            hands.answers(last)
    finally:
        hands.close()
    assert "\n" not in str(error.value)
    assert ray.is_initialized()


def test_a_method_that_does_not_work_there_says_so_before_anything(goracs: Command, tmp_path: Path) -> None:
    ended = goracs("selector=facility_location", "cluster=ray", "until=select", store=tmp_path / "store")
    assert ended.code == 1
    assert "selector facility_location holds all features in one process and does not work on" in ended.text
    assert not list((tmp_path / "store").glob("*/*"))


def test_a_cluster_without_room_is_refused(address: str) -> None:
    with pytest.raises(InvalidInput, match=r"has 2 cores and .* GB free, and a worker takes a core and"):
        package.select(problem(), 12, "goracs", cluster={"memory": 1e6}, **SMALL)


SCRIPT = """
import os, signal, sys
from pathlib import Path
import numpy as np
from dataclasses import replace
from goracs.cluster.joined import joined
from goracs.search.watch import Watch
from tests.pipeline.test_cluster_road import CLUSTER, goracs_method, problem

class Killed(Watch):
    def save(self, state):
        super().save(state)
        if sys.argv[2] == "killed":
            os.kill(os.getpid(), signal.SIGKILL)

folder = Path(sys.argv[1])
with joined(CLUSTER, folder) as spread:
    given = replace(problem(), spread=spread)
    found = goracs_method().search(given, 12, np.random.default_rng(0), Killed(folder / "kept.npz"))
np.save(folder / "found.npy", found.indices)
"""


def left(mark: str) -> list[str]:
    """The processes that were started below one that had a mark in its environment.

    Two of Ray's own are left out that wait a minute, by a constant of Ray's, where all others were killed.
    """
    found = []
    for folder in Path("/proc").iterdir():
        try:
            if mark.encode() in (folder / "environ").read_bytes():
                found.append((folder / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue
    return [words for words in found if "DashboardAgent" not in words and "RuntimeEnvAgent" not in words]


def ran(folder: Path, end: str) -> tuple[subprocess.CompletedProcess[str], str]:
    mark = uuid.uuid4().hex
    words = [sys.executable, "-c", SCRIPT, str(folder), end]
    environment = {**os.environ, "MARK": mark, "PYTHONPATH": str(Path(__file__).parents[2])}
    return subprocess.run(words, env=environment, capture_output=True, text=True, timeout=300), mark


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="looks for processes as Linux tells them")
@pytest.mark.parametrize("end", ["ended", "killed"])
def test_a_cluster_of_our_own_ends_with_the_command_and_prints_nothing(end: str, tmp_path: Path) -> None:
    """Also where the command is killed; another then goes on from its checkpoint."""
    done, mark = ran(tmp_path, end)
    deadline = time.monotonic() + PATIENCE
    while left(mark) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert left(mark) == []
    assert done.stdout + done.stderr == ""
    alone = by_class.select(goracs_method(), problem(), 12, 0)
    if end == "killed":
        assert done.returncode == -signal.SIGKILL
        again = Watch(tmp_path / "kept.npz")
        assert again.load() is not None
        found = goracs_method().search(problem(), 12, np.random.default_rng(0), again).indices
    else:
        assert done.returncode == 0
        found = np.load(tmp_path / "found.npy")
        assert not list(tmp_path.glob("goracs-cluster-*"))
    np.testing.assert_array_equal(found, alone.indices)


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if this process had joined no cluster."""
    monkeypatch.setattr(ray, "is_initialized", lambda: False)


@pytest.mark.usefixtures("alone")
def test_an_address_where_nobody_answers_is_named() -> None:
    with socket.socket() as taken:  # bound, and nobody listens
        taken.bind(("127.0.0.1", 0))
        nobody = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(InvalidInput, match=f"cluster.address={nobody}: nobody answers there"):
            package.select(problem(), 12, "goracs", cluster={"address": nobody}, **SMALL)


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize(
    ("error", "message"),
    [
        (RuntimeError("Version mismatch: The cluster was started with:\n    Ray: 2.9"), "with: Ray: 2.9"),
        (ConnectionError("Could not find any running Ray instance."), "Could not find any running Ray"),
    ],
)
def test_what_ray_refuses_is_told_in_a_paragraph(
    error: Exception, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(**_: Any) -> None:
        raise error

    monkeypatch.setattr(ray, "init", refuses)
    with pytest.raises(InvalidInput, match=f"cluster.address=auto: .*{message}") as found:
        package.select(problem(), 12, "goracs", cluster={"address": "auto"}, **SMALL)
    assert "\n" not in str(found.value)
