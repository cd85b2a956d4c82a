"""A sweep's report, from real runs on the tiny backbone to a page in a real Chromium."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import mean, stdev

import pytest

from goracs.report.page import vega
from goracs.report.results import read_results
from tests.browser import CHROMIUM, DRIVER, Browser, browser
from tests.pipeline.conftest import TINY
from tests.unit.test_security import EVIL, evil_page

pytestmark = pytest.mark.xdist_group("report")
needs_chromium = pytest.mark.skipif(
    CHROMIUM is None or DRIVER is None, reason="chromium and chromium-driver are not installed"
)
FIGURES = (
    *(f"results-{metric}-{block}" for metric in ("log_loss", "auc") for block in (0, 1)),
    *("ranks-log_loss", "ranks-auc", "budget-log_loss", "budget-auc"),
    *("foretell-poo", "foretell-transport", "foretell-mean-gradient"),
    *("search-0", "search-1", "gaps", "places-0", "places-1"),
    *("balance-likes", "balance-popularity", "balance-prompt", "training-loss", "costs"),
)
ENTER = "\ue007"
LARGEST = 5_000_000  # bytes of a page
AUDIT = """
const shown = (one) => one.checkVisibility();
const rgb = (text) => text.match(/[\\d.]+/g).map(Number);
const light = (c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
const lum = ([r, g, b]) => 0.2126 * light(r / 255) + 0.7152 * light(g / 255) + 0.0722 * light(b / 255);
const ground = (one) => {
  const own = rgb(getComputedStyle(one).backgroundColor);
  return own[3] === 0 ? (one.parentElement ? ground(one.parentElement) : [255, 255, 255]) : own;
};
const faults = [];
for (const one of document.querySelectorAll("body *")) {
  if (one.closest("script, style") || !shown(one)) continue;
  const drawn = one.closest("svg");
  const texts = [...one.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
  if (texts) {
    const ink = rgb(drawn ? getComputedStyle(one).fill : getComputedStyle(one).color);
    const [high, low] = [lum(ink), lum(ground(one))].sort((a, b) => b - a);
    if ((high + 0.05) / (low + 0.05) < 4.5) faults.push(`contrast: ${one.textContent.slice(0, 40)}`);
  }
}
for (const one of document.querySelectorAll("input"))
  if (!one.labels.length) faults.push("input without label");
if (document.querySelectorAll("[role=img] > [aria-hidden]").length < places.length)
  faults.push("a role lost");
for (const one of document.querySelectorAll("[role=img]"))
  if (one.getAttribute("aria-label").length < 20) faults.push(`image without words: ${one.dataset.chart}`);
for (const one of document.querySelectorAll("button, a, summary"))
  if (!one.textContent.trim()) faults.push("control without a name");
for (const one of document.querySelectorAll("table"))
  if (!document.getElementById(one.getAttribute("aria-labelledby"))) faults.push("table without a caption");
const ids = [...document.querySelectorAll("[id]")].map((one) => one.id);
if (new Set(ids).size < ids.length) faults.push("an id twice");
const levels = [...document.querySelectorAll("h1, h2, h3")].map((one) => Number(one.tagName[1]));
if (levels[0] !== 1 || levels.slice(1).some((level) => level !== 2)) faults.push("headings out of order");
return faults;
"""


def told(words: list[str], place: Path) -> str:
    command = [sys.executable, "-m", "goracs.cli", *words]
    root = str(Path(__file__).parents[2])
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        cwd=place,
        env={**os.environ, "PYTHONPATH": root},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory, shared: Path) -> tuple[Path, str]:
    """Two methods, two budgets, two seeds, each with a pool of its own; what the command printed."""
    folder = tmp_path_factory.mktemp("report") / "sweep"
    tiny = [word for word in TINY if not word.startswith("budget=")]
    swept = ["selector=random,goracs", "budget=8,12", "seed=0,1", "dataset.seed=${seed}", "assess=true"]
    places = [f"store.root={shared / 'store'}", f"hydra.sweep.dir={folder}", "adapter.rows=8"]
    return folder, told(["-m", *tiny, *places, *swept], folder.parent)


@pytest.fixture(scope="module")
def page(sweep: tuple[Path, str], shared: Path) -> Path:
    printed = told(["report", str(sweep[0]), "--store", str(shared / "store")], sweep[0].parent)
    (path,) = printed.splitlines()
    return Path(path)


def test_a_sweep_tells_how_to_get_its_page(sweep: tuple[Path, str], shared: Path) -> None:
    assert f"as a page: goracs report {sweep[0]} --store {shared / 'store'}" in sweep[1]


def test_the_report_holds_what_the_results_say(sweep: tuple[Path, str], page: Path) -> None:
    assert page == sweep[0] / "report" / "report.html"
    results = read_results([sweep[0]])
    assert len(results) == 8
    with (page.parent / "tables" / "figures.csv").open() as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        budget = int(row["block"].removeprefix("budget "))
        mine = [one for one in results if one["coreset"]["budget"] == budget]
        name = {"AUC": "auc", "log-loss": "log_loss", "ECE": "ece", "AUC per user": "auc_per_user"}[
            row["figure"]
        ]
        values = [
            one["metrics"]["tuned"][name]["value"]
            for one in mine
            if one["coreset"]["selector"] == row["method"]
        ]
        assert float(row["mean"]) == pytest.approx(mean(values), abs=1e-6)
        assert float(row["sd"]) == pytest.approx(stdev(values), abs=1e-6)
    assert {row["method"] for row in rows} == {"random", "goracs"}
    text, plain, tex = (page.with_name(f"report.{ending}").read_text() for ending in ("html", "md", "tex"))
    for one in results:
        assert all(key in text for key in one["digests"].values())
        assert one["command"] in plain
    assert tex.count(r"\begin{figure}") == plain.count("![") == len(FIGURES)
    for name in FIGURES:
        assert (page.parent / "figures" / f"{name}.svg").read_text().startswith("<svg")
        assert (page.parent / "figures" / f"{name}.pdf").read_bytes().startswith(b"%PDF")
    assert page.stat().st_size < LARGEST


@pytest.fixture(scope="module")
def window(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("chromium")) as found:
        yield found


@needs_chromium
@pytest.mark.parametrize(("width", "dark"), [(1280, False), (390, True)])
def test_the_page_in_a_browser(page: Path, window: Browser, width: int, dark: bool, tmp_path: Path) -> None:
    """Every figure drawn, nothing told by the console, no scrolling sideways, labels and contrast."""
    window.open(page, width, dark=dark)
    window.run("await drawAll();")
    drawn = window.run("return places.map((one) => one.dataset.chart + one.querySelectorAll('svg').length);")
    assert sorted(drawn) == sorted(f"{name}1" for name in FIGURES)
    assert window.logged() == []
    assert window.run("return document.documentElement.scrollWidth;") <= width
    assert window.run(AUDIT) == []
    assert window.run("return matchMedia('(prefers-color-scheme: dark)').matches;") is dark
    picture = window.picture()
    (tmp_path / f"{width}.png").write_bytes(picture)
    assert picture.startswith(b"\x89PNG")


@needs_chromium
def test_tables_sort_and_filter_by_the_keyboard(page: Path, window: Browser) -> None:
    window.open(page, 1280)
    column = "return [...document.querySelectorAll('#grid-jobs tbody tr')].filter((row) => !row.hidden)"
    seeds = f"{column}.map((row) => row.cells[2].textContent);"
    window.run("document.querySelectorAll('#grid-jobs th button')[2].focus();")
    window.press(ENTER)
    assert window.run(seeds) == ["0"] * 4 + ["1"] * 4
    window.press(ENTER)
    assert window.run(seeds) == ["1"] * 4 + ["0"] * 4
    assert window.run("return document.activeElement.closest('th').ariaSort;") == "descending"
    window.run("document.getElementById('filter-jobs').focus();")
    window.press(*"random seed=0")
    assert window.run(f"{column}.length;") == 2
    assert (
        window.run("return document.querySelector('#grid-jobs [role=status]').textContent;") == "2 of 8 rows"
    )


OUTSIDE = """
const seen = [];
document.addEventListener("securitypolicyviolation", (event) => seen.push(event.effectiveDirective));
await fetch("http://127.0.0.1:9/").catch(() => 0);
new Image().src = "http://127.0.0.1:9/x.png";
const script = document.createElement("script");
script.src = "http://127.0.0.1:9/x.js";
document.body.append(script);
document.body.insertAdjacentHTML("beforeend", "<a onclick='window.ran = true' id='evil'>x</a>");
document.getElementById("evil").click();
await new Promise((done) => setTimeout(done, 300));
return seen.sort();
"""


@needs_chromium
def test_titles_run_nothing_and_nothing_comes_from_outside(window: Browser, tmp_path: Path) -> None:
    file = tmp_path / "evil.html"
    file.write_text(evil_page(vega.bundle()), encoding="utf-8")
    window.open(file, 400)
    assert window.logged() == []
    assert window.run("return document.querySelector('td').textContent") == EVIL[0]
    assert window.run("return document.documentElement.scrollWidth <= window.innerWidth")
    asked = ["connect-src", "img-src", "script-src-attr", "script-src-elem"]
    assert window.run(OUTSIDE) == asked
    assert window.run("return window.ran === undefined")
