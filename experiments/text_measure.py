"""Does a cheap figure foretell what a fine-tune on texts reaches? What `lam=auto` of task=seqrec would need.

`python -m experiments.text_measure FOLDER [override ...]` chooses coresets of many kinds against one half of
the validation users, fine-tunes on each, and takes the loss on the other half. Beside it stand figures that
cost no fine-tune, from the gradient sketches of that other half. It writes FOLDER/table.md: the coresets, and
the rank correlation of each figure with the loss. The protocol is docs/study/protocol.md.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import goracs
from goracs.config import build, composed, store_root
from goracs.ot import distance, exact
from goracs.pipeline import Job, Line
from goracs.report.statistics import rank_correlation
from goracs.selection.auto import cut
from goracs.stages import finetune
from goracs.stages.common import checkpoint, examples
from goracs.store import Stage, Store
from goracs.types import FloatArray, IndexArray

SET_UP = (
    "task=seqrec",
    "dataset.size=600",
    "dataset.history=5",
    "split.valid=200",
    "split.test=20",
    "split.per_user=10",
    "adapter.rows=64",
    "score.together=[gradient_norm,hidden,sketch]",
    "budget=16",
    "finetune.epochs=4",
)
LAMS = (0.0, 0.1, 0.5)
RANDOM = 6  # coresets by chance
FAR = re.compile("el2n|grand|lam 0.5")  # which any figure may tell from the rest
FIGURES = ("first order", "cosine", "distance of means", "transport")


@dataclass(frozen=True)
class Arrays:
    """What selections see, and the sketches that judge: of the pool [N, k] and the judging half [b, k]."""

    problems: Mapping[str, goracs.SelectionProblem]
    sketches: tuple[FloatArray, FloatArray]
    judging: IndexArray


def arrays(line: Line, store: Store) -> Arrays:
    """The stages' arrays; the first half of the validation users is selected against, the second judges."""
    scored, embedded = store.get(line.scored).path, store.get(line.embedded).path
    users = [example.user for example in examples({"prepare": store.get(line.prepared).path}, "valid")]
    half = cut(np.unique(users, return_inverse=True)[1], 2)
    seen, judging = np.flatnonzero(half == 0), np.flatnonzero(half == 1)
    scores = {name: np.load(scored / f"pool_{name}.npy") for name in ("gradient_norm", "el2n")}
    places = {"embedding": embedded, "hidden": scored, "sketch": scored}
    sides = {
        name: [np.load(place / f"{side}_{name}.npy") for side in ("pool", "target")]
        for name, place in places.items()
    }
    problems = {
        name: goracs.SelectionProblem(features=pool, target_features=target[seen], scores=scores)
        for name, (pool, target) in sides.items()
    }
    pool, target = (side.astype(np.float64) for side in sides["sketch"])
    return Arrays(problems, (pool, target[judging]), judging)


def coresets(given: Arrays, budget: int) -> Iterator[tuple[str, IndexArray]]:
    """A name and the rows of each."""
    for seed in range(RANDOM):
        yield f"random {seed}", _select(given, "embedding", budget, "random", seed)
    yield "kcenter", _select(given, "embedding", budget, "kcenter", 0)
    for name in ("el2n", "grand"):
        yield name, _select(given, "embedding", budget, name, 0)
    for name in given.problems:
        for lam in LAMS:
            yield f"goracs {name}, lam {lam:g}", _select(given, name, budget, "goracs", 0, lam=lam)


def _select(given: Arrays, features: str, budget: int, name: str, seed: int, **more: Any) -> IndexArray:
    return goracs.select(given.problems[features], budget, name, seed=seed, **more).indices


def figures(given: Arrays, rows: IndexArray) -> dict[str, float]:
    """What is had without a fine-tune; each is smaller where the loss should be."""
    pool, judging = given.sketches
    mine, theirs = pool[rows].mean(axis=0), judging.mean(axis=0)
    inner = float(mine @ theirs)
    return {
        "first order": -inner,
        "cosine": -inner / float(np.linalg.norm(mine) * np.linalg.norm(theirs)),
        "distance of means": float(np.linalg.norm(mine - theirs)),
        "transport": exact.solve(distance.distances(pool[rows], judging)).value,
    }


def chosen(rows: IndexArray) -> Stage:
    """The rows as a stage that a fine-tune reads."""

    def write(folder: Path, _: Mapping[str, Path]) -> None:
        np.save(folder / "indices.npy", rows)

    return Stage("rows", 1, {"rows": rows.tolist()}, {}, write)


def judged(line: Line, tuned: Stage, rows: IndexArray) -> Stage:
    """target_loss.npy [b]: the loss of the validation rows that judge."""

    def write(folder: Path, inputs: Mapping[str, Path]) -> None:
        from goracs.llm.gradient import score

        opened, kept = line.llm.open(inputs), checkpoint(folder)
        read = examples(inputs, "valid")
        texts = opened.read([read[row] for row in rows])
        model = opened.adapted(inputs["tuned"] / "adapter")
        score(model, opened.loss, texts, None, frozenset({"loss"}), opened.job("judge", ""), kept, "target")
        np.save(folder / "target_loss.npy", np.load(kept / "target_loss.npy"))

    params = {"rows": rows.tolist(), **line.llm.params}
    return Stage("text_loss", 1, params, {**line.llm.inputs, "tuned": tuned}, write)


def measured(words: Sequence[str]) -> Iterator[dict[str, Any]]:
    """A row for each coreset: its name, its loss after the fine-tune, the figures."""
    config = composed([*SET_UP, *words])
    made, store = build(config), Store(store_root(config))
    line = Line(Job(made, {}, "", ""), store)
    given = arrays(line, store)

    def loss(tuned: Stage) -> float:
        place = store.get(judged(line, tuned, given.judging)).path
        return float(np.load(place / "target_loss.npy").astype(np.float64).mean())

    yield {"coreset": "start", "loss": loss(line.start)}
    for name, rows in coresets(given, made["budget"]):
        tuned = finetune.stage(line.llm, line.start, chosen(rows), made["finetune"], made["seed"])
        yield {"coreset": name, "loss": loss(tuned), **figures(given, rows)}


def table(found: Sequence[Mapping[str, Any]]) -> str:
    """The coresets, and the rank correlation of each figure with the loss, as Markdown."""
    heads, tried = ["coreset", "loss", *FIGURES], found[1:]
    close = [row for row in tried if not FAR.search(row["coreset"])]
    lines = [
        [row["coreset"], *(f"{row[key]:.4f}" if key in row else "-" for key in heads[1:])] for row in found
    ]
    lines.append(["rank correlation", "", *_correlations(tried)])
    lines.append([f"without {FAR.pattern.replace('|', ', ')}", "", *_correlations(close)])
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [heads, ["---"] * len(heads), *lines]) + "\n"


def _correlations(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    losses = np.array([row["loss"] for row in rows])
    found = [rank_correlation(np.array([row[name] for row in rows]), losses) for name in FIGURES]
    return ["-" if value is None else f"{value:.2f}" for value in found]


def main(words: Sequence[str]) -> int:
    """Measure, write and print the table; the exit code."""
    if not words:
        print(__doc__, file=sys.stderr)
        return 1
    folder = Path(words[0])
    text = table(list(measured(words[1:])))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "table.md").write_text(text)
    print(text, end="")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
