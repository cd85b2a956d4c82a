"""The word `methods`: the selection methods, and what each needs.

goracs methods [NAME] [output=json]
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence

from goracs.report import methods
from goracs.types import GoracsError, InvalidInput

OUTPUTS = ("output=text", "output=json")


def run(words: Sequence[str]) -> int:
    """Print all cards in short, or one; the exit code."""
    parser = argparse.ArgumentParser(prog="goracs methods", description="The selection methods.")
    parser.add_argument("words", nargs="*", metavar="NAME", help="one method; and output=json")
    asked = parser.parse_args(words).words
    try:
        print(_told([word for word in asked if "=" not in word], [word for word in asked if "=" in word]))
    except GoracsError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _told(names: Sequence[str], outputs: Sequence[str]) -> str:
    if len(names) > 1 or len(outputs) > 1 or set(outputs) - set(OUTPUTS):
        raise InvalidInput(
            f"goracs methods takes one NAME, or none, and {OUTPUTS[1]}; got {' '.join([*names, *outputs])}."
        )
    cards = [methods.card(name) for name in names or methods.names()]
    if OUTPUTS[1] in outputs:
        return json.dumps([one.plain() for one in cards], indent=1)
    return methods.page(cards[0]) if names else methods.table(cards)
