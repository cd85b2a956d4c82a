"""The word `run`, which may be left out: one job, or a sweep of them and its report; Hydra's side.

A job never raises: it leaves outcome.json in its folder (done, skipped or failed, with the message), so that
a sweep goes on after a failure and its report can tell of every job, wherever it ran.
"""

from __future__ import annotations

import json
import logging
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from goracs.config import build, conf_dir
from goracs.types import GoracsError

if TYPE_CHECKING:
    from goracs.llm.settings import Backbone

NOT_HASHED = ("runtime", "logger", "store")
OUTCOME = "outcome.json"
INTERRUPTED = 130  # the shell's code for a command stopped by Ctrl-C
log = logging.getLogger("goracs")
finished: list[dict[str, Any]] = []  # the outcomes of this command, for its exit code


def run(words: Sequence[str]) -> int:
    """Compose the configuration from overrides and flags (none: the quickstart) and run it; the exit code."""
    sys.argv[1:] = words or ["experiment=quickstart"]
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
        from goracs.commands.table import judged
        from goracs.report import markdown, results

        folder = Path(config.hydra.sweep.dir)
        outcomes = [json.loads(file.read_text()) for file in folder.glob(f"*/{OUTCOME}")]
        finished[:] = sorted(outcomes, key=lambda outcome: outcome["job"])
        print()
        for outcome in finished:
            print(f"{outcome['status']:<8} {outcome['overrides']}")
        if any(outcome["status"] != "failed" for outcome in finished):
            found = judged(results.read_results([folder]), Path(config.store.root))
            print(f"\n{markdown.render(found)}")
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
    """Bring the job's result and leave it in its folder; "skipped" if it was there already, else "done"."""
    from goracs.pipeline import LINE, Job, Line
    from goracs.stages import result
    from goracs.store import Store

    made = build(config)
    plain: Any = OmegaConf.to_container(config, resolve=True)
    job = Job(
        made=made,
        config={name: value for name, value in plain.items() if name not in NOT_HASHED},
        selector_name=state.runtime.choices.selector,
        command=shlex.join(["goracs", *state.overrides.task]),
    )
    store = Store(Path(config.store.root))
    line = Line(job, store)
    if LINE.index(line.last) > LINE.index("embed"):
        log.info("%s", _speed(line.backbone))
    log.info("%s", made["dataset"].notice)
    finished = store.has(line.result)
    for warning in line.told.warnings:
        log.warning("warning: %s", warning)
    result.leave(store.get(line.result), folder, line.told, frozenset() if finished else store.built)
    _log_result(plain["logger"], folder)
    status = "skipped" if finished else "done"
    log.info("%s: %s", status, folder)
    return status


def _speed(backbone: Backbone) -> str:
    if backbone.precision == "bf16":
        return f"backbone {backbone.name} in bf16"
    return f"backbone {backbone.name} in {backbone.precision}: on a CPU up to 4 times slower than native bf16"


def _log_result(settings: dict[str, Any], folder: Path) -> None:
    if settings["kind"] != "none":
        from goracs.llm.loggers import log_result

        log_result(settings, folder)
