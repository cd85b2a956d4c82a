"""The report of some runs: one document, written as a page, Markdown, LaTeX and CSV.

Each section is a file with `section(found) -> Section`; what a result lacks, it says in words. `document.py`
has the parts of a section, `gathered.py` reads the runs, `html.py`, `markdown.py`, `latex.py` and `csv.py`
write. Figures are Vega-Lite specifications (`charts.py`), drawn by Vega in the page, by vl-convert elsewhere.
"""
