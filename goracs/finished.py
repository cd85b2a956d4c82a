"""A finished run opened again: its result, and what its store still holds of it.

What `goracs recommend` and `goracs export` begin with. Nothing is computed here: what the store has lost is
refused with the command that brings it back.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from goracs.config import build, composed
from goracs.foreign import refuse_foreign
from goracs.report.results import Result, read_result
from goracs.report.shape import has_head
from goracs.store import Store
from goracs.types import GoracsError, InvalidInput

TRUST = "--trust-remote-code"  # the flag of a command


@dataclass(frozen=True)
class Finished:
    """A job folder whose run fine-tuned its backbone, and the store that it used."""

    folder: Path
    result: Result
    store: Store

    def artifact(self, stage: str) -> Path:
        """The folder of one of its artifacts.

        Raises:
            InvalidInput: the run names none, or the store does not hold it.
        """
        key = self.result["digests"].get(stage)
        if not isinstance(key, str):
            raise InvalidInput(
                f"{self.result['file']} names no {stage}: run its command again, or remove it."
            )
        found = self.store.kept(stage, key)
        if found is None:
            raise InvalidInput(
                f"the store {self.store.root} does not hold the {stage} of this run ({stage}/{key[:24]}): "
                f"name the store that does by --store FOLDER, or bring it back: {self.result['command']}"
            )
        return found.path

    @property
    def adapter(self) -> Path:
        """What it trained, as it left it (see `artifact`)."""
        return self.artifact("finetune") / "adapter"

    @property
    def weights(self) -> Path:
        """The folder of its backbone.

        Raises:
            GoracsError: the backbone is nowhere to be had, or is another one than the run's.
        """
        from goracs.stages import weights

        model = self.result["config"]["backbone"]["model"]
        files = weights.stage(model)
        if files.key != self.result["digests"]["weights"]:
            raise InvalidInput(
                f"backbone.model={model} is another today than it was in this run, its files have changed: "
                "the adapter fits no other. Bring the old ones back, or run the command again: "
                f"{self.result['command']}"
            )
        return self.store.folder(files)

    def settings(self, *names: str) -> dict[str, Any]:
        """The run's own settings objects; `runtime` and `cluster`, of this machine, as configured today.

        Raises:
            GoracsError: the result was left by a version of goracs that had other settings, or asks for what
                no configuration of ours does: it may be somebody else's file.
        """
        from omegaconf import OmegaConf

        told = {name: self.result["config"][name] for name in names}
        try:
            refuse_foreign(told)
            today = composed([])
            return build(OmegaConf.create(told | {name: today[name] for name in ("runtime", "cluster")}))
        except InvalidInput as error:
            raise GoracsError(
                f"{self.result['file']} was left by another version of goracs ({error}) Run its command "
                f"again: {self.result['command']}"
            ) from error


def opened(folder: Path, root: Path, *, trusted: bool) -> Finished:
    """The run of a job folder.

    Args:
        folder: of the job.
        root: of the store it used.
        trusted: whether code that comes with its model may run; a result is no reason to trust it.

    Raises:
        GoracsError: no result, one that ended before finetune, one that fitted a head, or a model with code.
    """
    result = read_result(folder / "result.json")
    refuse_code(folder, result, trusted=trusted)
    if "finetune" not in result["digests"]:
        raise InvalidInput(
            f"{folder} has no fine-tune: its run ended before it (until={result['config'].get('until')}). "
            f"Give the command again without until: {result['command']}"
        )
    if has_head(result):
        raise InvalidInput(
            f"{folder} has a head over hidden states (finetune=head) and no adapter, which is what another "
            "tool could load and what recommends."
        )
    return Finished(folder, result, Store(root))


def refuse_code(folder: Path, result: Result, *, trusted: bool) -> None:
    """Refuse a run whose model, or whose proxy's, brings code; arguments as for `opened`.

    Raises:
        InvalidInput: there is such a model, and nobody says here that its code may run.
    """
    for name, told in result["config"].items():
        if isinstance(told, dict) and told.get("trust_remote_code") and not trusted:
            raise InvalidInput(
                f"{folder} was made with {name}.trust_remote_code=true: Python code that comes with "
                f"{told.get('model')} would run here. If you trust who wrote it, say so: {TRUST}."
            )
