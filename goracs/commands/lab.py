"""The word `lab`: hundreds of coresets, each judged in milliseconds by a head, no fine-tune.

    goracs lab                                            what conf/lab/default.yaml names
    goracs lab lab.lams=[0,auto] lab.budgets=[16] out=FOLDER

The other words are those of a run (experiment=lab unless one is named), --config-dir=FOLDER among them; its
stages serve and are served by runs. It leaves lab.json, coresets.csv, table.md, foretelling.md and
scatter.png in FOLDER, else in multirun/lab/DATE/TIME.
"""

from __future__ import annotations

import json
import logging
import shlex
import shutil
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.errors import HydraException, MissingConfigException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from goracs import mistakes, progress
from goracs.config import build, composed, store_root
from goracs.types import GoracsError, InvalidInput

if TYPE_CHECKING:
    from goracs.lab.trials import Bench, Trial, Tried
    from goracs.lab_line import Described

OUT = "out="
NOT_TOLD = (
    "runtime",
    "cluster",
    "logger",
    "store",
    "lab",
)  # what changes no result or is told by itself
OF_A_RUN = {"selector": "selectors", "features": "features", "budget": "budgets", "seed": "draws"}


@dataclass(frozen=True)
class Asked:
    """What the words ask for: the resolved configuration, its objects, those of each features file."""

    words: Sequence[str]
    config: Mapping[str, Any]
    made: Mapping[str, Any]
    features: Mapping[str, Any]


def run(words: Sequence[str]) -> int:
    """Try what the words ask for, print the tables, leave the files; the exit code."""
    outs = [word.removeprefix(OUT) for word in words if word.startswith(OUT)]
    overrides = [word for word in words if not word.startswith(OUT)]
    usual = Path("multirun/lab") / f"{datetime.now():%Y-%m-%d/%H-%M-%S}"
    try:
        with _told(), _filled(Path(outs[-1]) if outs else usual) as folder:
            _work(asked(overrides), folder)
    except (HydraException, OmegaConfBaseException) as error:
        print(f"error: {mistakes.told(error)}", file=sys.stderr)
        return 1
    except (GoracsError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def asked(overrides: Sequence[str]) -> Asked:
    """Compose and build, for each features file once.

    Raises:
        InvalidInput: a word that a lab has no use for, no lab in the configuration, no such features.
    """
    for word in overrides:
        name = word.partition("=")[0]
        if name in OF_A_RUN:
            raise InvalidInput(
                f"{word} is of a run; the lab tries several, named in lab.{OF_A_RUN[name]} (conf/lab)."
            )
    named = any(word.startswith("experiment=") for word in overrides)
    words = overrides if named else ["experiment=lab", *overrides]
    config = composed(words)
    if "lab" not in config:
        raise InvalidInput(f"the configuration of {shlex.join(words)} has no lab: add lab=default.")
    made = build(config)
    plain: Any = OmegaConf.to_container(config, resolve=True)
    features = {name: _representation(name, words) for name in made["lab"].features}
    return Asked(overrides, plain, made, features)


def _representation(name: str, words: Sequence[str]) -> Any:
    try:
        config: DictConfig = composed([*words, f"features={name}"])
    except MissingConfigException as error:
        known = ", ".join(error.options or ())
        raise InvalidInput(f"lab.features names {name}, and there are {known}.") from None
    return build(OmegaConf.masked_copy(config, ["features"]))["features"]


def _work(asked: Asked, folder: Path) -> None:
    """Bring the stages, try everything, report."""
    from goracs.lab import judge, trials
    from goracs.lab.settings import Lab
    from goracs.lab_line import Described
    from goracs.report.lab import figure_class
    from goracs.store import Store

    figure_class()  # missed now, not at the end
    settings: Lab = asked.made["lab"]
    described = Described(asked.made, asked.features, trials.needs(settings), Store(store_root(asked.config)))
    for said in (asked.made["dataset"].notice, *described.chosen):
        logging.getLogger("goracs").info("%s", said)
    todo = trials.trials(settings, described.pool_size)
    bench, judged = described.bench(), described.judge()
    began = time.perf_counter()
    tried = _tried(described, bench, todo, asked)
    heads = judge.Heads(bench.problem)
    penalty, curve = judge.penalty(settings, heads)
    found = list(judge.run(tried, heads, judged, penalty))
    above = list(judge.ceilings(settings, heads, judged, penalty))
    said = {
        "command": shlex.join(["goracs", "lab", *filter(_tells, asked.words)]),
        "judged_by": "heads fitted on hidden states, no fine-tune",
        "coresets": len(found),
        "seconds": round(time.perf_counter() - began, 1),
        "penalty": penalty,
        "penalty_curve": curve,
        "lab": {name: value for name, value in asdict(settings).items() if name != "workers"},
        "digests": described.digests(),
        "config": {name: value for name, value in asked.config.items() if name not in NOT_TOLD},
    }
    _leave(found, above, said, settings.lams, folder)


def _tells(word: str) -> bool:
    """Whether a word changes what is found: not where the store lies, nor how the machine is used."""
    return word.partition(".")[0] not in ("store", "runtime", "cluster", "logger")


def _tried(described: Described, bench: Bench, todo: Sequence[list[Trial]], asked: Asked) -> list[Any]:
    """Each trial with what came of it; a pool that is done is in the store, whatever becomes of the next."""
    from goracs.lab.workers import Workers

    found: list[tuple[Trial, Tried]] = []
    shown = asked.made["runtime"].progress
    with (
        Workers(bench, asked.made["lab"].workers) as workers,
        progress.bar("lab", "coresets", sum(map(len, todo)), shown=shown) as bar,
    ):

        def work(trials: Sequence[Trial]) -> Iterator[Tried]:
            for one in workers.tried(trials):
                bar.update()
                yield one

        for done, trials in enumerate(todo, 1):
            found += zip(trials, described.tried(trials, work), strict=True)
            bar.update(done * len(trials) - bar.n)  # those that were in the store
    return found


def _leave(
    found: Sequence[Mapping[str, Any]],
    above: Sequence[Mapping[str, Any]],
    said: dict[str, Any],
    lams: Sequence[Any],
    folder: Path,
) -> None:
    """Write the files and print the tables."""
    import polars as pl

    from goracs.report import lab as report
    from goracs.store import installed_versions

    foretelling = report.foretelling(found, lams)
    tables = {
        "table.md": report.table(found, above),
        "foretelling.md": report.foretelling_table(foretelling),
    }
    for name, text in tables.items():
        (folder / name).write_text(f"{report.LABEL}\n\n{text}\n")
    flat = [{**row, "lam": _text(row["lam"]), "rows": _listed(row["rows"])} for row in found]
    pl.DataFrame(flat, infer_schema_length=None).write_csv(folder / "coresets.csv")
    told = {**said, "foretelling": foretelling, "versions": installed_versions()}
    (folder / "lab.json").write_text(json.dumps(told, indent=1, ensure_ascii=False))
    report.draw(found, lams, folder / "scatter.png")
    print("\n\n".join([report.LABEL, *tables.values()]))
    if said["penalty"] in (min(said["lab"]["penalties"]), max(said["lab"]["penalties"])):
        print("\nThe head's penalty is at an end of lab.penalties: name others beyond it.")
    print(f"\n{said['coresets']:,} coresets in {said['seconds']:.0f} s, head penalty {said['penalty']:g}")


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _listed(rows: Any) -> str:
    return " ".join(map(str, rows.tolist()))


@contextmanager
def _filled(out: Path) -> Iterator[Path]:
    """A folder that becomes `out` when all went well, and is gone otherwise.

    Raises:
        GoracsError: there is something in `out`.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise GoracsError(f"out={out} is there already, and not an empty folder: name another.")
    partial = out.with_name(f"{out.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
        partial.rename(out)
        print(f"results: {out}")
    finally:
        shutil.rmtree(partial, ignore_errors=True)


@contextmanager
def _told() -> Iterator[None]:
    """Show the course of the stages, as a run does."""
    log, handler = logging.getLogger("goracs"), logging.StreamHandler()
    before = log.level
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(before)
