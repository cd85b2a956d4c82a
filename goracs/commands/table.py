"""The word `table`: the runs below some folders as Markdown, or as a picture.

goracs table FOLDER... [--out FILE.png]
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from goracs.report import plots
from goracs.report.results import read_results
from goracs.report.table import aggregate, render
from goracs.types import GoracsError


def run(words: Sequence[str]) -> int:
    """Print the table of every result.json below the folders, or draw it; the exit code."""
    parser = argparse.ArgumentParser(prog="goracs table", description="The runs below some folders.")
    parser.add_argument("folders", nargs="+", metavar="FOLDER", help="searched for result.json at any depth")
    parser.add_argument("--out", type=Path, metavar="FILE", help="a picture instead, such as a .png")
    asked = parser.parse_args(words)
    try:
        found = aggregate(read_results(asked.folders))
        if asked.out is None:
            print(render(found), end="")
        else:
            plots.draw(found, asked.out)
    except GoracsError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0
