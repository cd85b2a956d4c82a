"""Which representation has the smaller validation loss? What the presets of task=ctr follow.

`python -m experiments.representation FOLDER seeds=0,1,2 [override ...]` judges goracs at lam 0 on each
representation as `selector.lam=auto` judges a weight: validation is cut into folds by user, each is judged
by heads fitted on coresets that were chosen against the other folds. It reads the stages of
experiment=study and writes FOLDER/representation.md: mean loss, and the difference from embedding with its
error over users and seeds. The rule is in docs/study/protocol.md.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from goracs import api
from goracs.config import build, composed
from goracs.evaluation.bootstrap import user_weights
from goracs.pipeline import Job, Line
from goracs.selection import auto, by_class
from goracs.stages import select
from goracs.stages.common import examples
from goracs.store import Stage, Store
from goracs.types import FloatArray, IndexArray, SelectionProblem

FEATURES = ("embedding", "hidden", "output_gradient", "sketch")
BASE = FEATURES[0]
DRAWS = 500  # resamples of users


def losses(features: str, seed: int, words: Sequence[str]) -> tuple[FloatArray, list[str]]:
    """[m] the loss of every validation row, by a coreset not chosen against its fold, and the users."""
    config = composed(["experiment=study", f"features={features}", f"seed={seed}", *words])
    made, store = build(config), Store(Path(config.store.root))
    line = Line(Job(made, {}, "", ""), store)
    seen = line.selected.inputs.items()
    inputs = {name: store.get(stage).path for name, stage in seen if isinstance(stage, Stage)}
    problem = select.selection_problem(inputs, made["selector"].needs)
    selector = made["selector"]
    plain = api.build("goracs", {"lam": 0.0, "by_class": selector.by_class})

    def choose(_lam: float, seen: SelectionProblem) -> IndexArray:
        return by_class.select(plain, seen, line.budget, seed).indices

    found = auto.fold_losses(problem, line.budget, choose, [0.0], selector.folds, selector.penalty)
    asked = examples({"prepare": store.get(line.prepared).path}, "valid")
    return found[0], [example.user for example in asked]


def table(seeds: Sequence[int], words: Sequence[str]) -> str:
    """Mean losses, and differences from embedding with their error, as Markdown."""
    found, users = {}, list[str]()
    for name in FEATURES:
        each = [losses(name, seed, words) for seed in seeds]
        found[name], users = np.stack([rows for rows, _ in each]), each[0][1]
        if any(asked != users for _, asked in each):
            raise ValueError("the seeds have other validation rows")
    weights = np.concatenate(list(user_weights(users, DRAWS, 0)))
    lines = [["representation", "validation loss", f"less {BASE}'s", "error"]]
    for name, rows in found.items():
        apart = rows - found[BASE]
        of_seeds = apart.mean(axis=1).std(ddof=1) / len(seeds) ** 0.5 if len(seeds) > 1 else np.nan
        error = np.hypot(of_seeds, (weights @ apart.mean(axis=0) / weights.sum(axis=1)).std(ddof=1))
        told = ["-", "-"] if name == BASE else [f"{apart.mean():+.4f}", f"{error:.4f}"]
        lines.append([name, f"{rows.mean():.4f}", *told])
    shown = [f"| {' | '.join(cells)} |" for cells in lines]
    return "\n".join([shown[0], "| --- " * 4 + "|", *shown[1:]]) + "\n"


def main(words: Sequence[str]) -> int:
    """Write and print the table; the exit code."""
    if len(words) < 2 or not words[1].startswith("seeds="):
        print(__doc__, file=sys.stderr)
        return 1
    seeds = [int(seed) for seed in words[1].removeprefix("seeds=").split(",")]
    text = table(seeds, words[2:])
    (Path(words[0]) / "representation.md").write_text(text)
    print(text, end="")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
