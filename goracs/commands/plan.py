"""The word `plan`: what a run or sweep will cost, stage by stage; it stops before anything long.

    goracs plan                                    of the quickstart
    goracs plan -m selector=goracs,random seed=0,1 of a sweep: stages that jobs share are counted once

The other words are those of a run. The data are prepared, the models found and a few batches run, on this
machine: seconds and memory are what they say of it. What the store has costs nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from goracs import mistakes
from goracs.config import build, composed, jobs, store_root
from goracs.report.markdown import padded
from goracs.types import GoracsError

if TYPE_CHECKING:
    from goracs.plan_line import Planned

HEAD = ("stage", "in the store", "examples", "tokens", "time", "peak memory")


def run(words: Sequence[str]) -> int:
    """Print the plan of what the words ask for; the exit code."""
    if {"-h", "--help"} & set(words):
        print(__doc__)
        return 0
    try:
        _tell(words or ["experiment=quickstart"])
    except (HydraException, OmegaConfBaseException) as error:
        print(f"error: {mistakes.told(error)}", file=sys.stderr)
        return 1
    except (GoracsError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _tell(words: Sequence[str]) -> None:
    from goracs.pipeline import Job, Line
    from goracs.plan_line import Preflight, totals
    from goracs.store import Store

    asked = [composed(job) for job in jobs(words)]
    made = [build(config) for config in asked]
    store = Store(store_root(asked[0]))
    preflight = Preflight(store)
    stages = totals([preflight.planned(Line(Job(settings, {}, "", ""), store)) for settings in made])
    seconds = sum(_seconds(found) for found in stages.values())
    print("\n".join(padded([HEAD, *(_row(name, found) for name, found in stages.items())])))
    device = " on one device" if made[0]["runtime"].ranks > 1 else ""
    print(f"\n{len(asked)} job{'s' * (len(asked) > 1)}: {_time(seconds)}{device}, and what selection takes.")
    for part, (count, of) in preflight.shortened.items():
        if count:
            print(f"{count:,} of {of:,} {part} prompts will be shortened to backbone.max_length.")


def _row(name: str, stages: Sequence[Planned]) -> list[str]:
    """One role's stages together."""
    there = f"{sum(stage.there for stage in stages)} of {len(stages)}"
    costs = [cost for stage in stages for cost in stage.costs]
    if not costs:
        return [name, there, "", "", "", ""]
    examples, tokens = (sum(getattr(cost, what) for cost in costs) for what in ("examples", "tokens"))
    peaks = [cost.peak_mb for cost in costs if cost.peak_mb is not None]
    peak = f"{max(peaks) / 1024:.1f} GB" if peaks else "unknown"
    return [name, there, f"{examples:,}", f"{tokens:,}", _time(_seconds(stages)), peak]


def _seconds(stages: Sequence[Planned]) -> float:
    return sum(cost.seconds for stage in stages for cost in stage.costs)


def _time(seconds: float) -> str:
    if seconds < 100:
        return f"about {seconds:.0f} s"
    return f"about {seconds / 60:.0f} min" if seconds < 6000 else f"about {seconds / 3600:.1f} h"
