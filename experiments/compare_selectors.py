"""Every method against every other, on planted problems and on MovieLens; a page of it.

`python -m experiments.compare_selectors planted FOLDER [methods=a,b]`
`python -m experiments.compare_selectors lab FOLDER [methods=a,b] [other words of goracs lab]`
`python -m experiments.compare_selectors page FOLDER PAGE.md`

The first two keep a line for each coreset in FOLDER as soon as it is judged, and go on from those that are
there; nothing there is tried twice, so a new method costs its own coresets. The page begins with who ends
below GORACS in POO and who has a smaller test loss in the lab; FOLDER/why.md, by hand, stands below that.

Planted    `experiments.compare_planted`: OT_d, mean g and POO in the units of POO, the gap to the bound of
           goracs' search, CPU seconds, overlap (Jaccard) with goracs.
MovieLens  `experiments.compare_lab`: the lab's test loss and AUC over redrawn pools as well, the share of
           liked rows and how popular their items are. A method that looks at no features has its transport,
           POO, gap and overlap on sentence embeddings; the overlap is with goracs over the whole pool at the
           same lam, else at 0. Seconds have those of judging in them, some hundredths.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from experiments import compare_lab, compare_page, compare_planted
from goracs.report.methods import names

PLANTED, LAB, WHY = "planted.jsonl", "movielens.jsonl", "why.md"
METHODS = "methods="


def main(words: Sequence[str]) -> None:
    """Do what the words ask for."""
    part, folder, *more = words
    place = Path(folder)
    if part == "page":
        Path(more[0]).write_text(made(place), encoding="utf-8")
        return
    asked = [word.removeprefix(METHODS).split(",") for word in more if word.startswith(METHODS)]
    methods = asked[-1] if asked else [name for name in names() if name != "full"]
    place.mkdir(parents=True, exist_ok=True)
    if part == "planted":
        planted(place / PLANTED, methods)
    else:
        lab(place / LAB, methods, [word for word in more if not word.startswith(METHODS)])


def planted(file: Path, methods: Sequence[str]) -> None:
    """Try what is not in the file."""
    done = {(row["selector"], row["seed"]) for row in read(file)}
    for seed in compare_planted.SEEDS:
        for method in methods:
            if (method, seed) not in done:
                keep(file, list(compare_planted.rows(method, seed)))


def lab(file: Path, methods: Sequence[str], more: Sequence[str]) -> None:
    """Try what is not in the file."""
    done = {compare_lab.key(row) for row in read(file)}
    bar = compare_lab.Bar.brought([*compare_lab.words(methods), *more])
    for row in bar.rows(lambda key: key not in done):
        keep(file, [row])


def made(folder: Path) -> str:
    """The page of what a folder holds."""
    why = folder / WHY
    return compare_page.page(
        read(folder / PLANTED), read(folder / LAB), why.read_text(encoding="utf-8") if why.exists() else ""
    )


def read(file: Path) -> list[dict[str, Any]]:
    """The rows that are kept; none where there is no file."""
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def keep(file: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Add rows."""
    with file.open("a", encoding="utf-8") as opened:
        opened.writelines(f"{json.dumps(row)}\n" for row in rows)


if __name__ == "__main__":
    main(sys.argv[1:])
