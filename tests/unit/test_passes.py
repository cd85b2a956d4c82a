"""Methods that pass over all features: any shards, any workers, lost at any time, the same coreset."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goracs import api
from goracs.cluster.spread import Joined
from goracs.ot import distance
from goracs.ot.one_point import NONE
from goracs.ot.part import passes
from goracs.selection import by_class
from goracs.types import Coreset, InvalidInput, SelectionProblem
from tests.workers import Drawn, Here, crew, odd

METHODS: dict[str, dict[str, Any]] = {
    "doubly_greedy": {},
    "herding": {},
    "kcenter": {},
    "kmeans": {"iterations": 4},
    "round_robin": {},
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("passes")


@pytest.fixture(scope="module", autouse=True)
def small() -> Iterator[None]:
    """Small blocks, so that 40 rows are many."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(distance, "BLOCK_BYTES", 4 * 9 * 7)
        yield


def problem(draw: Drawn, size: int) -> SelectionProblem:
    labels = draw.integers(0, 2, size)
    labels[:1] = 1  # where there are few
    return SelectionProblem(odd(draw, size), odd(draw, 5), labels=labels, target_labels=np.ones(5, np.int64))


def chosen(name: str, asked: SelectionProblem, budget: int, seed: int, **fields: Any) -> Coreset:
    return by_class.select(api.build(name, {**METHODS[name], **fields}), asked, budget, seed)


@given(st.sampled_from(sorted(METHODS)), st.integers(0, 2**32))
@settings(max_examples=25)
def test_the_coreset_is_that_of_this_process(root: Path, name: str, seed: int) -> None:
    draw = np.random.default_rng(seed)
    asked = problem(draw, int(draw.integers(1, 41)))
    budget = int(draw.choice(np.array([1, draw.integers(1, asked.pool_size + 1), asked.pool_size])))
    split = bool(draw.integers(2)) and budget <= np.sum(asked.labels == 1)
    alone = chosen(name, asked, budget, seed, by_class=split)
    there = chosen(name, replace(asked, spread=crew(root, draw)), budget, seed, by_class=split)
    np.testing.assert_array_equal(there.indices, alone.indices)
    assert there.report == alone.report


def words(answer: Any) -> int:
    """Numbers in an answer."""
    return sum(map(words, answer)) if isinstance(answer, tuple) else np.size(answer)


@pytest.mark.parametrize("name", METHODS)
def test_what_is_told_does_not_grow_with_the_pool(root: Path, name: str) -> None:
    told = []
    for size in (100, 1000):
        folder = root / f"{name}-{size}"
        folder.mkdir()
        hands = Here(2, np.random.default_rng(0))
        asked = SelectionProblem(np.random.default_rng(1).normal(size=(size, 2)), np.zeros((1, 2)))
        chosen(name, replace(asked, spread=Joined(lambda hands=hands: hands, folder, 4)), 5, 0)  # type: ignore[misc]
        told.append({words(answer) for answer in hands.told})
    assert told[0] == told[1]


def test_another_traversal_begins_anew() -> None:
    line = np.array([[0.0], [1], [5], [9]])
    part = passes(SelectionProblem(line, line), np.array([3, 1, 2, 0]))
    for picked, expected in (([0], (3, 9.0)), ([0, 3], (2, 4.0)), ([1], (0, 8.0)), ([1, 0], (2, 4.0))):
        assert part.farthest(np.array(picked)) == expected
    assert part.farthest(np.arange(4)) == (NONE, 0.0)


def test_rows_too_far_apart_are_refused_by_a_worker_as_here(root: Path) -> None:
    asked = SelectionProblem(np.array([[1e200], [-1e200]]), np.zeros((1, 1)))
    for where in (None, crew(root, np.random.default_rng(0))):
        with pytest.raises(InvalidInput, match="too far apart for float64: rescale them"):
            chosen("kcenter", replace(asked, spread=where), 1, 0)
