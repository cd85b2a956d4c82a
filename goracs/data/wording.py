"""Columns of text from columns of titles: what the tasks' wordings are filled with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from string import Formatter

import polars as pl

from goracs.types import InvalidInput


def quoted(frame: pl.DataFrame, titles: pl.DataFrame) -> tuple[pl.Series, pl.DataFrame]:
    """The titles of the items of samples, in double quotes.

    Args:
        frame: item, history (list of items), history_liked (list of bool).
        titles: item, title of (at least) every item in `frame`.

    Returns: [len] the title of each row's item, and a table of all histories, oldest first: the number of
        the row (`sample`), title, liked.
    """
    kind = pl.Enum(titles["item"])
    marked = in_quotes(titles["title"])
    shown = (
        frame.select("history", "history_liked", sample=pl.int_range(pl.len(), dtype=pl.UInt32))
        .filter(pl.col("history").list.len() > 0)
        .explode("history", "history_liked")
    )
    named = shown.select("sample", title=_of(marked, shown["history"], kind), liked="history_liked")
    return _of(marked, frame["item"], kind), named


def in_quotes(titles: pl.Series) -> pl.Series:
    """Titles as prompts and answers have them."""
    return '"' + titles + '"'


def listed(shown: pl.DataFrame, rows: int, none_word: str) -> pl.Series:
    """[rows] the titles of each row in `shown`, separated by commas; `none_word` where it has none."""
    joined = shown.group_by("sample", maintain_order=True).agg("title")
    return (
        pl.DataFrame({"sample": pl.int_range(rows, dtype=pl.UInt32, eager=True)})
        .join(joined, on="sample", how="left", maintain_order="left")["title"]
        .list.join(", ")
        .fill_null(none_word)
    )


def filled(name: str, wording: str, parts: Mapping[str, pl.Expr]) -> pl.Expr:
    """A wording with its {placeholders} filled, as a column.

    Raises:
        InvalidInput: a placeholder that is not among the parts, or an unfinished one.
    """
    try:
        parsed = list(Formatter().parse(wording))
        pieces = [piece for text, *field in parsed for piece in _pieces(text, field, parts)]
    except (KeyError, ValueError) as error:
        known = " ".join(f"{{{part}}}" for part in parts)
        raise InvalidInput(
            f"task.{name} holds a placeholder that cannot be filled ({error}): it may use {known}; a brace "
            "that is meant as text is written twice."
        ) from error
    return pl.concat_str(pieces) if pieces else pl.lit("")


def _pieces(text: str, field: Sequence[str | None], parts: Mapping[str, pl.Expr]) -> list[pl.Expr]:
    name, form, conversion = field
    literal = [pl.lit(text)] if text else []
    if name is None:
        return literal
    if form or conversion:
        raise ValueError(f"{{{name}}} with a format of its own")
    return [*literal, parts[name]]


def _of(titles: pl.Series, items: pl.Series, kind: pl.Enum) -> pl.Series:
    return titles.gather(items.cast(kind).to_physical())
