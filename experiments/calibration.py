"""Do the statistics keep what they promise? Simulated studies in which the truth is known.

`python -m experiments.calibration [studies=1000] [seed=0]` simulates studies of methods that are all alike,
each figure a mean over users and seeds, and prints a Markdown table: how often a method is marked as the best
(at most 5% is promised), and how often the 95% interval of a difference, over users and seeds, has 0 in it.

Model   method a, seed s, user u: normal effects of (a, s), of (a, u) and of (a, s, u) with the given
        deviations; what all methods share falls out of their differences.
"""

from __future__ import annotations

import sys

import numpy as np

from goracs.report.comparison import Measured, compare
from goracs.types import FloatArray

USERS, RESAMPLES = 120, 200
SETTINGS = (  # methods, seeds, deviation over seeds, over users, of both
    (2, 3, 1.0, 0.0, 1.0),
    (2, 5, 1.0, 5.0, 5.0),
    (2, 5, 0.1, 5.0, 1.0),
    (3, 5, 1.0, 5.0, 5.0),
    (6, 5, 1.0, 5.0, 5.0),
    (6, 3, 0.3, 5.0, 5.0),
)
HEAD = ("methods", "seeds", "over seeds", "over users", "both", "marked as best", "interval has the truth")
Setting = tuple[int, int, float, float, float]


def study(setting: Setting, rng: np.random.Generator) -> dict[str, Measured]:
    """The figures of methods that are alike, on the users as they are and resampled."""
    methods, seeds, of_seeds, of_users, of_both = setting
    drawn = rng.integers(USERS, size=(RESAMPLES, USERS))
    weights = np.stack([np.bincount(row, minlength=USERS) for row in drawn]) / USERS
    found = {}
    for name in range(methods):
        users = of_users * rng.normal(size=USERS)
        values = of_seeds * rng.normal(size=(seeds, 1)) + users + of_both * rng.normal(size=(seeds, USERS))
        resampled: FloatArray = values @ weights.T
        means = values.mean(axis=1).tolist()
        found[str(name)] = Measured(dict(enumerate(means)), dict(enumerate(resampled)))
    return found


def shares(setting: Setting, studies: int, seed: int) -> tuple[float, float]:
    """The share of studies that mark a best method, and that of intervals that have the truth."""
    rng, marked, covered = np.random.default_rng(seed), 0, 0
    for _ in range(studies):
        found = compare(study(setting, rng), more_is_better=True)
        marked += found.best is not None
        interval = found.pairs["0", "1"].both
        assert interval is not None
        covered += interval[0] <= 0 <= interval[1]
    return marked / studies, covered / studies


def main(words: list[str]) -> None:
    """Print the table."""
    asked = {"studies": 1000, "seed": 0} | {k: int(v) for k, _, v in (w.partition("=") for w in words)}
    print(f"{asked['studies']:,} studies a line, {USERS} users.\n")
    print(f"| {' | '.join(HEAD)} |\n|{' --- |' * len(HEAD)}")
    for setting in SETTINGS:
        marked, covered = shares(setting, asked["studies"], asked["seed"])
        print(f"| {' | '.join(map(str, setting))} | {marked:.3f} | {covered:.3f} |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
