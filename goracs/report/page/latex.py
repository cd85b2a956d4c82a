"""The report as LaTeX, to be read in by another file: tables in booktabs, figures as PDF.

Letters that have no meaning of their own are left as they are: pdfLaTeX knows Latin ones alone. No engine
has read it in the tests, which take it apart by LaTeX's rules.
"""

from __future__ import annotations

import re

from goracs import harmless
from goracs.report.page.document import Chart, Document, Grid, Part, Text

SPECIAL = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "`": r"\textasciigrave{}",
    "|": r"\textbar{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "±": r"$\pm$",
    "·": r"$\cdot$",
}
JOINED = re.compile(r"([-',])(?=\1)")  # two that fonts draw as one letter, as in --store
HEAD = "% Needs \\usepackage{booktabs,longtable,graphicx,textcomp}; figures lie in figures/.\n"
MARKS = {"best": r"\textbf{%s}", "second": r"\underline{%s}"}


def text(document: Document) -> str:
    """The whole report."""
    parts = [f"{HEAD}\\section*{{{escaped(document.title)}}}", escaped(document.lead)]
    for section in document.sections:
        parts += [f"\\subsection*{{{escaped(section.title)}}}", *(_part(part) for part in section.parts)]
    return "\n\n".join(parts) + "\n"


def escaped(words: str) -> str:
    """Words as LaTeX shows them."""
    shown = "".join(SPECIAL.get(letter, letter) for letter in harmless.shown(words))
    return JOINED.sub(r"\1{}", shown)


def _part(part: Part) -> str:
    if isinstance(part, Text):
        return escaped(part.words)
    if isinstance(part, Chart):
        return (
            f"\\begin{{figure}}[htbp]\\centering\n"
            f"\\includegraphics[width=\\linewidth]{{figures/{part.name}.pdf}}\n"
            f"\\caption{{{escaped(part.title)}}}\\label{{fig:{part.name}}}\n\\end{{figure}}"
        )
    return _grid(part)


def _grid(grid: Grid) -> str:
    heads = _begun(" & ".join(map(escaped, grid.heads)))
    rows = [
        " & ".join(_cell(grid, row, column) for column in range(len(grid.heads)))
        for row in range(len(grid.rows))
    ]
    body = "".join(f"{_begun(row)} \\\\\n" for row in rows)
    return (
        f"{{\\scriptsize\\begin{{longtable}}{{{'l' * len(grid.heads)}}}\n\\caption{{{escaped(grid.caption)}}}"
        f"\\label{{tab:{grid.name}}}\\\\\n\\toprule\n{heads} \\\\\n\\midrule\n\\endhead\n{body}\\bottomrule\n"
        "\\end{longtable}}"
    )


def _begun(row: str) -> str:
    """A row, so that no bracket or star of it is taken for an argument of what ended the one before."""
    return f"{{}}{row}" if row.startswith(("[", "*")) else row


def _cell(grid: Grid, row: int, column: int) -> str:
    first, _, below = grid.rows[row][column].partition("\n")
    shown = MARKS.get(grid.marks.get((row, column), ""), "%s").replace("%s", escaped(first))
    return f"{shown} {escaped(' '.join(below.split()))}".rstrip()
