r"""The report as LaTeX, taken apart by a reader of its own: what is shown is what was said.

Rules, of a text outside mathematics: \ begins a command of letters, or of the one letter behind it; % hides
the rest of the line; & ends a cell, \\ a row, and with it goes a star or a bracket that follows; { } group;
$ _ ^ # ~ have other meanings; --, '', ,, ?` and !` are drawn as another letter. (Lamport, LaTeX, 2nd ed.:
section 2.1 and appendix C.)
"""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goracs.report.page import latex
from goracs.report.page.document import Chart, Document, Grid, Section, Text

COMMANDS = {
    "textbackslash": "\\",
    "textasciitilde": "~",
    "textasciicircum": "^",
    "textasciigrave": "`",
    "textbar": "|",
    "textless": "<",
    "textgreater": ">",
}
SIGNS = {r"$\pm$": "±", r"$\cdot$": "·"}
FORBIDDEN = set("&%$#_~^{}\\<>|`")
NASTY = r"a & b % c $ d # e _ f { g } h ~ i ^ j \ k | l < m > n ` o [p] * q -- r '' s"
letters = st.text(st.sampled_from("ab &%$#_{}~^\\|<>`[]*-',?!±·é\""), max_size=20)


def shown(tex: str) -> str:
    """What a piece of text shows."""
    token = re.compile(r"\\([a-zA-Z]+)\{\}|\\(.)|(\$\\(?:pm|cdot)\$)|\{\}|(.)", re.DOTALL)
    found, place = "", 0
    assert not re.search(r"--|''|,,|[?!]`", tex), tex
    while place < len(tex):
        match = token.match(tex, place)
        assert match is not None, tex[place:]
        name, sign, mathematics, letter = match.groups()
        assert sign is None or sign in "&%$#_{}", tex[place:]
        assert letter is None or letter not in FORBIDDEN, tex[place:]
        found += COMMANDS[name] if name else sign or SIGNS.get(mathematics or "", "") or letter or ""
        place = match.end()
    return found


@given(letters)
def test_what_is_escaped_shows_what_was_said(words: str) -> None:
    assert shown(latex.escaped(words)) == words


def written(title: str, cell: str) -> str:
    """A report in which a title and a cell are everywhere."""
    rows = [[cell, f"{cell}\n[0.1, 0.2]\n\n{cell}"], ["[0.1, 0.2]", cell], ["*", cell]]
    grid = Grid("grid", title, [cell, title], rows, {(0, 0): "best", (1, 1): "second"})
    chart = Chart("chart", title, "A point.", {})
    return latex.text(Document(title, title, [Section("part", title, [Text(title), grid, chart])]))


def rows(tex: str) -> list[list[str]]:
    """The cells of the table's rows, as they are shown."""
    body = tex.split("\\toprule\n")[1].split("\\bottomrule")[0].replace("\\midrule\n\\endhead\n", "")
    assert not re.search(r"(?:\\\\|rule|\\endhead)\s*[\[*]", tex)  # an argument of what stands before
    ends = re.split(r"(?<!\\)\\\\\n", body)
    cells = [re.split(r"(?<!\\)&", row) for row in ends if row]
    plain = [
        [re.sub(r"\\(?:textbf|underline)\{(.*)\}(?= )", r"\1", one + " ") for one in row] for row in cells
    ]
    return [[" ".join(shown(one).split()) for one in row] for row in plain]


@pytest.mark.parametrize("cell", [NASTY, "[0.1] first", "* first", "-- first"])
def test_tables_and_titles_show_what_the_report_says(cell: str) -> None:
    tex = written(NASTY, cell)
    said = " ".join(cell.split())
    assert rows(tex) == [
        [said, NASTY],
        [said, f"{said} [0.1, 0.2] {said}"],
        ["[0.1, 0.2]", said],
        ["*", said],
    ]
    for command in (r"\\section\*", r"\\subsection\*", r"\\caption"):
        (first, *_) = re.findall(rf"{command}\{{(.*?)(?<!\\)\}}(?=\n|\\label)", tex)
        assert shown(first) == NASTY


def test_groups_and_environments_are_closed() -> None:
    tex = written(NASTY, NASTY)
    depth = 0
    for brace in re.sub(r"\\[\\{}]", "", tex):
        depth += (brace == "{") - (brace == "}")
        assert depth >= 0
    assert depth == 0
    assert (
        re.findall(r"\\begin\{(\w+)\}", tex) == ["longtable", "figure"] == re.findall(r"\\end\{(\w+)\}", tex)
    )
    assert "\n\n" not in tex.split("\\begin{longtable}")[1].split("\\end{longtable}")[0]
