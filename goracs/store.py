"""A content-addressed store of artifacts: immutable folders named by what made them.

Key        sha256 of the canonical JSON of stage, version, parameters and keys of the inputs; no paths.
Place      ROOT/<stage>/<key>/ with the stage's files and manifest.json.
Law        an artifact appears by one atomic rename, or not at all; two processes that want it build it once;
           a process killed at any point leaves nothing that looks finished.
Use        who has opened or built anything shares a lock of the whole store while it lives; who removes
           something has it alone (`goracs.store_lock`). A folder's own time says when it was last opened.
Check      when an artifact is first opened by a process the manifest's file digests are verified, and that
           the manifest is the key's.
Not here   what a stage does (`goracs.stages`).
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import logging
import os
import re
import shutil
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from goracs import memory
from goracs.signals import Interrupted
from goracs.store_lock import LOCK, building, share
from goracs.types import GoracsError

MANIFEST = "manifest.json"
IDENTITY = ("stage", "version", "params", "inputs")  # of a manifest: what the key is the digest of
PLACE = 24  # characters of a key in the name of its folder
SCHEMA = 1  # of a manifest; those of the first versions do not name it
PARTIAL = ".partial"  # beside it, while it is built
KEY = re.compile("[0-9a-f]{64}")
CHECKPOINT = ".checkpoint"  # beside an artifact's place: what a long stage keeps until it is there
NEEDS = ".needs"  # beside a checkpoint: the keys of the inputs of what goes on from it
log = logging.getLogger("goracs.stages")  # a sweep shows a line a job instead, unless asked
RECORDED_PACKAGES = ("goracs", "numpy", "polars", "POT", "torch", "transformers", "peft", "pytorch-lightning")


class DamagedArtifact(GoracsError):
    """An artifact whose files are not those its manifest promises."""


@dataclass(frozen=True)
class External:
    """A folder outside the store, known by its content: raw files, a local model, a hub snapshot."""

    name: str
    key: str
    path: Path


@dataclass(frozen=True)
class Artifact:
    """A finished folder; `cached` says whether this run found it there."""

    path: Path
    key: str
    manifest: Mapping[str, Any]
    cached: bool


@dataclass(frozen=True)
class Stage:
    """One step: a pure function from its hashed parameters and its inputs to the files of one folder.

    `build(folder, inputs)` writes the files; `inputs` maps each role to the folder that plays it.
    """

    name: str
    version: int
    params: Mapping[str, Any]
    inputs: Mapping[str, Stage | External]
    build: Callable[[Path, Mapping[str, Path]], None] = field(compare=False)

    @cached_property
    def key(self) -> str:
        """The artifact's address; the same for the same name, version, parameters and inputs."""
        return digest(self._identity)

    @property
    def _identity(self) -> dict[str, Any]:
        keys = {role: source.key for role, source in self.inputs.items()}
        return {"stage": self.name, "version": self.version, "params": self.params, "inputs": keys}


class Store:
    """The artifacts under one root folder, and a record of those this run has used."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self.used: dict[str, Artifact] = {}
        self.shared = False

    def has(self, stage: Stage) -> bool:
        """Whether the artifact of `stage` is there, finished."""
        return (self._place(stage) / MANIFEST).exists()

    def kept(self, name: str, key: str) -> External | None:
        """The finished artifact of a stage by name and key, as an input of another; None if it is not there.

        The key may come from a file that somebody else wrote: one that is no digest names nothing here.

        Raises:
            DamagedArtifact: a stored file differs from its manifest.
        """
        place = self._at(name, key)
        if not KEY.fullmatch(key) or not (place / MANIFEST).exists():
            return None
        self._share()
        if key not in self.used:
            self.used[key] = self._open(place, key, cached=True)
        return External(name, key, place)

    @property
    def built(self) -> frozenset[str]:
        """The keys of what this run has made."""
        return frozenset(artifact.key for artifact in self.used.values() if not artifact.cached)

    def get(self, stage: Stage) -> Artifact:
        """The artifact of `stage`: opened when it is there, else built once, its inputs first.

        Raises:
            DamagedArtifact: a stored file differs from its manifest.
            GoracsError: whatever the stage finds wrong; nothing is left behind then.
        """
        if stage.key in self.used:
            return self.used[stage.key]
        place = self._place(stage)
        self._share()
        artifact = self._open(place, stage.key, cached=True) if self.has(stage) else self._build(stage)
        self.used[stage.key] = artifact
        log.info(
            "  %-9s %s", stage.name, "cached" if artifact.cached else f"{artifact.manifest['seconds']:.1f} s"
        )
        return artifact

    def _build(self, stage: Stage) -> Artifact:
        inputs = {role: self.folder(source) for role, source in stage.inputs.items()}
        place = self._place(stage)
        place.parent.mkdir(parents=True, exist_ok=True)
        with building(place.with_suffix(LOCK), stage.name):
            if self.has(stage):  # another process built it while this one waited
                return self._open(place, stage.key, cached=True)
            log.info("  %-9s ...", stage.name)
            partial, needs = _emptied(place.with_suffix(PARTIAL)), place.with_suffix(NEEDS)
            try:
                (partial / NEEDS).write_text(json.dumps(sorted(stage._identity["inputs"].values())))
                (partial / NEEDS).replace(needs)
                tells = memory.forget_peak()
                started = time.perf_counter()
                stage.build(partial, inputs)
                cost = {
                    "seconds": round(time.perf_counter() - started, 3),
                    "peak_mb": memory.peak_mb() if tells else None,
                }
                self._seal(stage, partial, cost)
                partial.rename(place)
            except (KeyboardInterrupt, SystemExit) as end:  # Lightning makes an exit of it
                raise Interrupted(stage.name) from end
            finally:
                shutil.rmtree(partial, ignore_errors=True)
                if not place.with_suffix(CHECKPOINT).exists():
                    needs.unlink(missing_ok=True)
        return self._open(place, stage.key, cached=False)

    def _share(self) -> None:
        """Have nothing removed from the store while this object lives."""
        if not self.shared:
            self.shared = True
            share(self.root, self)

    def folder(self, source: Stage | External) -> Path:
        """Where what a source stands for lies; built if it is not there."""
        return source.path if isinstance(source, External) else self.get(source).path

    def _place(self, stage: Stage) -> Path:
        return self._at(stage.name, stage.key)

    def _at(self, name: str, key: str) -> Path:
        return self.root / name / key[:PLACE]

    def _seal(self, stage: Stage, folder: Path, cost: Mapping[str, float | None]) -> None:
        manifest = {
            "schema": SCHEMA,
            **stage._identity,
            "key": stage.key,
            "files": {str(path.relative_to(folder)): file_digest(path) for path in _files(folder)},
            "packages": installed_versions(),
            **cost,
        }
        (folder / MANIFEST).write_text(json.dumps(manifest, indent=1, sort_keys=True))

    def _open(self, place: Path, key: str, cached: bool) -> Artifact:
        shutil.rmtree(place.with_suffix(CHECKPOINT), ignore_errors=True)  # nobody needs it any more
        manifest = read_manifest(place)
        if manifest["key"] != key:
            raise _damage(place, "its manifest is that of another artifact, or was changed")
        with suppress(OSError):  # not ours
            os.utime(place)
            place.with_suffix(NEEDS).unlink(missing_ok=True)
        found = {str(path.relative_to(place)) for path in _files(place)} - {MANIFEST}
        damaged = sorted(found ^ set(manifest["files"])) or [
            name for name, promised in manifest["files"].items() if file_digest(place / name) != promised
        ]
        if damaged:
            raise _damage(place, f"{', '.join(damaged)} differ from what the manifest says")
        return Artifact(place, key, manifest, cached)


def digest(value: Any) -> str:
    """sha256 of the canonical JSON of plain values (keys sorted, no spaces, no NaN)."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def file_digest(path: Path) -> str:
    """sha256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def folder_digest(folder: Path) -> str:
    """One digest of all files below a folder, by relative name and content."""
    return digest({str(path.relative_to(folder)): file_digest(path) for path in _files(folder)})


def installed_versions() -> dict[str, str]:
    """The versions of the packages that a result may depend on."""
    return {name: importlib.metadata.version(name) for name in RECORDED_PACKAGES}


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _emptied(folder: Path) -> Path:
    if folder.exists():  # left by a process that was killed; the lock says that nobody is writing it
        shutil.rmtree(folder)
    folder.mkdir()
    return folder


def read_manifest(place: Path) -> dict[str, Any]:
    """What the manifest of the artifact at a place says.

    Raises:
        DamagedArtifact: it cannot be read, or is not that of an artifact of this place.
        GoracsError: another version of goracs left it, in a form of its own.
    """
    try:
        manifest: dict[str, Any] = json.loads((place / MANIFEST).read_text())
        if (schema := manifest.get("schema", SCHEMA)) != SCHEMA:
            raise GoracsError(
                f"The artifact {place} is of another version of goracs (its manifest has schema {schema}, "
                f"this one reads {SCHEMA}). Delete that folder and run again, or take another store.root."
            )
        identity = {name: manifest[name] for name in IDENTITY}
        dict[str, str](manifest["files"]), dict[str, str](manifest["inputs"]), manifest["seconds"]
        named = digest(identity)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _damage(place, f"its manifest cannot be read ({type(error).__name__}: {error})") from error
    if manifest.get("key") != named or named[:PLACE] != place.name:
        raise _damage(place, "its manifest is that of another artifact, or was changed")
    return manifest


def _damage(place: Path, what: str) -> DamagedArtifact:
    return DamagedArtifact(f"The artifact {place} is damaged: {what}. Delete that folder and run again.")
