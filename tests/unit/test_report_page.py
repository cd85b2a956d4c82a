"""The report's parts on results made by hand: what is said, what is refused, how it is written."""

from __future__ import annotations

import csv as csv_files
import io
import json
import re
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest

from goracs.commands import report
from goracs.report.page import balance, csv, html, latex, markdown, places, published, search
from goracs.report.page.charts import columns, quantity, spec, tip
from goracs.report.page.document import Chart, Document, Grid, Section, Text, signed
from goracs.report.page.gathered import gathered
from goracs.report.page.report import document
from goracs.report.page.theme import DARK, LIGHT, resolved, variables
from goracs.report.results import read_results
from goracs.report.table import leading_number
from tests.unit.test_comparison import saved
from tests.unit.test_results import figure, result

NASTY = "a_b & 50% </script> | <b>"
CHART = Chart(
    "one", "One", "A point.", spec([{"x": 1}], [{"mark": "point", "encoding": {"x": quantity("x")}}])
)
GRID = Grid(
    "nasty", "Cells.", ["method", "AUC"], [[NASTY, "0.5 ± 0.1\n[0.4, 0.6]"], ["b", "0.4"]], {(0, 1): "best"}
)
SMALL = Document("title", "lead", [Section("part", "Part", [Text("told", "missing"), GRID, CHART])])


def luminance(colour: str) -> float:
    """WCAG 2.2's relative luminance of #rrggbb."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    bright, dim = sorted((luminance(one), luminance(other)), reverse=True)
    return (bright + 0.05) / (dim + 0.05)


@pytest.mark.parametrize("scheme", [LIGHT, DARK])
def test_colours_have_the_contrast_that_wcag_asks_for(scheme: dict[str, str]) -> None:
    assert contrast("#ffffff", "#000000") == pytest.approx(21)
    for ground in ("paper", "panel"):
        assert all(contrast(scheme[name], scheme[ground]) >= 4.5 for name in ("ink", "muted", "link", "warn"))
    marks = ["faint", *(f"c{number}" for number in range(10))]
    assert all(contrast(scheme[name], scheme["paper"]) >= 3 for name in marks)
    assert scheme.keys() == LIGHT.keys()
    assert variables({"ink": "#123"}) == "--ink: #123;"


def test_on_paper_no_colour_is_left_to_the_page() -> None:
    assert "var(" in json.dumps(CHART.spec)
    assert "var(" not in json.dumps(resolved(CHART.spec))


def test_a_page_needs_nothing_from_outside_and_escapes_what_it_shows() -> None:
    text = html.page(SMALL, "/* drawing </script> */")
    assert text.count("</script>") == text.count("<script")
    assert "a_b &amp; 50% &lt;/script&gt; | &lt;b&gt;" in text
    assert not re.search(r"""(?:src|href)=["'](?!#|data:)""", text)
    assert '<strong class="best">0.5 ± 0.1</strong>' in text
    assert 'role="img" aria-label="A point." data-chart="one"' in text
    specs = re.search(r'id="specs">(.*?)</script>', text)
    assert specs is not None
    assert json.loads(specs[1])["one"]["data"]["values"] == [{"x": 1}]


def test_markdown_latex_and_csv_say_the_same() -> None:
    plain, tex = markdown.text(SMALL), latex.text(SMALL)
    assert r"a_b &amp; 50% &lt;/script> \| &lt;b>" in plain
    assert "**0.5 ± 0.1** (best) [0.4, 0.6]" in plain
    assert "![A point.](figures/one.svg)" in plain
    assert r"a\_b \& 50\% \textless{}/script\textgreater{}" in tex
    assert r"\textbf{0.5 $\pm$ 0.1} [0.4, 0.6] \\" in tex
    assert r"\includegraphics[width=\linewidth]{figures/one.pdf}" in tex
    rows = list(csv_files.reader(io.StringIO(csv.text(GRID))))
    assert rows == [["method", "AUC", "marks"], [NASTY, "0.5 ± 0.1 [0.4, 0.6]", "AUC best"], ["b", "0.4", ""]]


def test_small_numbers_have_no_sign_and_legends_no_room_that_is_not_there() -> None:
    assert [signed(value) for value in (-0.0001, 0.0001, -0.5, None)] == ["0.000", "0.000", "-0.500", "-"]
    assert columns(["a" * 30, "b"], 640) == 2
    assert columns(["a" * 200], 100) == 1
    assert [one["type"] for one in tip([{"a": 1.5, "b": "x"}], "a", "b")] == ["quantitative", "nominal"]


def read(root: Path) -> Document:
    return document(gathered(read_results([root]), [root], root / "store"), [root])


def words(found: Document, kind: str) -> str:
    parts = [part for section in found.sections for part in section.parts]
    return "\n".join(part.words for part in parts if isinstance(part, Text) and part.kind == kind)


def study(root: Path, **changes: Any) -> Path:
    for selector in ("goracs", "random"):
        for seed in (0, 1, 2):
            auc = 0.8 + seed / 100 if selector == "goracs" else 0.7 + seed / 99
            saved(root, result(selector, seed, auc, **changes))
    return root


def test_what_a_result_lacks_is_said_in_words(tmp_path: Path) -> None:
    """No store, traces, curves or figures of coresets: the table stands, the rest says why it does not."""
    found = read(study(tmp_path, coreset__indices_file="indices.json"))
    told = words(found, "missing")
    for said in (
        "Neither the budget",
        "assess=true",
        "no trace.json",
        "no longer in the store",
        "no curve.json",
    ):
        assert said in told
    assert "prepared data are no longer" in told
    assert {chart.name for chart in found.charts} == {"results-log_loss-0", "results-auc-0", "costs"}
    assert all(chart.alt for chart in found.charts)


def test_what_makes_figures_less_sure_is_told(tmp_path: Path) -> None:
    root = study(tmp_path / "three", digests={"select": "k"}, coreset__indices_file="indices.json")
    told = words(read(root), "warning")
    assert "One coreset for all seeds: random, goracs." in told
    assert "Fewer than 30 test users (12)" in told
    assert "Fewer than three seeds" not in told
    other = saved(tmp_path / "three", result("kcenter", 0, coreset__indices_file="indices.json"))
    Path(other["file"]).with_name("predictions.parquet").unlink()
    told = words(read(root), "warning")
    assert "Fewer than three seeds (1 seed): kcenter." in told
    assert "No predictions.parquet beside some results of kcenter" in told


def test_a_seed_without_a_figure_is_told_and_its_pairs_are_of_the_others(tmp_path: Path) -> None:
    study(tmp_path, coreset__indices_file="indices.json")
    short = result("goracs", 0, coreset__indices_file="indices.json")
    del short["metrics"]["tuned"]["auc"]
    saved(tmp_path / "again", short)
    (tmp_path / "goracs-64-0" / "result.json").unlink()
    found = read(tmp_path)
    assert "Some seeds lack AUC, which others have." in words(found, "warning")
    (table,) = [grid for grid in found.grids if grid.name == "results"]
    assert any("(2 of 3 seeds)" in cell for row in table.rows for cell in row)


def test_jobs_without_a_result_are_told_with_the_reason(tmp_path: Path) -> None:
    study(tmp_path, coreset__indices_file="indices.json")
    failed = {"status": "failed", "words": "seed=7", "message": "no disk"}
    for number, text in enumerate((json.dumps(failed), r'{"status": "\ud800"}')):
        (tmp_path / f"{number}").mkdir()
        (tmp_path / f"{number}" / "outcome.json").write_text(text)
    (grid,) = [grid for grid in read(tmp_path).grids if grid.name == "unfinished"]
    assert grid.rows == [["seed=7", "failed", "no disk"], ["1", "unknown", "its outcome.json cannot be read"]]


def test_a_figure_that_is_no_number_is_refused_by_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = result("goracs", 0)
    bad["metrics"]["tuned"]["auc"] = figure(float("nan"))
    saved(tmp_path, bad)
    assert report.run([str(tmp_path)]) == 1
    assert re.search(
        r"error: .*goracs-64-0/result.json has tuned auc with a value of nan", capsys.readouterr().err
    )
    assert not (tmp_path / "report").exists()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["empty"], "no result.json below"),
        (["empty", "other"], "add --out FOLDER"),
        (["absent"], "is not a folder"),
    ],
)
def test_what_cannot_be_reported_is_refused_in_one_paragraph(
    given: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "other").mkdir()
    assert report.run([str(tmp_path / name) for name in given]) == 1
    told = capsys.readouterr().err
    assert said in told
    assert told.count("\n") == 1


def test_without_vl_convert_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    study(tmp_path, coreset__indices_file="indices.json")
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    assert report.run([str(tmp_path)]) == 1
    assert "pip install 'goracs[report]'" in capsys.readouterr().err
    assert not (tmp_path / "report").exists()


def test_a_published_figure_stands_beside_one_of_one_set_up_only(tmp_path: Path) -> None:
    """Two budgets of a method have no one mean; a seed without the figure is none of it."""
    runs = [saved(tmp_path, result("random", seed, 0.5 + seed / 10)) for seed in (0, 1)]
    runs.append(saved(tmp_path, result("random", 2)))
    runs[-1]["metrics"]["tuned"]["auc"] = figure(None)
    for budget in (8, 16):
        of = {"config__budget": budget, "coreset__budget": budget, "coreset__budget_asked": budget}
        runs.append(saved(tmp_path, result("el2n", 0, **of)))
    found = published.section("paper/games_ctr", runs)
    (grid,) = [part for part in found.parts if isinstance(part, Grid)]
    assert {row[0]: row[3] for row in grid.rows} == {"random": "0.550", "grand": "-", "el2n": "-"}
    (text,) = [part for part in found.parts if isinstance(part, Text)]
    assert text.words.endswith("no one figure is theirs: el2n.")


def test_ranks_and_curves_take_the_blocks_and_weights_that_have_a_figure(tmp_path: Path) -> None:
    """A block without AUC takes the ranks from no other; 1e-05 is a number like any."""
    for place in range(3):
        for selector in ("goracs", "random"):
            run = result(selector, 0, config__dataset__size=place + 1, coreset__indices_file="indices.json")
            if place == 2:
                del run["metrics"]["tuned"]["auc"]
            saved(tmp_path / str(place), run)
    told = words(read(tmp_path), "plain")
    assert "AUC: mean ranks over 2 blocks" in told
    assert "take blocks for independent" in told
    assert [leading_number(shown) for shown in ("1e-05", "64 (0.1)", "all", "nan")] == [
        1e-05,
        64.0,
        None,
        None,
    ]


def test_no_class_looks_like_pool_or_validation_set_and_no_runs_have_words_of_their_own(
    tmp_path: Path,
) -> None:
    assert not set(places.COLOURS[:2]) & set(places.looks(places.COLOURS, 12)[2:])
    assert places.looks(places.COLOURS, 12)[2:] == [*places.COLOURS[2:], *places.COLOURS[2:4]]
    bare = result("random", 0, metrics=None)
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "result.json").write_text(json.dumps(bare))
    found_words = words(read(tmp_path), "missing")
    assert places.NONE in found_words
    assert "0 of 0" not in found_words


def test_a_figure_of_balance_says_how_many_sets_it_leaves_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kinds = dict.fromkeys(balance.TITLES, 1.0)
    sets = {f"set {number}": [pl.DataFrame([{**kinds, "likes": number / 20}])] for number in range(20)}
    monkeypatch.setattr(balance, "_frames", lambda _: (sets, 0))
    found = read(study(tmp_path, coreset__indices_file="indices.json"))
    assert f"Drawn are the first {balance.DRAWN} of 20 sets; the table has all." in words(found, "plain")


def test_a_search_without_bounds_is_drawn_too() -> None:
    """As that of goracs_paper, whose report knows no smallest cost."""
    job: Any = SimpleNamespace(result={"coreset": {"report": {"classes": {"0": {"poo": 0.5}}}}})
    step = {"class": 0, "phase": "start", "seconds": 0.1, "objective": 0.5, "bound": None}
    assert search._steps(job, [step]) == [{**step, "part": "class 0", "gap": None}]
