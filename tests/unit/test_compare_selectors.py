"""The comparison of all methods: what its page says first, and that nothing is tried twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from experiments import compare_page, compare_planted, compare_selectors
from goracs.lab.trials import TRANSPORT


def lab_row(selector: str, features: str | None, loss: float, **more: Any) -> dict[str, Any]:
    """A coreset of the lab; two representations, of which `far` has the larger transport."""
    ours = (
        {"lower_bound": 0.1, "lowest_cost": 0.0} if selector == "goracs" and not more.get("by_class") else {}
    )
    return {
        "selector": selector,
        "by_class": False,
        "features": features,
        "lam": 0.1 if selector == "goracs" else None,
        "budget": 2,
        "draw": 0,
        "log_loss": loss,
        "auc": 0.6,
        TRANSPORT + "embedding": 0.3,
        TRANSPORT + "far": 0.6,
        "gradient": 1.0,
        "liked": 0.5,
        "popularity": 9.0,
        "seconds": 0.1,
        "rows": [1, 2],
        **ours,
        **more,
    }


def lab_rows() -> list[dict[str, Any]]:
    usual = [lab_row("goracs", name, 0.5, by_class=True, lam=0) for name in ("embedding", "far")]
    searches = [lab_row("goracs", name, 0.7) for name in ("embedding", "far")]
    return [*usual, *searches, lab_row("kcenter", "far", 0.6, rows=[2, 3]), lab_row("random", None, 0.6)]


def test_the_page_says_that_nobody_is_better_where_nobody_is() -> None:
    head, table = compare_page.page([], lab_rows(), "").split("\n\n## ")
    assert "MovieLens: no method ends below goracs in POO in any of 2 searches." in head
    assert "no rival has a smaller mean test loss than goracs" in head
    (absent,) = [line for line in head.splitlines() if line.startswith("- MovieLens, not run: ")]
    assert {"mmd", "kcenter", "random", "full"} & set(absent.strip(".").split(": ")[1].split(", ")) == {"mmd"}
    (line,) = [line for line in table.splitlines() if line.startswith("| kcenter")]
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert cells[7:13] == ["0.600", "1.000", "0.500", "80.0%", "0.100", "-"]  # OT_d, g, POO and gap at .1, .5
    assert cells[-1] == "-"  # at lam 0 there was no search


def test_the_page_begins_with_who_is_better_and_why() -> None:
    rows = [*lab_rows(), lab_row("mmd", "far", 0.45, **{TRANSPORT + "far": 0.5}), lab_row("el2n", None, 0.4)]
    head = compare_page.page([], rows, "Because of this.").split("\n\n## ")[0]
    assert "**below goracs in POO**, in 2 searches: mmd, far (on far, lam 0.1, draw 0)." in head
    assert "**2 rivals have a smaller mean test loss" in head
    assert "el2n (-0.100); mmd, far (-0.050)." in head
    assert head.endswith("Because of this.")


def planted_row(selector: str, poo: float, lam: float) -> dict[str, Any]:
    figures = {"transport": 0.3, "gradient": 0.2, "seconds": 1.0, "rows": [1, 2]}
    return {
        "selector": selector,
        "seed": 1,
        "lam": lam,
        "poo": poo,
        "lower_bound": 0.1,
        "lowest_cost": 0.0,
        **figures,
    }


def test_a_rival_below_goracs_on_a_planted_problem_is_told_and_so_is_a_refusal() -> None:
    rows = [planted_row("goracs", 0.2, lam) for lam in (0.1, 0.5)] + [planted_row("spot", 0.3, 0.1)]
    assert "no method ends below goracs in POO in any of 2 problems." in compare_page.page(rows, [], "")
    rows += [planted_row("mmd", 0.15, 0.5), {"selector": "gist", "seed": 1, "lam": 0.1, "refused": "no dim"}]
    page = compare_page.page(rows, [], "")
    assert "**below goracs in POO**, in 2 problems: mmd (seed 1, lam 0.5: 0.150000, goracs 0.200000)." in page
    assert "- gist refused: no dim" in page
    assert page.index("| mmd | 0.1500 | 33.3% |") < page.index(
        "| goracs | 0.2000 | 50.0% |", page.index("lam 0.5\n")
    )


@pytest.mark.parametrize("method", ["forgetting", "aum", "cartography", "tdds"])
def test_methods_by_training_dynamics_are_not_refused(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"POOL": 60, "TARGET": 20, "BUDGET": 5}.items():
        monkeypatch.setattr(compare_planted, name, value)
    assert [row.get("refused") for row in compare_planted.rows(method, 1)] == [None, None]


def test_what_is_kept_is_not_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"POOL": 60, "TARGET": 20, "BUDGET": 5, "SEEDS": (1, 2)}.items():
        monkeypatch.setattr(compare_planted, name, value)
    words = ["planted", str(tmp_path), "methods=random,goracs,gist,fdmat,less"]
    compare_selectors.main(words)
    kept = (tmp_path / compare_selectors.PLANTED).read_text()
    assert len(kept.splitlines()) == 5 * 2 * 2
    monkeypatch.setattr(compare_planted, "rows", None)
    compare_selectors.main(words)
    assert (tmp_path / compare_selectors.PLANTED).read_text() == kept
    compare_selectors.main(["page", str(tmp_path), str(tmp_path / "page.md")])
    assert "no method ends below goracs in POO in any of 4 problems." in (tmp_path / "page.md").read_text()
