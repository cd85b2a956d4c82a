"""The paper's Movies by pandas, for `experiments.speed_data` to be compared with: no Python loop over rows.

Rules   as experiment=paper/movies_ctr: released titles with the brand, longer than 50 characters; histories
        of 3 to 10 items; by time, ties by the file; a tenth each held out. The prompts are those of
        conf/task/ctr.yaml, word for word (tests/unit/test_speed_data.py holds it to that).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

HISTORY, AT_LEAST, LONGER_THAN, LIKED_ABOVE = 10, 3, 50, 3
INSTRUCTION = "From the movies a user liked and disliked: will they like the next one? Answer Yes or No."


def prepare(folder: Path) -> int:
    """Prepare reviews.json.gz and meta.json.gz of `folder` into `folder`/pandas; the number of prompts.

    As csv: pandas alone has no Parquet. The items that each user has seen are written in the long form.
    """
    made = parts(folder / "reviews.json.gz", folder / "meta.json.gz")
    (folder / "pandas").mkdir(exist_ok=True)
    for name, frame in made.items():
        frame.to_csv(folder / "pandas" / f"{name}.csv", index=False)
    return sum(len(made[part]) for part in ("train", "valid", "test"))


def parts(reviews: Path, items: Path) -> dict[str, Any]:
    """The prompts of train, valid and test, and seen: each user with each item once."""
    events, titles = read(reviews, items)
    prompts = worded(samples(events[events["item"].isin(titles.index)]), titles)
    held_out = int(np.floor(0.1 * len(prompts) + 0.5))
    first, last = len(prompts) - 2 * held_out, len(prompts) - held_out
    seen = events[["user", "item"]].drop_duplicates()
    return {"train": prompts[:first], "valid": prompts[first:last], "test": prompts[last:], "seen": seen}


def read(reviews: Path, items: Path) -> tuple[Any, Any]:
    """The events (user, item, rating, time), and item -> title of those whose title is long enough."""
    kinds = {"reviewerID": str, "asin": str}
    raw = pd.read_json(reviews, lines=True, dtype=kinds)
    names = {"reviewerID": "user", "asin": "item", "overall": "rating", "unixReviewTime": "time"}
    events = raw[list(names)].rename(columns=names)
    lines = pd.read_csv(items, sep="\x01", header=None, names=["line"], quoting=3)["line"]
    lines = lines.str.replace("'", "_", regex=False)
    found = {
        name: lines.str.extract(f'"{name}": "(.*?)"', expand=False) for name in ("asin", "title", "brand")
    }
    title = found["title"].where(found["brand"].isna(), found["title"] + " - " + found["brand"])
    titles = pd.Series(title.to_numpy(), index=found["asin"]).dropna()
    titles = titles[~titles.index.duplicated(keep="last")]
    return events, titles[titles.str.len() > LONGER_THAN]


def samples(events: Any) -> Any:
    """The targets in time order, each with the items (item1 newest) and ratings before it."""
    events = events.reset_index(drop=True)
    events["first"] = pd.Series(events.index).groupby(events["user"]).transform("min")
    log = events.sort_values(["first", "time"], kind="stable")
    by_user = log.groupby("first", sort=False)
    log["place"], count = by_user.cumcount(), by_user["item"].transform("size")
    for step in range(1, HISTORY + 1):
        log[f"item{step}"], log[f"rating{step}"] = by_user["item"].shift(step), by_user["rating"].shift(step)
    target = (log["place"] >= np.minimum(HISTORY, count - 1)) & (log["place"] >= AT_LEAST)
    return log[target].sort_values("time", kind="stable")


def worded(rows: Any, titles: Any) -> Any:
    """instruction, input, output of each sample."""
    quoted = '"' + titles + '"'
    lists = {True: pd.Series("", index=rows.index), False: pd.Series("", index=rows.index)}
    for step in range(HISTORY, 0, -1):
        title, rating = rows[f"item{step}"].map(quoted), rows[f"rating{step}"]
        for liked, shown in ((True, rating > LIKED_ABOVE), (False, rating <= LIKED_ABOVE)):
            joined = lists[liked].where(lists[liked] == "", lists[liked] + ", ") + title.fillna("")
            lists[liked] = lists[liked].where(~shown, joined)
    liked, disliked = (lists[side].where(lists[side] != "", "none") for side in (True, False))
    asked = "Liked: " + liked + "\nDisliked: " + disliked + "\nNext movie: " + rows["item"].map(quoted)
    answer = np.where(rows["rating"] > LIKED_ABOVE, "Yes", "No")
    columns = {"instruction": INSTRUCTION, "input": asked, "output": answer}
    return rows[["user", "item", "time"]].assign(**columns).reset_index(drop=True)
