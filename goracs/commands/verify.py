"""The word `verify`: a finished run's figures worked out anew from its artifacts; no model is asked.

    goracs verify JOB_FOLDER [--store FOLDER]

A line for each figure, and exit code 1 where one is not what the run's files state. `open` is a lower bound
that is neither proven nor refuted here, or what this machine cannot say.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from goracs.config import usual_store
from goracs.finished import TRUST
from goracs.harmless import shown
from goracs.types import GoracsError
from goracs.verdict import DIFFERS, OPEN, STATED, Check
from goracs.verify_line import checks


def run(words: Sequence[str]) -> int:
    """Check one job folder; the exit code."""
    parser = argparse.ArgumentParser(prog="goracs verify", description="A run's figures, worked out anew.")
    parser.add_argument("run", type=Path, metavar="JOB_FOLDER", help="of a run that has a coreset")
    parser.add_argument("--store", type=Path, metavar="FOLDER", help="store.root of the run, if it was given")
    parser.add_argument(TRUST, action="store_true", help="run Python code that comes with its model")
    asked = parser.parse_args(words)
    try:
        found = checks(asked.run, asked.store or usual_store(), trusted=asked.trust_remote_code)
    except (GoracsError, OSError) as error:  # OSError: a file of the job that is not there
        print(f"error: {error}", file=sys.stderr)
        return 1
    anew, copies = ([check for check in found if check.copied is copied] for copied in (False, True))
    for check in (*(copy for copy in copies if copy.verdict != STATED), *anew):
        print(_line(check))
    print(f"copies of what the artifacts hold: {_counted(copies)}\nfound anew: {_counted(anew)}")
    return int(any(check.verdict == DIFFERS for check in found))


def _counted(found: Sequence[Check]) -> str:
    counts = Counter(check.verdict for check in found)
    return f"{len(found)}, of which {', '.join(f'{counts[word]} {word}' for word in (STATED, OPEN, DIFFERS))}"


def _line(check: Check) -> str:
    said = f"{check.verdict}: {shown(check.name)}"
    if check.verdict == STATED:
        return f"{said} {_short(check.stated)}"
    return f"{said}: {check.file} states {_short(check.stated)}, found anew: {_short(check.found)}"


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else repr(value)
    return shown(text if len(text) <= 100 else f"{text[:97]}...")
