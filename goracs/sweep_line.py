"""The jobs of a sweep: planned, those that are there left in their folders, the others launched.

Each job is composed here. One whose result the store has is run in this process, which takes a moment and
imports no framework; only the others go to the launcher, which may start a process or a cluster's job for
each.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import configure_log, run_job
from omegaconf import DictConfig, OmegaConf, open_dict, read_write
from omegaconf.errors import OmegaConfBaseException

from goracs.config import build, hashed, literal, store_root
from goracs.jobs import plan, sweep
from goracs.jobs.plan import Plan, Planned
from goracs.pipeline import Job, Line
from goracs.store import Store, digest
from goracs.types import InvalidInput

KILLED = ("TerminatedWorkerError", "BrokenProcessPool", "UncompletedJobError", "WorkerCrashedError")

if TYPE_CHECKING:
    from hydra.core.override_parser.types import Override


@dataclass(frozen=True)
class Composed:
    """A job as planned, and its configuration where its result is in the store."""

    planned: Planned
    there: DictConfig | None

    @property
    def words(self) -> list[str]:
        """As a launcher takes them, which would number the jobs it gets from 0."""
        return [*self.planned.overrides, literal("hydra.sweep.subdir", self.planned.folder)]


def run(sweeper: Any, words: Sequence[str]) -> list[Any]:
    """Plan a sweep, tell what the plan changes, and run what is to run.

    Args:
        sweeper: Hydra's, set up.
        words: of the command, each of them an override.
    """
    parsed = OverridesParser.create(sweeper.hydra_context.config_loader).parse_overrides(list(words))
    (batch,) = sweeper.split_arguments(parsed, None)
    folder, store = Path(sweeper.config.hydra.sweep.dir), Store(store_root(sweeper.config))
    OmegaConf.save(sweeper.config, folder / "multirun.yaml")
    try:
        jobs = [_composed(sweeper, number, job, store) for number, job in enumerate(batch)]
        _tell(folder, Plan(plan.command(), plan.code(), _swept(parsed), [job.planned for job in jobs]))
    except InvalidInput as error:  # which Hydra would show with a traceback
        sys.exit(f"error: {error}")
    there = [job.there for job in jobs if job.there]
    missing = [job.words for job in jobs if not job.there]
    try:
        here = [_run_here(sweeper, config).return_value for config in there]
        return here + _launched(sweeper, missing)  # each value raises what its job ended with
    except Exception as error:  # the report names the jobs
        if os.environ.get("HYDRA_FULL_ERROR") == "1":
            raise
        print(_gave_up(error), flush=True)
        return []


def _launched(sweeper: Any, jobs: list[list[str]]) -> list[Any]:
    """Have the launcher run some jobs, which tell how they end; where one could not, no other begins."""
    left = list[Any]()
    for some in sweeper.split_overrides_to_chunks(jobs, sweeper.max_batch_size) if jobs else []:
        left += sweeper.launcher.launch(some, initial_job_idx=0)
    return [one.return_value for one in left]


def _gave_up(error: Exception) -> str:
    """What ended the sweep before its jobs: a process killed from outside, or something to be mended."""
    kind, first = type(error).__name__, str(error).strip().partition("\n")[0]
    if kind in KILLED:
        return f"the launcher gave up ({kind}: {first}): the same command goes on"
    return f"error: the jobs were not all begun ({kind}: {first}). HYDRA_FULL_ERROR=1 shows where."


def _composed(sweeper: Any, number: int, overrides: list[str], store: Store) -> Composed:
    """One job as its launcher will compose it.

    Raises:
        InvalidInput: a value goes by the job's number, which is another where a launcher gets fewer jobs.
    """
    config = sweeper.hydra_context.config_loader.load_sweep_config(sweeper.config, overrides)
    own = OmegaConf.masked_copy(config, [name for name in config if name != "hydra"])
    other, key = (_key_as(config, own, as_number) for as_number in (number + 1, number))
    if key != other:
        raise InvalidInput(
            "a value of the configuration goes by ${hydra:job.num} or id, which is another when a sweep goes "
            "on: write the values themselves, as in seed=0,1,2."
        )
    found = Planned(overrides, key, str(OmegaConf.select(config, "hydra.sweep.subdir")))
    selector = config.hydra.runtime.choices.selector
    return Composed(found, config if _is_there(own, selector, store) else None)


def _key_as(config: DictConfig, own: DictConfig, number: int) -> str:
    """The key of a job's own part of its configuration, as the job of that number."""
    with read_write(config.hydra), open_dict(config.hydra):
        config.hydra.job.id = config.hydra.job.num = number
    HydraConfig.instance().set_config(config)  # values may name what is Hydra's
    return _key(own)


def _key(config: DictConfig) -> str:
    try:
        return digest(hashed(config))
    except (OmegaConfBaseException, ValueError, TypeError):  # no such name, a NaN, ...: the job will tell
        return digest(repr(OmegaConf.to_container(config, resolve=False)))


def _is_there(config: DictConfig, selector: str, store: Store) -> bool:
    """Whether the store has a job's result; nothing is computed to know it."""
    try:
        line = Line(Job(build(config), hashed(config), selector, ""), store)
        return store.has(line.prepared) and store.has(line.result)
    except Exception:  # the job itself will tell, in its place
        return False


def _run_here(sweeper: Any, config: DictConfig) -> Any:
    """Run one job in this process, as Hydra's own launcher does."""
    asked = sweeper.config.hydra
    ended = run_job(
        hydra_context=sweeper.hydra_context,
        task_function=sweeper.task_function,
        config=config,
        job_dir_key="hydra.sweep.dir",
        job_subdir_key="hydra.sweep.subdir",
    )
    configure_log(asked.hydra_logging, asked.verbose)
    return ended


def _tell(folder: Path, new: Plan) -> None:
    """Say what a plan changes, and write it down.

    Raises:
        InvalidInput: two of its jobs would have one folder.
    """
    places = [job.folder for job in new.jobs or []]
    for number, place in enumerate(places):
        if (first := places.index(place)) < number:
            raise InvalidInput(
                f"hydra.sweep.subdir gives jobs {first + 1} and {number + 1} one folder ({folder / place}); "
                "it must differ from job to job, as ${hydra.job.num} does."
            )
    for line in plan.changes(plan.read(folder), new):
        print(f"plan: {line}", flush=True)
    sweep.begin(folder, new)


def _swept(parsed: Sequence[Override]) -> list[str]:
    """The names of the words that differ between jobs."""
    values = {one.get_key_element(): one.is_sweep_override() and list(one.sweep_iterator()) for one in parsed}
    return [name for name, found in values.items() if found and len(found) > 1]
