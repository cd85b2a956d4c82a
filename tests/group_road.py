"""What `tests/unit/test_ranks.py` has torchrun start twice: WEIGHTS FOLDER.

One stage is done by both processes, one ends with a rank that is killed, one with all that rank 1 was.
"""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path

from goracs.llm import group, launched, starter
from goracs.types import GoracsError
from tests.rank_ends import deserted, killed


def command() -> None:
    from tests.unit.test_ranks import TWO, whole_road

    weights, place = map(Path, sys.argv[1:])
    (place / f"{os.getpid()}.led").touch()
    made = place / "group.partial"
    made.mkdir()
    starter.run(whole_road(TWO), made, {"weights": weights}, TWO)
    try:
        starter.run(killed, place / "killed.partial", {}, TWO)
    except GoracsError as error:
        (place / "killed.txt").write_text(str(error))
    starter.run(deserted, place / "deserted.partial", {}, TWO)


if __name__ == "__main__":
    logging.basicConfig(format="%(message)s")
    launch = launched.claim()
    assert launch is not None
    group.take_part(launch, command)
