"""The licences of what goracs needs to run, as the packages that are installed state them.

`python -m experiments.licences > docs/licences.md` follows the required dependencies of goracs
through theirs, without extras.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution

from packaging.requirements import Requirement

ROOT = "goracs"
LONGEST = 60  # a licence's whole text in the place of its name is cut there
HEAD = """# Licences of the dependencies

What `pip install goracs` brings, without extras, and the licence that each package states; written by
`python -m experiments.licences`. The bundled data have [their own terms](https://grouplens.org/datasets/movielens/).

| package | version | licence |
| --- | --- | --- |"""


def needed(name: str, seen: set[str]) -> Iterator[Distribution]:
    """The packages that one needs, itself first, each once; those that are not installed are left out."""
    try:
        found = distribution(name)
    except PackageNotFoundError:
        return
    if (known := found.metadata["Name"].lower().replace("_", "-")) in seen:
        return
    seen.add(known)
    yield found
    for text in found.requires or ():
        asked = Requirement(text)
        if asked.marker is None or asked.marker.evaluate({"extra": ""}):
            yield from needed(asked.name, seen)


def licence(package: Distribution) -> str:
    """As the package states it: an SPDX expression, a field, or its classifiers."""
    told = package.metadata.get_all
    expression = (told("License-Expression") or [""])[0]
    lines = [one for one in told("Classifier") or () if one.startswith("License ::")]
    classified = [one.rpartition(" :: ")[2] for one in lines]
    field = (told("License") or [""])[0]
    said = expression or ", ".join(one for one in classified if one != "OSI Approved") or field
    return re.sub(r"\s+", " ", said).strip()[:LONGEST] or "not stated"


def main() -> int:
    """Print the table."""
    print(HEAD)
    found = sorted(needed(ROOT, set()), key=lambda one: one.metadata["Name"].lower())
    for package in found:
        if package.metadata["Name"] != ROOT:
            print(f"| {package.metadata['Name']} | {package.version} | {licence(package)} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
