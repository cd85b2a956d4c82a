"""How long a proven optimum takes, beside a general solver for integer programs.

Command    python -m experiments.speed_optimal [--out FILE]

The planted problems of 32 dimensions, solved to the end by selector goracs with effort optimal and by HiGHS
(in scipy): row i ships z_i / n, at most z_i min(1/m, 1/n) to a column, z whole. One process, one thread.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

import goracs
from experiments.planted import planted
from experiments.speed_selection import LAMS, Row, _costs, table
from goracs.types import FloatArray

SIZES = ((60, 20, 5), (120, 40, 10))
SEEDS = range(6)
WIDTH = 32


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(prog="python -m experiments.speed_optimal", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("multirun/speed_optimal.md"))
    asked = parser.parse_args(arguments)
    for effort in ("certify", "optimal"):  # compiles
        goracs.select(planted(60, 20, 0, width=16), 6, "goracs", lam=0.5, effort=effort, by_class=False)
    written = table(list(problems()))
    print(written)
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    asked.out.write_text(written + "\n", encoding="utf-8")


def problems() -> Iterable[Row]:
    """A row for each problem."""
    for N, m, n in SIZES:
        for lam in LAMS:
            for seed in SEEDS:
                problem = planted(N, m, seed, width=WIDTH)
                near, _ = _ours(problem, n, lam, "certify")
                found, seconds = _ours(problem, n, lam, "optimal")
                optimum, theirs = highs(_costs(problem, lam), n)
                best = found.report["poo"]
                yield {
                    "N": N, "m": m, "n": n, "lam": lam, "seed": seed,
                    "1-swap above": f"{(near.report['poo'] - best) / abs(best):.3%}",
                    "its gap": f"{near.report['gap']:.3%}",
                    "gap": f"{found.report['gap']:.3%}", "nodes": found.report["nodes"],
                    "seconds": seconds, "HiGHS": theirs, "ratio": seconds / theirs,
                    "difference": f"{best - optimum:.0e}",
                }  # fmt: skip


def _ours(problem: goracs.SelectionProblem, n: int, lam: float, effort: str) -> tuple[goracs.Coreset, float]:
    began = time.perf_counter()
    found = goracs.select(problem, n, "goracs", lam=lam, effort=effort, by_class=False)
    return found, time.perf_counter() - began


def highs(costs: FloatArray, budget: int) -> tuple[float, float]:
    """The optimum by HiGHS, and the seconds that it took."""
    from scipy import sparse
    from scipy.optimize import Bounds, LinearConstraint, milp

    N, m = costs.shape
    ship, one = sparse.eye_array(N * m), sparse.eye_array(N)
    of_rows, ones = sparse.kron(one, np.ones((1, m))), sparse.kron(one, np.ones((m, 1)))
    of_columns = sparse.hstack([sparse.kron(np.ones((1, N)), sparse.eye_array(m)), sparse.csr_array((m, N))])
    rules = [
        LinearConstraint(sparse.hstack([of_rows, -one / budget]), 0, 0),
        LinearConstraint(of_columns, 1 / m, 1 / m),
        LinearConstraint(sparse.hstack([ship, -min(1 / m, 1 / budget) * ones]), -np.inf, 0),
        LinearConstraint(np.concatenate([np.zeros(N * m), np.ones(N)])[None], budget, budget),
    ]
    began = time.perf_counter()
    found = milp(
        np.concatenate([costs.ravel(), np.zeros(N)]),
        constraints=rules,
        bounds=Bounds(0, np.concatenate([np.full(N * m, np.inf), np.ones(N)])),
        integrality=np.concatenate([np.zeros(N * m), np.ones(N)]),
        options={"mip_rel_gap": 0.0},
    )
    return float(found.fun), time.perf_counter() - began


if __name__ == "__main__":
    main()
