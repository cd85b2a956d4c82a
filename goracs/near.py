"""What somebody may have meant by a name that is none."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def no_choice(group: str, name: str, options: Iterable[str]) -> str:
    """That a folder of conf/ has no such file."""
    known = sorted(options)
    near = meant(name, known, f"{group}=")
    return f"there is no {group}={name}.{near} There are {', '.join(known)}."


def meant(given: str, known: Iterable[str], before: str = "") -> str:
    """What somebody may have meant, as a question; empty where nothing is near."""
    near = get_close_matches(given, list(known), n=1, cutoff=0.6)
    return f" Did you mean {before}{near[0]}?" if near else ""
