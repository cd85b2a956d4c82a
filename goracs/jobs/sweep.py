"""What the jobs of one sweep know of each other, wherever they run: a few files in the sweep's folder.

.goracs/sweep.json     how many jobs the command has, and which of its words differ between them
.goracs/job<n>.json    how job n stands, and its folder: the jobs of this command, whatever else lies there
.goracs/said-<digest>  what one of them has told for all
.goracs.lock           held by the command, not by its jobs: two of them in one folder would share these notes
"""

from __future__ import annotations

import hashlib
import json
import math
import shlex
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from goracs.jobs.job_folder import OUTCOME
from goracs.types import InvalidInput

if TYPE_CHECKING:
    from omegaconf import DictConfig

NOTES = ".goracs"
held: list[FileLock] = []  # by this command; the system lets go of it when the process ends in whatever way


def start(folder: Path, config: DictConfig) -> None:
    """Forget the notes of an earlier sweep in this folder, and note what is known of the new one's jobs.

    Raises:
        InvalidInput: another command's sweep is at work there.
    """
    _hold(folder)
    end(folder)
    (folder / NOTES).mkdir(parents=True)
    (folder / NOTES / "sweep.json").write_text(json.dumps(_planned(config)))


def end(folder: Path) -> None:
    """Remove the notes."""
    if (folder / NOTES).is_dir():
        shutil.rmtree(folder / NOTES)


def release() -> None:
    """Let other commands have the folder."""
    while held:
        held.pop().release()


def _hold(folder: Path) -> None:
    lock = FileLock(folder / f"{NOTES}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise InvalidInput(
            f"another sweep is at work in {folder}: wait until it has ended, or give this one a folder of "
            "its own, hydra.sweep.dir=FOLDER."
        ) from None
    held.append(lock)


def planned(folder: Path) -> dict[str, Any]:
    """`jobs`, how many there are (None: the sweeper decides on the way), `swept`, what differs, `command`."""
    found: dict[str, Any] = json.loads((folder / NOTES / "sweep.json").read_text())
    return found


def note(folder: Path, outcome: Mapping[str, Any]) -> None:
    """Say how one job stands."""
    file = folder / NOTES / f"job{outcome['job']}.json"
    written = file.with_suffix(".partial")
    written.write_text(json.dumps(outcome))
    written.replace(file)


def outcomes(folder: Path) -> list[dict[str, Any]]:
    """How the jobs of this command stand, in their order."""
    found = [json.loads(file.read_text()) for file in (folder / NOTES).glob("job*.json")]
    return sorted(found, key=lambda outcome: int(outcome["job"]))


def first_to_say(folder: Path, text: str) -> bool:
    """Whether no other job of the sweep has told this."""
    try:
        (folder / NOTES / f"said-{hashlib.sha256(text.encode()).hexdigest()[:12]}").touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def lost(folder: Path) -> list[dict[str, Any]]:
    """The jobs of this command that left no word, as outcomes."""
    noted = {outcome["job"] for outcome in outcomes(folder)}
    missing = [number for number in range(planned(folder)["jobs"] or 0) if number not in noted]
    told = {"status": "lost", "message": "it ended without a word", "folder": str(folder)}
    return [{**told, "job": number, "words": f"job {number + 1}"} for number in missing]


def left_before(folder: Path) -> list[str]:
    """The names of job folders in the sweep's folder that no job of this command used."""
    ours = {outcome["folder"] for outcome in outcomes(folder)}
    found = sorted(file.parent for file in folder.glob(f"*/{OUTCOME}"))
    return [place.name for place in found if str(place.resolve()) not in ours]


def _planned(config: DictConfig) -> dict[str, Any]:
    """As Hydra's own sweeper will have it; another sweeper may choose its jobs as it goes."""
    from hydra.core.global_hydra import GlobalHydra
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from omegaconf import OmegaConf

    plain: Any = OmegaConf.to_container(config.hydra, resolve=False)
    sweeper, words = plain["sweeper"], plain["overrides"]["task"]
    params = [f"{name}={value}" for name, value in (sweeper.get("params") or {}).items()]
    found = OverridesParser.create(GlobalHydra.instance().config_loader()).parse_overrides([*params, *words])
    swept = {one.get_key_element(): one.is_sweep_override() and list(one.sweep_iterator()) for one in found}
    sizes = {name: len(values) for name, values in swept.items() if values}
    jobs = math.prod(sizes.values()) if sweeper["_target_"].endswith(".BasicSweeper") else None
    command = shlex.join(["goracs", *dict.fromkeys([*params, *words])])
    return {"jobs": jobs, "swept": [name for name, size in sizes.items() if size > 1], "command": command}
