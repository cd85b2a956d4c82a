"""Hydra's side of the command: one job, or a sweep of them and its report.

A job never raises: it leaves outcome.json in its folder (done, skipped or failed, with the message), so that
a sweep goes on after a failure and its report can tell of every job, wherever it ran.
"""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import InstantiationException
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from goracs.config import conf_dir
from goracs.types import GoracsError

NOT_HASHED = ("runtime", "logger", "store")
OUTCOME = "outcome.json"
log = logging.getLogger("goracs")
finished: list[dict[str, Any]] = []  # the outcomes of this command, for its exit code


def run() -> int:
    """Compose the configuration from the command line and run its job or jobs; the exit code."""
    finished.clear()
    hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name="config")(_job)()
    return int(any(outcome["status"] == "failed" for outcome in finished))


class SweepReport(Callback):
    """After a sweep: what became of each job, and the table of their results."""

    def on_multirun_end(self, config: DictConfig, **_: Any) -> None:
        """Print both."""
        from goracs import results

        folder = Path(config.hydra.sweep.dir)
        outcomes = [json.loads(file.read_text()) for file in folder.glob(f"*/{OUTCOME}")]
        finished[:] = sorted(outcomes, key=lambda outcome: outcome["job"])
        log.info("")
        for outcome in finished:
            log.info("%-8s %s", outcome["status"], outcome["overrides"])
        if any(outcome["status"] != "failed" for outcome in finished):
            log.info("\n%s", results.render(results.aggregate(results.read_results([folder]))))
        log.info("\nresults: %s", folder)


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
    except GoracsError as error:
        message = str(error)
        log.exception("error: %s", message, exc_info=os.environ.get("HYDRA_FULL_ERROR") == "1")
    except Exception as error:  # our mistake: its traceback, and on with the sweep
        message = f"{type(error).__name__}: {error}"
        log.exception("this is a defect of goracs, not of your command:")
    return {"status": "failed", "message": message}


def _run(config: DictConfig, state: Any, folder: Path) -> str:
    from goracs import pipeline
    from goracs.store import Store

    try:
        made = instantiate(config, _convert_="all")
    except InstantiationException as wrapped:
        if isinstance(wrapped.__cause__, GoracsError):
            raise wrapped.__cause__ from None
        raise
    plain: Any = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    job = pipeline.Job(
        made=made,
        config={name: value for name, value in plain.items() if name not in NOT_HASHED},
        selector_name=state.runtime.choices.selector,
        command=" ".join(["goracs", *state.overrides.task]),
    )
    status = pipeline.run(job, Store(Path(config.store.root)), folder)
    _log_result(plain["logger"], folder)
    log.info("%s: %s", status, folder)
    return status


def _log_result(settings: dict[str, Any], folder: Path) -> None:
    if settings["kind"] != "none":
        from goracs.llm.loggers import log_result

        log_result(settings, folder)
