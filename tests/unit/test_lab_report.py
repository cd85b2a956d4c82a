"""What is said of a lab: means with errors, and which figure foretells the loss."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import spearmanr

from goracs.report import lab as report
from goracs.types import GoracsError

SETTINGS = [("random", False, None, None), ("goracs", True, "near", 0), ("goracs", True, "near", 0.5)]


def rows() -> list[dict[str, Any]]:
    """Two draws of three settings, draw by draw; the loss is nearly the transport."""
    rng = np.random.default_rng(0)
    found = []
    for draw in range(2):
        for setting in SETTINGS:
            transport, gradient = rng.random(), rng.random()
            found.append(
                {
                    **dict(zip(("selector", "by_class", "features", "lam"), setting, strict=True)),
                    "budget": 32,
                    "draw": draw,
                    "log_loss": transport + 0.1 * rng.random(),
                    "auc": rng.random(),
                    "auc_per_user": float("nan"),
                    "transport near": transport,
                    "transport far": 0.5,
                    "gradient": gradient,
                }
            )
    return found


def test_a_line_for_each_setting_has_mean_and_standard_error_over_draws() -> None:
    found = rows()
    lines = report.table(found, []).splitlines()[2:]
    assert [line.split(" | ")[:5] for line in lines] == [
        ["| random", "no", "-", "-", "32"],
        ["| goracs", "yes", "near", "0", "32"],
        ["| goracs", "yes", "near", "0.5", "32"],
    ]
    losses = np.array([found[1]["log_loss"], found[4]["log_loss"]])
    expected = f"{losses.mean():.3f} ± {losses.std(ddof=1) / np.sqrt(2):.3f}"
    assert lines[1].split(" | ")[5] == expected
    assert lines[1].endswith("| 2 |")


def test_ceilings_stand_below_and_one_draw_has_no_error() -> None:
    plain = {"log_loss": 0.5, "auc": 0.7, "auc_per_user": 0.6}
    above = [{"ceiling": "validation rows, all", "budget": 400, **plain}]
    last = report.table(rows(), above).splitlines()[-1]
    assert last == "| validation rows, all | - | - | - | 400 | 0.500 | 0.700 | 0.600 | 1 |"


def test_foretelling_is_spearmans_correlation_of_each_figure_with_the_loss() -> None:
    found = rows()
    told = report.foretelling(found, [0, 0.5, "auto"])
    columns = {name: [row[name] for row in found] for name in ("transport near", "gradient", "log_loss")}
    poo = np.array(columns["transport near"]) - 0.5 * np.array(columns["gradient"])
    expected = {
        "OT_d": spearmanr(columns["transport near"], columns["log_loss"]).statistic,
        "mean g": spearmanr(columns["gradient"], columns["log_loss"]).statistic,
        "POO, lam 0.5": spearmanr(poo, columns["log_loss"]).statistic,
    }
    assert told["near"] == pytest.approx(expected)
    assert told["far"]["OT_d"] is None  # constant: nothing to rank
    table = report.foretelling_table(told).splitlines()
    assert table[0] == "| rank correlation with the test loss | OT_d | mean g | POO, lam 0.5 |"
    assert table[3].startswith("| far | - | ")


@pytest.mark.parametrize("lams", [[0], [0, 0.5], ["auto"]])
def test_a_picture_is_drawn_whatever_the_weights(lams: list[float | str], tmp_path: Path) -> None:
    report.draw(rows(), lams, tmp_path / "scatter.png")
    assert (tmp_path / "scatter.png").stat().st_size > 1000


def test_a_missing_matplotlib_and_a_place_that_cannot_be_written_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(GoracsError, match="cannot be written"):
        report.draw(rows(), [0], tmp_path / "none" / "scatter.png")
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(GoracsError, match="pictures need matplotlib"):
        report.figure_class()
