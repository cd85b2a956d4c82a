"""Problems whose coresets must stay what they are; the digest of each under every selector lies beside.

python -m tests.golden.coresets > tests/golden/coresets.json     (a changed line needs a reason in the log)
"""

import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import goracs
from goracs import SelectionProblem

HERE = Path(__file__).parent
Arrays = dict[str, Any]
SELECTORS: dict[str, dict[str, Any]] = {
    "aum": {},
    "blend": {"first": "gradient_norm", "second": "el2n"},
    "cartography": {},
    "ccs": {"score": "el2n"},
    "craig": {},
    "d2": {},
    "dealrec": {},
    "doubly_greedy": {},
    "el2n": {},
    "facility_location": {},
    "fdmat": {},
    "forgetting": {},
    "full": {},
    "gist": {},
    "glister": {},
    "goracs": {"lam": 0.1},
    "goracs_exchange": {"lam": 0.1},
    "goracs_inner": {"lam": 0.1},
    "goracs_paper": {"lam": 0.1, "max_exchanges": 20, "candidates": 5, "distances": "divided"},
    "goracs_released": {"lam": 0.1, "max_exchanges": 20, "candidates": 5},
    "gradient_matching": {},
    "gradmatch": {},
    "grand": {},
    "herding": {},
    "kcenter": {},
    "kmeans": {},
    "kmm": {},
    "kmedoids": {},
    "less": {},
    "minirec": {},
    "mmd": {},
    "moderate": {},
    "random": {},
    "ranked": {"score": "el2n", "keep": "middle"},
    "round_robin": {},
    "spot": {},
    "tarot": {},
    "tdds": {},
    "tsds": {},
    "uniprot": {},
    "uot": {},
}


def problems() -> Iterator[tuple[str, SelectionProblem, int]]:
    """Name, problem and budget: the authors' labelled one, and random ones of several shapes."""
    itra = np.load(HERE / "goracs_itra.npz")
    scores = {"gradient_norm": itra["label_g"], "el2n": itra["label_g"][::-1].copy()}
    labels = {"labels": itra["label_train"], "target_labels": itra["label_valid"]}
    more = sketched(np.random.default_rng(0), len(itra["label_X"]), len(itra["label_Y"]))
    yield "authors", problem(itra["label_X"], itra["label_Y"], scores, more, labels), 16
    for pool, m, n in ((400, 90, 30), (400, 90, 37), (300, 31, 8), (250, 64, 150), (5000, 40, 12)):
        draw = np.random.default_rng([pool, m, n])
        scores = {"gradient_norm": draw.lognormal(size=pool), "el2n": draw.random(pool)}
        labels = {"labels": draw.integers(0, 2, pool), "target_labels": draw.integers(0, 2, m)}
        features = draw.normal(size=(pool, 8)), draw.normal(size=(m, 8))
        yield f"{pool} x {m}, n = {n}", problem(*features, scores, sketched(draw, pool, m), labels), n


def problem(
    pool: Any, target: Any, scores: Arrays, more: tuple[Arrays, Arrays], labels: Arrays
) -> SelectionProblem:
    """With scores of the pool alone, and those of both sides."""
    return SelectionProblem(pool, target, scores={**scores, **more[0]}, target_scores=more[1], **labels)


def sketched(draw: np.random.Generator, pool: int, m: int) -> tuple[Arrays, Arrays]:
    """Influence, training dynamics, sketches and their directions: of the pool, and of the target."""
    sides = [draw.normal(size=(rows, 6)) for rows in (pool, m)]
    ours, theirs = (
        {"sketch": side, "unit_sketch": side / np.linalg.norm(side, axis=1)[:, None]} for side in sides
    )
    influence, margins = draw.normal(size=pool), draw.normal(size=(pool, 5))
    course = {"right_margins": margins, "answer_losses": np.logaddexp(0, -margins)}
    return {"influence": influence, **course, **ours}, theirs


def digest(name: str, problem: SelectionProblem, budget: int, by_class: bool) -> str:
    """Of the rows that a selector chooses."""
    asked = len(problem.features) if name == "full" else budget
    found = goracs.select(problem, asked, name, seed=3, by_class=by_class, **SELECTORS[name])
    return hashlib.sha256(found.indices.astype("<i8").tobytes()).hexdigest()[:16]


def digests() -> dict[str, str]:
    """Of every selector on every problem, whole and by class."""
    found = {}
    for title, problem, budget in problems():
        for name in SELECTORS:
            for by_class in (False, True):
                if not (name == "full" and by_class):
                    key = f"{title}: {name}{' by class' if by_class else ''}"
                    found[key] = digest(name, problem, budget, by_class)
    return found


if __name__ == "__main__":
    json.dump(digests(), sys.stdout, indent=1)
    print()
