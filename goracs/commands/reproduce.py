"""The word `reproduce`: the whole grid of a preset, then its report, with what was published for it.

goracs reproduce                                      the names there are
goracs reproduce NAME [override ...] [out=FOLDER]     such as paper/games_ctr_cpu or ablation/lambda

The runs go to FOLDER, else to multirun/reproduce/NAME, the report to the folder `report` there. The same
again runs only what is missing.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from goracs import mistakes
from goracs.commands import report
from goracs.commands import run as runs
from goracs.config import composed, conf_dir, jobs, literal, store_root
from goracs.near import meant
from goracs.types import GoracsError, InvalidInput

PRESETS = conf_dir() / "experiment"
PLACE = Path("multirun/reproduce")
OUT = "out="
AFTER = 2  # sections of a report before the published figures: what it says, and the results


def run(words: Sequence[str]) -> int:
    """Run a preset's jobs, write the report of those that ended well and print its path; the exit code."""
    if not words or {"-h", "--help"} & set(words):
        print(f"{__doc__}\n{_known()}")
        return 0
    name, *given = words
    outs = [word.removeprefix(OUT) for word in given if word.startswith(OUT)]
    folder = Path(outs[-1]) if outs else PLACE / name
    try:
        _refuse_unknown(name)
        asked = [f"experiment={name}", *(word for word in given if not word.startswith(OUT))]
        store = store_root(composed(jobs(asked)[0]))
        code = runs.run([*asked, literal("hydra.sweep.dir", str(folder))])
        print(f"report: {_write(name, folder, store)}")
    except (HydraException, OmegaConfBaseException) as error:
        print(f"error: {mistakes.told(error)}", file=sys.stderr)
        return 1
    except (GoracsError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return code


def names() -> list[str]:
    """The presets that are grids of runs, by their files."""
    files = [*PRESETS.glob("paper/*.yaml"), *PRESETS.glob("ablation/*.yaml")]
    return sorted(str(file.relative_to(PRESETS).with_suffix("")) for file in files)


def _known() -> str:
    return "\n".join(f"  {name}" for name in names())


def _refuse_unknown(name: str) -> None:
    if name not in names():
        said = f"there is no preset {name!r} to reproduce.{meant(name, names())}"
        raise InvalidInput(f"{said} There are {', '.join(names())}.")


def _write(name: str, folder: Path, store: Path) -> Path:
    from goracs.report.page import published
    from goracs.report.results import read_results

    made = report.made([folder], store)
    cited = published.section(name, read_results([folder]))
    sections = [*made.sections[:AFTER], cited, *made.sections[AFTER:]]
    return report.write(replace(made, title=f"goracs: {name}", sections=sections), folder / "report")
