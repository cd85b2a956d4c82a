"""Has the kernels compiled that most tests use: `script/test` runs it while style and types are looked at."""

from typing import Any

import numpy as np

import goracs
from goracs import SelectionProblem

SEARCHES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("goracs", {}),
    ("goracs", {"effort": "optimal"}),
    ("goracs", {"start": "lagrangian", "memory": 1e-4}),
    ("goracs_paper", {"max_exchanges": 3, "candidates": 5}),
)


def main() -> None:
    """Select from a small problem, labelled, by each of the searches."""
    draw = np.random.default_rng(0)
    problem = SelectionProblem(
        draw.random((60, 4)),
        draw.random((24, 4)),
        scores={"gradient_norm": draw.random(60)},
        labels=draw.integers(0, 2, 60),
        target_labels=draw.integers(0, 2, 24),
    )
    for name, fields in SEARCHES:
        goracs.select(problem, 8, name, **{"lam": 0.1, "by_class": True, **fields})


if __name__ == "__main__":
    main()
