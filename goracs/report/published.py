"""Figures that others published for the runs which our presets follow: cited beside ours, never ours.

Source   GORACS (KDD 2025, arXiv 2506.04015), as far as they are known to us; its own method's are not.
Setting  LLaMA-7B and the whole data sets; a preset in small has neither, and its figures are not comparable.
"""

from __future__ import annotations

from dataclasses import dataclass

CITED = "GORACS (KDD 2025, arXiv 2506.04015)"
SMALL = "_cpu"  # how the name of a preset in small ends


@dataclass(frozen=True)
class Figure:
    """One published figure.

    Args:
        runs: the presets that follow its runs, by their names' parts: data set and task; "" for any data set.
        method: the selector's name here.
        metric: its name in result.json.
        value: as published; a range where only that is known.
    """

    runs: tuple[str, str]
    method: str
    metric: str
    value: str


FIGURES = (
    Figure(("games", "seqrec"), "random", "ndcg@10", "0.2074"),
    Figure(("games", "seqrec"), "dealrec", "ndcg@10", "0.2046"),
    Figure(("games", "seqrec"), "grand", "ndcg@10", "0.180"),
    Figure(("games", "seqrec"), "el2n", "ndcg@10", "0.145"),
    Figure(("", "ctr"), "random", "auc", "0.59 to 0.66 over the data sets"),
    Figure(("", "ctr"), "grand", "auc", "0.46 to 0.47 over the data sets"),
    Figure(("", "ctr"), "el2n", "auc", "0.45 to 0.47 over the data sets"),
)


def published(preset: str) -> list[Figure]:
    """The figures of the runs that a preset of conf/experiment/paper follows; none of another preset."""
    folder, _, name = preset.rpartition("/")
    data, _, task = name.removesuffix(SMALL).partition("_")
    if folder != "paper":
        return []
    return [figure for figure in FIGURES if figure.runs[0] in ("", data) and figure.runs[1] == task]
