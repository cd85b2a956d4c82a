"""The sections of a report in their order."""

from __future__ import annotations

from pathlib import Path

from goracs.report.page import (
    balance,
    costs,
    curves,
    differences,
    foretell,
    overview,
    places,
    provenance,
    results,
    search,
    training,
)
from goracs.report.page.document import Document
from goracs.report.page.gathered import Gathered

SECTIONS = (
    overview,
    results,
    differences,
    curves,
    foretell,
    search,
    places,
    balance,
    training,
    costs,
    provenance,
)


def document(found: Gathered, folders: list[Path]) -> Document:
    """The report of what was gathered below some folders."""
    title = f"goracs: {', '.join(folder.resolve().name for folder in folders)}"
    return Document(title, overview.lead(found), [part.section(found) for part in SECTIONS])
