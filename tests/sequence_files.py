"""Ready next-item sets as other projects publish them, small."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from goracs.data.prepare import PARTS

HEAD = "user_id,history_item_id,item_title,item_id\n"


def write(folder: Path, rows: int = 40, items: int = 30) -> dict[str, str]:
    """The files of a set by the key that names each: histories of 1 to 6 items, quotes in titles."""
    rng = np.random.default_rng(0)
    places = {part: folder / f"{part}.csv" for part in PARTS} | {"items": folder / "info.txt"}
    for part in PARTS:
        lines = []
        for row in range(rows):
            history = rng.integers(items, size=rng.integers(1, 7)).tolist()
            lines.append(f'A{row % 25},"{history}","a ""title"", with a comma",{rng.integers(items)}\n')
        places[part].write_text(HEAD + "".join(lines))
    info = [f'<a_{row}>\tMonitor {row} with 24" and a stand\t{row}\n' for row in range(items)]
    places["items"].write_text("".join(info))
    return {name: str(place) for name, place in places.items()}
