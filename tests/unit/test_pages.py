"""Tables of README and documentation against the folders they are of, by the commands printed beside them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from experiments import compare_selectors, study
from goracs.commands import table
from goracs.report import lab

ROOT = Path(study.__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
COMMAND = re.compile(r"`goracs\s+table\s+(docs/[\w/]+)`")
TABLES = [(page, folder) for page in PAGES for folder in COMMAND.findall(page.read_text())]
STUDIES = sorted(path.parent for path in (DOCS / "study").glob("*/table.md") if path.parent.name != "texts")


def lines(text: str) -> Iterator[tuple[str, ...]]:
    """The cells of every line of every table, without the rules below the heads."""
    for line in text.splitlines():
        cells = tuple(cell.strip() for cell in line.strip("|").split("|"))
        if line.startswith("|") and any(cell.strip("-") for cell in cells):
            yield cells


def columns(text: str, head: tuple[str, ...]) -> list[tuple[str, ...]]:
    """The lines of the table that has these columns among others, cut to them."""
    found, places = list[tuple[str, ...]](), None
    for line in lines(text):
        if set(head) <= set(line):
            places = [line.index(name) for name in head]
        elif places and len(line) > max(places):
            found.append(tuple(line[place] for place in places))
    return found


@pytest.mark.parametrize(("page", "folder"), TABLES, ids=[folder for _, folder in TABLES])
def test_a_table_of_results_is_what_the_command_beside_it_prints(
    page: Path, folder: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert table.run([str(ROOT / folder), "--store", str(tmp_path)]) == 0
    printed = [*lines(capsys.readouterr().out)]
    there = [*lines(page.read_text())]
    assert len(printed) > 3
    assert [line for line in printed if line not in there] == []


def test_every_table_that_names_its_command_is_looked_at() -> None:
    assert {folder for _, folder in TABLES} >= {"docs/results/quickstart", "docs/results/movielens_seqrec"}
    assert {folder.name for folder in STUDIES} == {"flipped", "half_oldest", "lab", "movielens"}


@pytest.mark.parametrize("name", ["flipped", "half_oldest", "movielens"])
def test_the_tables_of_a_study_are_what_its_results_give(name: str) -> None:
    folder = DOCS / "study" / name
    assert study.table(folder) == (folder / "table.md").read_text()


def test_the_tables_of_the_study_are_those_of_its_folder() -> None:
    found = (DOCS / "study" / "movielens" / "table.md").read_text()
    first = [*lines(found)][:13]
    assert [line for line in first if line not in [*lines((ROOT / "README.md").read_text())]] == []
    head = ("AUC less random's", "mean", "95%, seeds", "p", "p, Holm")
    told = columns((DOCS / "study" / "README.md").read_text(), head)
    assert len(told) >= 8
    assert set(told[:8]) <= set(columns(found, head))


def test_the_readme_has_one_picture_that_dark_pages_show_too_and_says_what_is_on_it() -> None:
    page = (ROOT / "README.md").read_text()
    ((alt, place),) = re.findall(r"!\[(.*?)\]\((.*?)\)", page)
    drawn = (ROOT / place).read_text()
    assert len(drawn) < 150_000
    assert re.match(
        r'<svg [^>]*width="(\d+)" height="(\d+)"[^>]*><rect width="\1" height="\2" fill="#ffffff"/>', drawn
    )
    means = [line[3].partition(" ")[0] for line in lines(page) if len(line) == 7]
    said = re.findall(r"0\.\d{3}", alt)
    assert len(said) == 6
    assert set(said) <= set(means)


def test_the_tables_of_the_lab_are_those_of_its_coresets() -> None:
    folder = DOCS / "study" / "lab"
    read = pl.read_csv(folder / "coresets.csv", infer_schema_length=None, schema_overrides={"lam": pl.String})
    rows = [{**row, "lam": (row["lam"] or "-").removesuffix(".0")} for row in read.to_dicts()]
    made = lab.table(rows, [])
    assert len([*lines(made)]) > 90
    assert set(lines(made)) <= set(lines((folder / "table.md").read_text()))


def test_the_page_of_all_methods_is_what_its_figures_give() -> None:
    made = [*lines(compare_selectors.made(DOCS / "results" / "compare_selectors"))]
    assert len(made) > 100
    assert made == [*lines((DOCS / "results" / "compare_selectors.md").read_text())]
