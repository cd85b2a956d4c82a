"""The word `trace`: the search of one run as a picture.

goracs trace JOB_FOLDER [--out FILE.png] [--store FOLDER]
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from goracs.config import usual_store
from goracs.report import trace
from goracs.types import GoracsError


def run(words: Sequence[str]) -> int:
    """Draw the search of one job; the exit code."""
    parser = argparse.ArgumentParser(prog="goracs trace", description="The search of one run as a picture.")
    parser.add_argument("result", type=Path, metavar="RESULT", help="a job folder, or its result.json")
    parser.add_argument("--out", type=Path, metavar="FILE", help="the picture; else trace.png beside RESULT")
    parser.add_argument("--store", type=Path, metavar="FOLDER", help="store.root of the run, if it was given")
    asked = parser.parse_args(words)
    folder = asked.result.parent if asked.result.name == "result.json" else asked.result
    try:
        result, steps = trace.read_job(folder), trace.read_trace(folder)
        places = trace.projected(result, folder, asked.store or usual_store())
        if places is None:
            print("The store has no features of this run: the search alone is drawn.", file=sys.stderr)
        trace.draw(result, steps, places, asked.out or folder / "trace.png")
    except (GoracsError, OSError) as error:  # OSError: a file of the job that is not there
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0
