"""Hydra's side of the command: one job, or a sweep of them and its report.

A job never raises: it leaves outcome.json in its folder (done, skipped or failed, with the message), so that
a sweep goes on after a failure and its report can tell of every job, wherever it ran.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import shlex
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import InstantiationException
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from goracs.config import conf_dir
from goracs.types import GoracsError, InvalidInput

NOT_HASHED = ("runtime", "logger", "store")
OUTCOME = "outcome.json"
INTERRUPTED = 130  # the shell's code for a command stopped by Ctrl-C
log = logging.getLogger("goracs")
finished: list[dict[str, Any]] = []  # the outcomes of this command, for its exit code


def run() -> int:
    """Compose the configuration from the command line and run its job or jobs; the exit code."""
    finished.clear()
    try:
        hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name="config")(_job)()
    except KeyboardInterrupt:
        print("interrupted: the same command goes on where this one stopped")
        return INTERRUPTED
    return int(any(outcome["status"] == "failed" for outcome in finished))


class SweepReport(Callback):
    """After a sweep: what became of each job, and the table of their results.

    It prints: Hydra sets up logging only where jobs run, which may be other processes.
    """

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        """Forget the outcomes of an earlier sweep in the same folder."""
        for file in Path(config.hydra.sweep.dir).glob(f"*/{OUTCOME}"):
            file.unlink()

    def on_multirun_end(self, config: DictConfig, **_: Any) -> None:
        """Print both."""
        from goracs import results

        folder = Path(config.hydra.sweep.dir)
        outcomes = [json.loads(file.read_text()) for file in folder.glob(f"*/{OUTCOME}")]
        finished[:] = sorted(outcomes, key=lambda outcome: outcome["job"])
        print()
        for outcome in finished:
            print(f"{outcome['status']:<8} {outcome['overrides']}")
        if any(outcome["status"] != "failed" for outcome in finished):
            print(f"\n{results.render(results.aggregate(results.read_results([folder])))}")
        print(f"\nresults: {folder}")


def _job(config: DictConfig) -> None:
    state = HydraConfig.get()
    folder = Path(state.runtime.output_dir)
    overrides = " ".join(state.overrides.task)
    number = int(state.job.num) if state.mode == RunMode.MULTIRUN else 0
    log.info("job %d: %s", number, overrides or "the defaults")
    outcome = {"job": number, "overrides": overrides, **_attempt(config, state, folder)}
    (folder / OUTCOME).write_text(json.dumps(outcome, indent=1))
    if state.mode != RunMode.MULTIRUN:
        finished.append(outcome)


def _attempt(config: DictConfig, state: Any, folder: Path) -> dict[str, str]:
    """Run one job; its status, and the message of a failure, which is also told at once."""
    try:
        return {"status": _run(config, state, folder), "message": ""}
    except (GoracsError, OSError) as error:  # what its user can mend
        message = str(error)
        log.exception("error: %s", message, exc_info=os.environ.get("HYDRA_FULL_ERROR") == "1")
    except SystemExit as end:  # Lightning turns an interrupt of a training into an exit
        raise KeyboardInterrupt from end
    except Exception as error:  # our mistake: its traceback, and on with the sweep
        message = f"{type(error).__name__}: {error}"
        log.exception("this is a defect of goracs, not of your command:")
    return {"status": "failed", "message": message}


def _run(config: DictConfig, state: Any, folder: Path) -> str:
    from goracs import pipeline
    from goracs.store import Store

    made = build(config)
    plain: Any = OmegaConf.to_container(config, resolve=True)
    job = pipeline.Job(
        made=made,
        config={name: value for name, value in plain.items() if name not in NOT_HASHED},
        selector_name=state.runtime.choices.selector,
        command=shlex.join(["goracs", *state.overrides.task]),
    )
    status = pipeline.run(job, Store(Path(config.store.root)), folder)
    _log_result(plain["logger"], folder)
    log.info("%s: %s", status, folder)
    return status


def build(config: DictConfig) -> dict[str, Any]:
    """The settings objects of a configuration.

    Raises:
        InvalidInput: a value that is missing, of the wrong type, or refused by its receiver.
    """
    missing = sorted(OmegaConf.missing_keys(config))
    if missing:
        raise InvalidInput(f"{', '.join(missing)} must be given, as in {missing[0]}=VALUE.")
    try:
        made: dict[str, Any] = instantiate(config, _convert_="all")
    except InstantiationException as wrapped:
        if isinstance(wrapped.__cause__, GoracsError):
            raise wrapped.__cause__ from None
        if isinstance(wrapped.__cause__, (TypeError, ValueError)):
            raise InvalidInput(f"the configuration does not fit: {wrapped}") from wrapped
        raise
    for name, value in made.items():
        refuse_wrong_types(value, name)
    return made


def refuse_wrong_types(settings: Any, name: str) -> None:
    """Raise InvalidInput naming the first configured value that is not what its field is declared to be."""
    if not dataclasses.is_dataclass(settings) or isinstance(settings, type):
        return
    declared = get_type_hints(type(settings))
    for field in dataclasses.fields(settings):
        value, wanted = getattr(settings, field.name), declared[field.name]
        refuse_wrong_types(value, f"{name}.{field.name}")
        if not _fits(value, wanted):
            raise InvalidInput(f"{name}.{field.name} must be {_wanted(wanted)}, got {value!r}.")


def _fits(value: Any, wanted: Any) -> bool:
    """Whether a plain value is of a declared plain type; types that are not plain are not judged here."""
    if isinstance(wanted, UnionType):
        return any(_fits(value, one) for one in get_args(wanted))
    if get_origin(wanted) is Literal:
        return value in get_args(wanted)
    if wanted in (int, float):
        return isinstance(value, (int, float) if wanted is float else int) and not isinstance(value, bool)
    if wanted in (str, bool, NoneType):
        return isinstance(value, wanted)
    return True


def _wanted(wanted: Any) -> str:
    if get_origin(wanted) is Literal:
        return f"one of {', '.join(map(str, get_args(wanted)))}"
    return f"of type {wanted.__name__ if isinstance(wanted, type) else wanted}"


def _log_result(settings: dict[str, Any], folder: Path) -> None:
    if settings["kind"] != "none":
        from goracs.llm.loggers import log_result

        log_result(settings, folder)
