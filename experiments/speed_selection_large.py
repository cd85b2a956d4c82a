"""One large pool in a process of its own, so that its memory can be told: FOLDER BUDGET -> a line of JSON."""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path

import numpy as np

import goracs
from goracs.types import FloatArray


def main(folder: Path, budget: int) -> None:
    """Select from the features in a folder; print seconds, gap and resident memory."""
    features = np.load(folder / "features.npy", mmap_mode="r")
    target = np.load(folder / "target.npy")
    problem = goracs.SelectionProblem(features, target, {"gradient_norm": np.load(folder / "norms.npy")})
    one_pass = distance_pass(features, target)
    began = time.perf_counter()
    found = goracs.select(problem, budget, "goracs", lam=0.5, by_class=False)
    seconds = time.perf_counter() - began
    marks = {f"passes to gap {mark:.1%}": _reached(found, mark, one_pass) for mark in (0.02, 0.005)}
    print(
        json.dumps(
            {
                "pass s": one_pass, "search s": seconds, "passes": seconds / one_pass, **marks,
                "gap": f"{found.report['gap']:.3%}", "generated": found.report["generated"],
                "GB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
                "torch": "torch" in sys.modules,
            }
        )
    )  # fmt: skip


def distance_pass(features: FloatArray, target: FloatArray) -> float:
    """Seconds of one float64 pass that forms all distances, by blocks and a matrix product."""
    columns = target.astype(np.float64)
    began = time.perf_counter()
    for start in range(0, len(features), 4096):
        rows = features[start : start + 4096].astype(np.float64)
        squares = (rows**2).sum(axis=1)[:, None] + (columns**2).sum(axis=1) - 2 * (rows @ columns.T)
        np.sqrt(np.maximum(squares, 0, out=squares), out=squares)
    return time.perf_counter() - began


def _reached(found: goracs.Coreset, mark: float, one_pass: float) -> float | None:
    lowest = found.report["lowest_cost"]
    for step in found.trace:
        if step["bound"] is not None and step["objective"] - step["bound"] <= mark * (
            step["objective"] - lowest
        ):
            return float(step["seconds"] / one_pass)
    return None


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
