"""Token ids of many texts on disk: made by whoever of a stage's processes comes first, mapped by all.

Files   folder/<name>.ids, int32 [tokens]; <name>.rows, int64 [len, 5]: where in it a prompt begins and ends,
        where its answer does, and the label; <name>.texts, JSON: of what they are, and a digest of all three.
Law     the note comes last, by one rename. What is not as it was written, or of something else, is told and
        made anew, in files of their own: who has mapped the old ones keeps them.
Memory  of a part, while it is written; all else is in the machine's page cache.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock

from goracs.llm.batch import Texts
from goracs.llm.packed import Packed
from goracs.types import IndexArray

VERSIONS = ("goracs", "tokenizers", "transformers")  # of what token ids follow from
Note = dict[str, Any]
log = logging.getLogger("goracs")


@dataclass(frozen=True)
class Place:
    """Files of a name in a folder; `of` says in plain values what they hold."""

    folder: Path
    name: str
    of: Mapping[str, Any]

    @property
    def ids(self) -> Path:
        """Of tokens."""
        return self.folder / f"{self.name}.ids"

    @property
    def rows(self) -> Path:
        """Of places and labels."""
        return self.folder / f"{self.name}.rows"

    @property
    def note(self) -> Path:
        """What tells of the others."""
        return self.folder / f"{self.name}.texts"

    @property
    def contents(self) -> dict[str, Any]:
        """What they hold, as a note has it."""
        return {**self.of, **{name: version(name) for name in VERSIONS}}

    def digest(self, note: Note) -> str:
        """Of a note, but for its digest, and the files as they are."""
        found = hashlib.sha256(json.dumps(note, sort_keys=True).encode())
        for file in (self.ids, self.rows):
            with file.open("rb") as opened:
                found.update(hashlib.file_digest(opened, "sha256").digest())
        return found.hexdigest()


def once(folder: Path | None, name: str, of: Mapping[str, Any], parts: Iterable[Texts]) -> Texts:
    """The texts of parts, each as `Texts.of` has them; asked for only where the folder does not have them.

    Args:
        folder: made if it is not there; None: they are not kept, but in memory.
        name: of the files.
        of: what the texts follow from, in plain values.
        parts: at least one, all read alike.
    """
    return _once(Place(folder, name, of), parts) if folder else Texts.joined(parts)


def _once(place: Place, parts: Iterable[Texts]) -> Texts:
    note, _ = _noted(place)
    if note is None:
        place.folder.mkdir(exist_ok=True)
        with FileLock(place.folder / f"{place.name}.lock"):
            note, why = _noted(place)  # another may have made them while this one waited
            if why:
                log.warning("  the token ids kept by %s %s: they are made anew", place.note, why)
            note = note or _write(place, parts)
    return _mapped(place, note)


def _noted(place: Place) -> tuple[Note | None, str]:
    """The note of files that are as it says, or what is wrong with them; neither where there is none."""
    try:
        note: Note = json.loads(place.note.read_text())
        promised, ours = note.pop("digest"), note["of"] == place.contents
        whole = ours and promised == place.digest(note)
    except FileNotFoundError:
        return None, "have lost a file" if place.note.exists() else ""
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        return None, f"cannot be read ({type(error).__name__}: {error})"
    if not ours:
        return None, "are of other texts"
    return (note, "") if whole else (None, "are not what was written")


def _write(place: Place, parts: Iterable[Texts]) -> Note:
    """Write texts a part at a time; their note."""
    tokens, note = 0, Note(of=place.contents, shortened=0)
    place.note.unlink(missing_ok=True)  # before the files that it tells of are replaced
    with _beside(place.ids).open("wb") as ids, _beside(place.rows).open("wb") as rows:
        for part in parts:
            for packed in (part.prompts, part.answers):
                ids.write(packed.ids.tobytes())
            rows.write(_table(part, tokens).tobytes())
            tokens += len(part.prompts.ids) + len(part.answers.ids)
            note |= {
                "pad_id": part.pad_id,
                "side": part.side,
                "shortened": note["shortened"] + part.shortened,
            }
    for file in (place.ids, place.rows):
        _beside(file).replace(file)
    _beside(place.note).write_text(json.dumps({**note, "digest": place.digest(note)}))
    _beside(place.note).replace(place.note)
    return note


def _table(part: Texts, tokens: int) -> IndexArray:
    """[len, 5] the rows of a part whose tokens come behind so many others, those of its prompts first."""
    prompts, answers, between = part.prompts, part.answers, tokens + len(part.prompts.ids)
    places = (
        prompts.starts + tokens,
        prompts.ends + tokens,
        answers.starts + between,
        answers.ends + between,
    )
    return np.stack([*places, part.labels], axis=1)


def _mapped(place: Place, note: Note) -> Texts:
    ids = np.asarray(np.memmap(place.ids, np.int32, mode="r"))
    table = np.asarray(np.memmap(place.rows, np.int64, mode="r")).reshape(-1, 5)
    starts, middles, answers, ends, labels = table.T
    return Texts(
        prompts=Packed(ids, starts, middles),
        answers=Packed(ids, answers, ends),
        labels=labels,
        pad_id=note["pad_id"],
        side=note["side"],
        shortened=note["shortened"],
    )


def _beside(file: Path) -> Path:
    return file.with_name(f"{file.name}.partial")
