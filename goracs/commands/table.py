"""The table of the runs below some folders: `python -m experiments.table FOLDER...`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from goracs.results import aggregate, read_results, render
from goracs.types import GoracsError


def main(arguments: Sequence[str]) -> int:
    """Prints the table of every result.json below the folders.

    Args:
        arguments: the folders.

    Returns:
        The exit code: 0, or 1 after an error told on stderr.
    """
    parser = argparse.ArgumentParser(prog="python -m experiments.table", description=__doc__)
    parser.add_argument("folders", nargs="+", metavar="FOLDER", help="searched for result.json at any depth")
    try:
        print(render(aggregate(read_results(parser.parse_args(arguments).folders))), end="")
    except GoracsError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
