"""The report as LaTeX, to be read in by another file: tables in booktabs, figures as PDF."""

from __future__ import annotations

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
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "±": r"$\pm$",
    "·": r"$\cdot$",
}
HEAD = "% Needs \\usepackage{booktabs,longtable,graphicx}; figures lie in figures/.\n"
MARKS = {"best": r"\textbf{%s}", "second": r"\underline{%s}"}


def text(document: Document) -> str:
    """The whole report."""
    parts = [f"{HEAD}\\section*{{{escaped(document.title)}}}", escaped(document.lead)]
    for section in document.sections:
        parts += [f"\\subsection*{{{escaped(section.title)}}}", *(_part(part) for part in section.parts)]
    return "\n\n".join(parts) + "\n"


def escaped(words: str) -> str:
    """Words as LaTeX shows them."""
    return "".join(SPECIAL.get(letter, letter) for letter in words)


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
    heads = " & ".join(map(escaped, grid.heads))
    rows = [
        " & ".join(_cell(grid, row, column) for column in range(len(grid.heads)))
        for row in range(len(grid.rows))
    ]
    body = "".join(f"{row} \\\\\n" for row in rows)
    return (
        f"{{\\scriptsize\\begin{{longtable}}{{{'l' * len(grid.heads)}}}\n\\caption{{{escaped(grid.caption)}}}"
        f"\\label{{tab:{grid.name}}}\\\\\n\\toprule\n{heads} \\\\\n\\midrule\n\\endhead\n{body}\\bottomrule\n"
        "\\end{longtable}}"
    )


def _cell(grid: Grid, row: int, column: int) -> str:
    first, _, below = grid.rows[row][column].partition("\n")
    shown = MARKS.get(grid.marks.get((row, column), ""), "%s").replace("%s", escaped(first))
    return f"{shown} {escaped(below)}".rstrip()
