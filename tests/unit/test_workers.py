"""Passes by the workers of a cluster, all in this process: the arrays of one, and nothing done twice."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goracs.cluster.settings import Local, Ray, refuse_devices
from goracs.llm import kept_texts, workers
from goracs.llm.batch import Batch
from goracs.llm.rows import Pass, fill
from goracs.llm.seen import Sign
from goracs.llm.workers import Asked, Begin, Fill, Worker, lead
from goracs.store import Store
from goracs.types import GoracsError, InvalidInput
from tests.conftest import RUNTIME
from tests.unit.test_rows import JOB, SHAPES, Sums, contents, texts
from tests.unit.test_states import line

Drawn = np.random.Generator
SIDES = {"pool": 30, "target": 7}
KEPT = replace(JOB, runtime=replace(RUNTIME, keep_every=0))  # after every batch
RAY = Ray(address=None, workers=2, memory=0.1, gpus_per_worker=0, folder=None)


class Killed(Exception):
    """What becomes of a worker, or of the command."""


class Mortal(Sums):
    """Dies now and then before a batch."""

    def __init__(self, draw: Drawn, dies: float) -> None:
        super().__init__()
        self.draw, self.dies = draw, dies

    def predict_step(self, batch: Batch, place: int) -> Any:
        if self.draw.random() < self.dies:
            raise Killed
        return super().predict_step(batch, place)


class Here:
    """Workers in this process, who answer in any order; one that is lost begins anew and is asked again."""

    def __init__(self, count: int, draw: Drawn, lives: float = np.inf) -> None:
        self.count, self.draw, self.lives = count, draw, lives
        self.workers = [Worker() for _ in range(count)]
        self.asked = [0] * count

    def send(self, worker: int, folder: str, numbers: Sequence[int], question: Any) -> Any:
        self.asked[worker] += 1
        return (worker, folder, tuple(numbers), question)

    def first(self, sent: Collection[Any]) -> Any:
        handles = list(sent)
        return handles[self.draw.integers(len(handles))]

    def answers(self, handle: Any) -> list[Any]:
        worker, folder, numbers, question = handle
        self.lives -= 1
        if self.lives < 0:
            raise Killed  # the command
        while True:
            try:
                found: list[Any] = self.workers[worker].answers(folder, numbers, question)
            except Killed:
                self.workers[worker] = Worker()
            else:
                return found


class Road:
    """A stage of two passes, of one module that says which rows it has read."""

    def __init__(self, root: Path, draw: Drawn, dies: float = 0.0) -> None:
        self.folder = root / f"{uuid.uuid4().hex}.partial"
        self.folder.mkdir()
        self.kept, self.module = self.folder.with_suffix(".checkpoint"), Mortal(draw, dies)
        sign = Sign(self.folder.with_suffix(".meeting"), self.folder.name)
        sign.file.write_text(sign.word)
        self.asked = Asked(self.passes, self.folder, {"input": root}, sign)

    def passes(self, folder: Path, _inputs: Mapping[str, Path]) -> Iterator[Pass]:
        for side, count in SIDES.items():
            yield Pass(self.module, texts(count), SHAPES, KEPT, self.kept, side)
        with (folder / "ended").open("a") as file:
            file.write("once ")

    def read_once(self) -> None:
        """All is there, and no row was read twice."""
        rows = sorted([*range(SIDES["pool"]), *range(SIDES["target"])])
        assert sorted(self.module.read) == rows
        assert (self.folder / "ended").read_text() == "once "


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The arrays of a process that does it alone."""
    folder = tmp_path_factory.mktemp("alone")
    for side, count in SIDES.items():
        fill(Pass(Sums(), texts(count), SHAPES, KEPT, folder, side))
    return arrays(folder)


def arrays(folder: Path) -> dict[str, bytes]:
    return {name: content for name, content in contents(folder).items() if name.endswith("npy")}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("workers")


@given(st.integers(0, 2**32))
@settings(max_examples=6)
def test_workers_that_are_lost_at_any_time_write_what_one_process_does(
    root: Path, alone: dict[str, bytes], seed: int
) -> None:
    draw = np.random.default_rng(seed)
    road, hands = Road(root, draw, dies=0.2), Here(int(draw.integers(1, 5)), draw)
    lead(road.asked, hands, shown=False)
    road.read_once()
    assert arrays(road.kept) == alone
    assert min(hands.asked) > 0  # each had a part


@given(st.integers(0, 2**32))
@settings(max_examples=6)
def test_a_killed_command_goes_on_with_fewer_workers_or_none(
    root: Path, alone: dict[str, bytes], seed: int
) -> None:
    draw = np.random.default_rng(seed)
    road = Road(root, draw)
    with pytest.raises(Killed):
        lead(road.asked, Here(3, draw, lives=int(draw.integers(1, 9))), shown=False)
    read = len(road.module.read)
    if draw.random() < 0.5:
        lead(road.asked, Here(int(draw.integers(1, 4)), draw), shown=False)
    else:
        for _ in map(fill, road.passes(road.folder, {})):
            pass
    assert len(road.module.read) > read
    road.read_once()
    assert arrays(road.kept) == alone


def test_a_pass_that_fewer_than_the_workers_began_begins_anew(root: Path, alone: dict[str, bytes]) -> None:
    """One part would leave all others idle."""
    draw = np.random.default_rng(0)
    road = Road(root, draw, dies=0.5)
    with pytest.raises(Killed):
        fill(next(road.passes(road.folder, {})))
    read, road.module.dies = len(road.module.read), 0.0
    assert 0 < read < SIDES["pool"]
    lead(road.asked, Here(2, draw), shown=False)
    assert len(road.module.read) == read + SIDES["pool"] + SIDES["target"]
    assert arrays(road.kept) == alone


def test_a_pass_that_one_process_has_ended_is_not_made_again(root: Path, alone: dict[str, bytes]) -> None:
    draw = np.random.default_rng(0)
    road = Road(root, draw)
    fill(next(road.passes(road.folder, {})))
    lead(road.asked, Here(2, draw), shown=False)
    road.read_once()
    assert arrays(road.kept) == alone


def test_fp16_is_not_taken_for_what_a_core_makes_of_it(root: Path) -> None:
    """Lightning would compute in bf16, and the artifact say fp16."""
    road = Road(root, np.random.default_rng(0))
    half = replace(KEPT, precision="fp16", runtime=replace(KEPT.runtime, accelerator="cpu"))

    def passes(folder: Path, inputs: Mapping[str, Path]) -> Iterator[Pass]:
        return (replace(one, job=half) for one in road.passes(folder, inputs))

    with pytest.raises(InvalidInput, match=r"is to be in fp16, and a worker of the cluster \(.*no CUDA GPU"):
        lead(replace(road.asked, passes=passes), Here(1, np.random.default_rng(0)), shown=False)
    assert not road.module.read


def test_what_is_asked_twice_is_done_once(root: Path, alone: dict[str, bytes]) -> None:
    """Ray may ask again what was answered; also behind the last pass."""
    draw = np.random.default_rng(1)
    road, worker = Road(root, draw), Worker()

    def ask(question: Begin | Fill) -> Any:
        return [worker.answers("", [0], question)[0].found for _ in range(2)][1]

    for place in range(2):
        parts = ask(Begin(road.asked, place, 1, 1, {})).parts
        ask(Fill(road.asked, place, parts))
    assert ask(Begin(road.asked, 2, 1, 1, {})) is None
    assert sorted(road.module.read) == sorted([*range(SIDES["pool"]), *range(SIDES["target"])])
    assert arrays(road.kept) == alone


def test_numbers_that_are_not_finite_are_named_and_not_kept(root: Path) -> None:
    draw = np.random.default_rng(2)
    road = Road(root, draw)
    road.module.spoilt = 5
    with pytest.raises(GoracsError, match=r"The loss of pool examples is not finite for 1 of 30.*rows 5\)"):
        lead(road.asked, Here(2, draw), shown=False)
    assert not road.kept.exists()
    assert not list(road.folder.iterdir())


def test_a_worker_that_does_not_see_the_store_says_so(root: Path) -> None:
    road = Road(root, np.random.default_rng(3))
    other = replace(road.asked, sign=Sign(road.asked.sign.file, "of another file system"))
    absent = replace(road.asked, inputs={"weights": root / "absent"})
    for asked, place in ((other, root), (absent, root / "absent")):
        with pytest.raises(InvalidInput, match=rf"^a worker of the cluster \(on .*\) does not see {place}"):
            lead(asked, Here(2, np.random.default_rng(3)), shown=False)
    assert not road.kept.exists()


def test_what_batches_turned_out_to_fit_is_told_to_the_end(root: Path) -> None:
    """The smallest bound that a worker came to, by whoever ends the stage."""
    road, told = Road(root, np.random.default_rng(4)), list[dict[str, int]]()

    def passes(folder: Path, inputs: Mapping[str, Path]) -> Iterator[Pass]:
        mine: dict[str, int] = {}
        told.append(mine)
        fits = {"batch_tokens": 40 // len(told)}  # of the second worker 20
        yield Pass(Noting(mine, fits), texts(), SHAPES, replace(KEPT, told=mine), road.kept, "pool")
        np.save(folder / "bound.npy", mine["batch_tokens"])

    lead(replace(road.asked, passes=passes), Here(2, np.random.default_rng(4)), shown=False)
    assert np.load(road.folder / "bound.npy") == 20


class Noting(Sums):
    """Finds out what fits."""

    def __init__(self, told: dict[str, int], fits: Mapping[str, int]) -> None:
        super().__init__()
        self.told, self.fits = told, fits

    def predict_step(self, batch: Batch, place: int) -> Any:
        self.told.update(self.fits)
        return super().predict_step(batch, place)


@pytest.mark.parametrize(
    ("accelerator", "gpus", "message"),
    [
        ("gpu", 0, r"runtime\.accelerator=gpu, and cluster\.gpus_per_worker=0 gives the workers"),
        ("cpu", 1, r"cluster\.gpus_per_worker=1, and with runtime\.accelerator=cpu no worker would"),
    ],
)
def test_workers_have_the_device_that_is_asked_for(accelerator: str, gpus: float, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        refuse_devices(replace(RAY, gpus_per_worker=gpus), accelerator)
    refuse_devices(replace(RAY, gpus_per_worker=1 - gpus), accelerator)
    refuse_devices(Local(), accelerator)


@pytest.mark.parametrize("gpus", [-1, 2, True, "one", float("nan")])
def test_gpus_are_a_share_of_one(gpus: Any) -> None:
    with pytest.raises(InvalidInput, match=r"cluster\.gpus_per_worker must be 1, a share of one"):
        replace(RAY, gpus_per_worker=gpus)


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[Here]]:
    """Workers of Ray are some of this process; those that were asked for."""
    asked = list[Here]()

    @contextmanager
    def on_ray(*_: Any) -> Iterator[Callable[[], Here]]:
        asked.append(Here(2, np.random.default_rng(len(asked))))
        yield lambda: asked[-1]

    monkeypatch.setattr(workers, "on_ray", on_ray)
    return lambda: asked


READ = {"embedded": ["pool", "target"], "scored": ["train", "valid"], "states": ["test"]}


def test_each_stage_that_asks_a_model_leaves_on_a_cluster_what_it_leaves_here(
    shared: Path,
    tmp_path: Path,
    in_this_process: Callable[[], list[Here]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Embeddings, numbers of gradients at two checkpoints of a warm-up, hidden states; the same keys.

    One worker of two makes the token ids of each side.
    """
    words = (
        "selector.lam=0.1",
        "adapter.checkpoints=2",
        "adapter.training.batch_size=2",
        "score.course=true",
        "score.together=[sketch,hidden]",
    )
    store, tokenised, write = Store(shared / "store"), list[str](), kept_texts._write

    def told(place: kept_texts.Place, parts: Any) -> Any:
        tokenised.append(place.name)
        return write(place, parts)

    monkeypatch.setattr(kept_texts, "_write", told)
    here, there = line(store, *words), line(store, *words, "cluster=ray")
    for name in ("embedded", "scored", "states"):
        alone, spread = getattr(here, name), getattr(there, name)
        assert spread.key == alone.key
        made, folder = store.get(alone).path, tmp_path / f"{name}.partial"
        folder.mkdir()
        tokenised.clear()
        spread.build(folder, {role: store.folder(source) for role, source in spread.inputs.items()})
        assert {file.name for file in made.iterdir()} == {"manifest.json", *contents(folder)}
        assert contents(folder).items() <= contents(made).items()
        assert sorted(tokenised) == READ[name]
    assert [min(hands.asked) > 0 for hands in in_this_process()] == [True] * 3  # none did it alone
