"""The word `report`: the runs below some folders as a page, with Markdown, LaTeX, CSV and figures beside it.

goracs report FOLDER... [--out FOLDER] [--store FOLDER]
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from goracs.config import usual_store
from goracs.report.page.document import Document
from goracs.report.results import read_results
from goracs.types import GoracsError, InvalidInput

PAGE = "report.html"


def run(words: Sequence[str]) -> int:
    """Write the report of every result.json below the folders and print its path; the exit code."""
    parser = argparse.ArgumentParser(
        prog="goracs report", description="The runs below some folders as a page."
    )
    parser.add_argument(
        "folders", nargs="+", type=Path, metavar="FOLDER", help="searched for result.json at any depth"
    )
    parser.add_argument(
        "--out", type=Path, metavar="FOLDER", help="where the report goes; else FOLDER/report"
    )
    parser.add_argument(
        "--store", type=Path, metavar="FOLDER", help="store.root of the runs, if it was given"
    )
    asked = parser.parse_args(words)
    try:
        if asked.out is None and len(asked.folders) > 1:
            raise InvalidInput("a report of several folders needs a place of its own: add --out FOLDER.")
        out = asked.out or asked.folders[0] / "report"
        if out.exists() and not out.is_dir():
            raise InvalidInput(f"{out} is there already, and no folder: name another place by --out FOLDER.")
        print(write(made(asked.folders, asked.store or usual_store()), out))
    except (GoracsError, OSError) as error:  # OSError: a folder in which nothing can be written
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def made(folders: Sequence[Path], store: Path) -> Document:
    """The report of the runs below some folders, their coresets judged wherever the store has what it takes.

    Raises:
        GoracsError: as `read_results` and `gathered`, or a damaged artifact.
    """
    from goracs.report.page.gathered import gathered
    from goracs.report.page.report import document
    from goracs.stages import assess
    from goracs.store import Store

    results = assess.completed(read_results(folders), Store(store))
    return document(gathered(results, folders, store), list(folders))


def write(document: Document, out: Path) -> Path:
    """Write all files, the page last; its path.

    Raises:
        GoracsError: vl-convert is not installed.
    """
    from goracs.report.page import csv, html, latex, markdown, vega

    library = vega.bundle()
    for name in ("tables", "figures"):
        (out / name).mkdir(parents=True, exist_ok=True)
    for grid in document.grids:
        (out / "tables" / f"{grid.name}.csv").write_text(csv.text(grid), encoding="utf-8")
    for chart in document.charts:
        (out / "figures" / f"{chart.name}.svg").write_bytes(vega.svg(chart.spec))
        (out / "figures" / f"{chart.name}.pdf").write_bytes(vega.pdf(chart.spec))
    (out / "report.md").write_text(markdown.text(document), encoding="utf-8")
    (out / "report.tex").write_text(latex.text(document), encoding="utf-8")
    (out / PAGE).write_text(html.page(document, library), encoding="utf-8")
    return out / PAGE
