"""The word `table`: the runs below some folders as Markdown, or as a picture.

goracs table FOLDER... [--out FILE.png] [--store FOLDER]
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from goracs.config import usual_store
from goracs.report import markdown, plots
from goracs.report.results import Result, read_results
from goracs.report.table import Table, aggregate
from goracs.types import GoracsError


def run(words: Sequence[str]) -> int:
    """Print the table of every result.json below the folders, or draw it; the exit code."""
    parser = argparse.ArgumentParser(prog="goracs table", description="The runs below some folders.")
    parser.add_argument("folders", nargs="+", metavar="FOLDER", help="searched for result.json at any depth")
    parser.add_argument("--out", type=Path, metavar="FILE", help="a picture instead, such as a .png")
    parser.add_argument(
        "--store", type=Path, metavar="FOLDER", help="store.root of the runs, if it was given"
    )
    asked = parser.parse_args(words)
    try:
        found = judged(read_results(asked.folders), asked.store or usual_store())
        if asked.out is None:
            print(markdown.render(found), end="")
        else:
            plots.draw(found, asked.out)
    except (GoracsError, OSError) as error:  # OSError: a store in which nothing can be written
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def judged(results: Sequence[Result], store: Path) -> Table:
    """The table of some results, their coresets judged wherever the store has what it takes.

    Raises:
        GoracsError: as `aggregate`, or a damaged artifact.
    """
    from goracs.stages import assess
    from goracs.store import Store

    return aggregate(assess.completed(results, Store(store)))
