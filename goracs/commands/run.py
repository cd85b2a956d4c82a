"""The word `run`, which may be left out: one job, or a sweep of them and its report; Hydra's side.

A job never raises: it records how it stands (done, skipped or failed, with the message), so that a sweep
goes on after a failure and its report can tell of every job, wherever it ran. A single job shows its stages
and its figures, a sweep one line a job (hydra.verbose=goracs: the stages too), counts, failures and the
table; every job folder has the whole course in goracs.log.
"""

from __future__ import annotations

import logging
import os
import shlex
import shutil
import sys
import time
from argparse import Namespace
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import hydra
from hydra._internal.utils import get_args_parser
from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from goracs import mistakes, near, signals
from goracs.cluster.settings import refuse, refuse_no_ray
from goracs.config import build, conf_dir, hashed, refuse_unreadable, store_root, usual_store
from goracs.jobs import folder_lock, job_folder, plan, refused, sweep
from goracs.jobs.place import Place
from goracs.llm.launched import refuse_misfit
from goracs.types import GoracsError, InvalidInput

if TYPE_CHECKING:
    from goracs.llm.settings import Backbone
    from goracs.pipeline import Line

ENDED_WELL = ("done", "skipped")
NOT_BEGUN = ("waiting", "stopped")
LAUNCHERS = {  # package of a Hydra plugin -> the extra that brings it
    "hydra_joblib_launcher": "joblib",
    "hydra_submitit_launcher": "slurm",
    "hydra_ray_launcher": "ray",
}
PLANNED = "PlannedSweeper"
DETAILS = "goracs.stages"  # the logger of the store: a line or two a stage
log = logging.getLogger("goracs")
finished: list[dict[str, Any]] = []  # how the jobs of this command ended, for its exit code


def run(words: Sequence[str]) -> int:
    """Compose the configuration from overrides and flags (none: the quickstart) and run it; the exit code."""
    logging.raiseExceptions = False  # a full disk, or a terminal that is gone, is told once
    sys.argv[1:] = words or ["experiment=quickstart"]
    finished.clear()
    try:
        asked = _flags()
        refuse_unreadable(asked.overrides, [Path(asked.config_dir)] if asked.config_dir else [])
        with refused.told():
            hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name="config")(_job)()
    except InvalidInput as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    finally:
        folder_lock.release()
    return int(any(outcome["status"] not in ENDED_WELL for outcome in finished))


def _flags() -> Namespace:
    """The flags and overrides of this command.

    Raises:
        InvalidInput: a flag that there is not, or that a run does not take; words that a flag parts from the
            others, which argparse would not read.
    """
    parser = get_args_parser()
    parser.error = _misused  # type: ignore[method-assign]  # its own prints a page of usage
    asked, left = parser.parse_known_args()
    if left and left[0].startswith("-"):
        flags = [flag for action in parser._actions for flag in action.option_strings]
        name, _, value = left[0].partition("=")
        plain = f"{name.lstrip('-')}={value or 'VALUE'}"
        raise InvalidInput(
            f"there is no flag {left[0]}.{near.meant(name, flags)} A value has no dashes before it: {plain}."
        )
    if left:
        raise InvalidInput(f"{shlex.join(left)}: flags stand before all words, as in goracs -m seed=0,1.")
    if asked.config_name or asked.config_path:
        raise InvalidInput(
            "goracs has one configuration, conf/config.yaml: choose within it, as by experiment=NAME; "
            "--config-dir=FOLDER adds a folder of choices of your own."
        )
    return asked


def _misused(message: str) -> NoReturn:
    raise InvalidInput(f"{message}. goracs --help shows the forms of the command.")


class SweepReport(Callback):
    """Before all its folder; after a sweep how many jobs ended how, which failed and why, and the table.

    It prints: Hydra sets up logging only where jobs run, which may be other processes.
    """

    def on_run_start(self, config: DictConfig, **_: Any) -> None:
        """See that the job can have its folder, for itself, and a store."""
        _begin(Path(config.hydra.run.dir), config, job_folder.hold)

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        """Tell the jobs that they are of one command, the only one in this folder."""
        folder = Path(config.hydra.sweep.dir)

        def hold(folder: Path) -> None:
            _refuse_settings(config)
            sweep.start(folder)

        _begin(folder, config, hold)
        if not config.hydra.sweeper["_target_"].endswith(PLANNED):  # it tells its jobs to nobody beforehand
            sweep.begin(folder, plan.Plan(plan.command(), plan.code(), [], None))

    def on_multirun_end(self, config: DictConfig, **_: Any) -> None:
        """Report on the jobs of this command, whatever else lies in the folder."""
        folder = Path(config.hydra.sweep.dir)
        finished[:] = sweep.states(folder)
        earlier = sweep.left_before(folder)
        counts = Counter(outcome["status"] for outcome in finished)
        print(f"\n{len(finished)} jobs: {', '.join(f'{n} {status}' for status, n in counts.items())}")
        for outcome in finished:
            if outcome["status"] not in (*ENDED_WELL, *NOT_BEGUN):
                print(f"{outcome['status']}: {outcome['words']} ({outcome['folder']}): {outcome['message']}")
        ended = [Path(outcome["folder"]) for outcome in finished if outcome["status"] in ENDED_WELL]
        _print_figures(ended, store_root(config))
        if earlier:
            print(f"left by earlier commands and not in the table: {', '.join(earlier)}")
        root = store_root(config)
        place = [] if root == usual_store() else ["--store", str(root)]
        print(f"results: {folder}")
        words, more = shlex.join(["goracs", "report", str(folder), *place]), " (and those)" if earlier else ""
        print(f"as a page{more}: {words}")


def _begin(folder: Path, config: DictConfig, hold: Callable[[Path], None]) -> None:
    """Make a folder and take it, or leave the command: Hydra's own attempt would end in a traceback."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        store_root(config)
        hold(folder)
    except (InvalidInput, OmegaConfBaseException) as error:  # which Hydra would swallow
        sys.exit(f"error: {mistakes.told(error)}")
    except OSError as error:
        sys.exit(
            f"error: the job folder {folder} cannot be made ({error.strerror}): choose another by "
            "hydra.run.dir=FOLDER, for a sweep hydra.sweep.dir=FOLDER."
        )


def _job(config: DictConfig) -> None:
    state: Any = HydraConfig.get()
    swept = Path(state.sweep.dir) if state.mode == RunMode.MULTIRUN else None
    number = sweep.number(swept, Path(state.runtime.output_dir), int(state.job.num)) if swept else 0
    overrides: Any = OmegaConf.to_container(state.overrides.task, resolve=False)  # "${" and all
    place = Place(Path(state.runtime.output_dir), number, overrides, swept)
    if swept and not state.verbose:
        _hush()
    with place.at_work():
        _through(config, state.runtime.choices.selector, place)
    if swept:
        print(_job_line(place), flush=True)
    else:
        finished[:] = [place.outcome]
        _print_single(place, store_root(config))


def _through(config: DictConfig, selector: str, place: Place) -> None:
    """Run one job, and note how it ended."""
    try:
        status, message = _stopped(config, place) or _attempt(config, selector, place)
    except (KeyboardInterrupt, SystemExit) as end:
        place.note("interrupted", signals.how(end))
        if isinstance(end, SystemExit):  # of who starts ranks
            raise KeyboardInterrupt from end
        raise
    try:
        place.note(status, message)
    except OSError:
        if status != "failed":  # else it is told, perhaps of the same
            raise


def _stopped(config: DictConfig, place: Place) -> tuple[str, str] | None:
    """Why a job does not begin, where its sweep is to stop."""
    if not place.sweep or not config.sweep.stop_at_first_failure:
        return None
    failed = [one["job"] + 1 for one in sweep.outcomes(place.sweep) if one["status"] == "failed"]
    return ("stopped", f"job {failed[0]} had failed") if failed else None


def _attempt(config: DictConfig, selector: str, place: Place) -> tuple[str, str]:
    """Run one job: how it stands, and what is to say of it; a defect of ours shows its traceback at once."""
    try:
        return _run(config, selector, place)
    except Exception as error:
        if signals.heard:  # it only is what became of the interrupt
            raise KeyboardInterrupt from error
        return "failed", _told(error, place)


def _told(error: Exception, place: Place) -> str:
    """Log what a job failed by; what is to say of it."""
    full = os.environ.get("HYDRA_FULL_ERROR") == "1"
    if isinstance(error, GoracsError | OSError | OmegaConfBaseException):  # what its user can mend
        told = logging.getLogger(DETAILS) if place.sweep and not full else log  # a sweep's line tells it
        named = isinstance(error, OmegaConfBaseException | shutil.Error)
        said = mistakes.told(error) if named else str(error)
        told.error("error: %s", said, exc_info=error if full else None)
        return said
    log.error("this is a defect of goracs, not of your command:", exc_info=error)  # and on with the sweep
    return f"{type(error).__name__}: {error}"


def _run(config: DictConfig, selector: str, place: Place) -> tuple[str, str]:
    """Bring the job's result and leave it in its folder; "skipped" if it was there already, else "done"."""
    from goracs.pipeline import Job, Line
    from goracs.stages import result, settled, track
    from goracs.store import Store

    plain: Any = OmegaConf.to_container(config, resolve=True)
    logger = plain["logger"]["kind"]
    _refuse_absent(logger)
    settings = hashed(config)
    place.claim(settings)
    made = build(config)
    refuse_misfit(made["runtime"])
    _refuse_cluster(made, selector)
    place.say(made["dataset"].notice)
    job = Job(made, settings, selector, shlex.join(["goracs", *place.overrides]))
    store = Store(store_root(config))
    line = Line(job, store)
    there = store.has(line.result)
    if not there and "llm" in line.__dict__:  # asked for by some stage
        place.say(_speed(line.llm.backbone))
    for chosen in settled.sentences(line.chosen):
        place.say(chosen)
    line.look()
    for warning in line.told.warnings:
        place.say(f"warning: {warning}")
    with job_folder.live(place.folder):
        artifact = store.get(line.result)
    with job_folder.filling(place.folder) as partial:
        warnings = result.leave(artifact, partial, line.told, frozenset() if there else store.built)
        if logger in ("csv", "tensorboard"):
            _write_down(logger, partial)
    for warning in warnings[len(line.told.warnings) :]:  # of what was made
        place.say(f"warning: {warning}")
    cached = sum(found.cached for found in store.used.values())
    used = len(store.used)
    if logger == "wandb":
        store.get(track.stage(line.result, plain["logger"], _tracked(place, line)))
    if there:
        return "skipped", "its result is in the store"
    return "done", f"{cached} of {used} stages cached"


def _hush() -> None:
    """Keep the stages of this job out of the console; its goracs.log has them."""
    for handler in logging.getLogger().handlers:
        if not isinstance(handler, logging.FileHandler):
            handler.addFilter(lambda record: record.name != DETAILS)


def _job_line(place: Place) -> str:
    jobs = sweep.planned(place.sweep).jobs if place.sweep else None
    number = f"job {place.number + 1}/{len(jobs)}" if jobs else f"job {place.number + 1}"
    status, message = place.outcome["status"], place.outcome["message"]
    took = time.time() - place.since
    ended = f"{status} in {took:.0f} s ({message})" if status in ENDED_WELL else f"{status}: {message}"
    return f"{number}: {place.words}: {ended}"


def _print_single(place: Place, store: Path) -> None:
    if place.outcome["status"] != "failed":
        _print_figures([place.folder], store)
        print(f"{place.outcome['status']}: {place.folder}")


def _print_figures(folders: Sequence[Path], store: Path) -> None:
    """The table of the results in some job folders, where they have figures or a coreset."""
    from goracs.commands.table import judged
    from goracs.report import markdown, results

    found = [results.read_result(folder / job_folder.RESULT) for folder in folders]
    if any(result["coreset"] for result in found):
        print(f"\n{markdown.render(replace(judged(found, store), commands=()))}")


def _speed(backbone: Backbone) -> str:
    if backbone.precision in ("bf16", "fp16"):
        return f"backbone {backbone.name} in {backbone.precision}"
    return f"backbone {backbone.name} in {backbone.precision}: on a CPU up to 4 times slower than native bf16"


def _refuse_settings(config: DictConfig) -> None:
    """Before anything of a sweep begins; Hydra would look for a launcher that is an extra."""
    if not isinstance(asked := config.sweep.stop_at_first_failure, bool):
        raise InvalidInput(f"sweep.stop_at_first_failure must be true or false, got {asked!r}.")
    if config.hydra.job.chdir:
        raise InvalidInput("hydra.job.chdir=true would move jobs away from the folders they are told of.")
    package, chosen = config.hydra.launcher["_target_"].split(".")[1], config.hydra.runtime.choices
    if package in LAUNCHERS and find_spec(f"hydra_plugins.{package}") is None:
        raise InvalidInput(
            f"hydra/launcher={chosen['hydra/launcher']} needs packages that are not there: "
            f"pip install 'goracs[{LAUNCHERS[package]}]'."
        )


def _refuse_cluster(made: Mapping[str, Any], selector: str) -> None:
    from goracs.pipeline import LINE

    refuse_no_ray(made["cluster"])
    if (made["until"] or LINE[-1]) in LINE[LINE.index("select") :]:
        refuse(made["cluster"], made["selector"], selector)


def _refuse_absent(logger: str) -> None:
    """Before anything long: the one logger that is an extra."""
    if logger == "tensorboard" and find_spec("tensorboard") is None:
        raise InvalidInput("logger=tensorboard needs a package that is not there: pip install tensorboard.")


def _write_down(logger: str, folder: Path) -> None:
    from goracs.llm import loggers

    {"csv": loggers.write_csv, "tensorboard": loggers.write_tensorboard}[logger](folder)


def _tracked(place: Place, line: Line) -> dict[str, str | None]:
    """What a tracker shows of a job: its name, the sweep that groups it, and the stage it stops after."""
    told = line.told
    named = {"selector": told.selector, "budget": told.budget_asked, "seed": told.seed}
    others = [word for word in place.differing if word.partition("=")[0] not in named]
    name = " ".join([*(f"{key}={value}" for key, value in named.items()), *others])
    return {"name": name, "group": place.group, "job_type": line.last}
