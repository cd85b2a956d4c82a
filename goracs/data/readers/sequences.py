"""Ready next-item sets: three tables of sequences and a catalogue, as other projects publish them.

Format      text with a separator (csv, tsv and the like), compressed or not; columns are named in the
            configuration, or counted from 1 in a file whose first line names none. A row has a user, the
            items before (a list as Python, JSON or RecBole write it: [3, 14], ['a', 'b'] or 3 14) and the
            item that came next; the catalogue has an id and a title for each item.
Conventions the parts and the order of their rows are the files' own; a prompt shows the last `history` items.
            There are no ratings and no times.
Titles      entities and control characters become plain characters. An item without a title is left out of
            histories, and a row whose target has none is left out; both are counted.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import polars as pl
from polars.io.plugins import register_io_source

from goracs.data.filters import CONTROL, unescaped
from goracs.data.numbers import check_whole
from goracs.data.prepare import CHUNK, PARTS, Part, Prepared
from goracs.data.readers.delimited import TAB, Form, columns, counted, sniffed
from goracs.data.readers.events import plain_ids, refuse
from goracs.data.readers.kinds import is_text
from goracs.data.readers.raw import Rows, digest, found
from goracs.data.samples import subsample
from goracs.data.tasks import EXAMPLE, Ctr, Task
from goracs.types import InvalidInput

QUOTE = r"""["']"""
PLAIN = r"^\s*(\[[^\[\](){}|;]*\]|[^\[\](){}|;]*)\s*$"  # no quotes: brackets around all, or none
NONE: dict[str, Any] = {
    "time": None,
    "left_out": 0,
    "liked": None,
    "duplicates": None,
}  # of what there is not
FLOAT = r"^-?\d+\.0+$"
JUDGES = 0  # the seed by which validation and test rows are drawn: the same judge every pool


@dataclass(frozen=True)
class Columns:
    """What the columns are called: of the sequences, and `id` and `title` of the catalogue."""

    user: str | int
    history: str | int
    item: str | int
    id: str | int
    title: str | int


@dataclass(frozen=True, kw_only=True)
class Sequences:
    """Three files of sequences and one of items.

    Args:
        name: what tables call them.
        train, valid, test: paths of the parts; train is the pool.
        items: path of the catalogue.
        columns: what the columns are called.
        history: the most items that a prompt shows, >= 1.
        size: rows of the pool that are drawn from all of its rows, >= 1; None keeps all.
        seed: of that draw, >= 0.
        valid_size, test_size: the same of the other parts, whose draw has a seed of its own.
        items_separator: of the catalogue; `tab` is one too; None: the one of , ; tab | that fits.
        items_quotes: whether its values may stand in double quotes; False: a quote is part of a title.
        broken_lines: so many lines of a file that are not UTF-8 are read as Windows-1252, >= 0.
        notice: the terms of the data, shown where they are used.
    """

    files: ClassVar[tuple[str, ...]] = (*PARTS, "items")

    name: str
    train: str
    valid: str
    test: str
    items: str
    columns: Columns
    history: int
    size: int | None
    seed: int
    valid_size: int | None
    test_size: int | None
    items_separator: str | None
    items_quotes: bool
    broken_lines: int
    notice: str

    def __post_init__(self) -> None:
        check_whole("dataset.history", self.history, 1)
        check_whole("dataset.seed", self.seed, 0)
        for name in ("size", "valid_size", "test_size"):
            if getattr(self, name) is not None:
                check_whole(f"dataset.{name} (or null)", getattr(self, name), 1)

    def digests(self) -> dict[str, str]:
        """Name -> sha256 (hex) of each file; InvalidInput if one is missing."""
        return {name: digest(self.place(name)) for name in self.files}

    def place(self, name: str) -> Path:
        """One of the files; InvalidInput if it is missing."""
        return found(getattr(self, name), f"dataset.{name}")


def prepare(sequences: Sequences, task: Task) -> Prepared:
    """The examples of the three files, in their order; parts drawn.

    Raises:
        InvalidInput: a task that asks for likes, a missing or damaged file or column, a row without a user
            or an item, a history that is no list, an item listed twice, a part of which nothing is left.
    """
    _refuse_likes(sequences, task)
    items, cleaned = _catalogue(sequences)
    read = {part: _rows(sequences, part) for part in PARTS}
    titled = {part: _titled(rows.table, items.table) for part, rows in read.items()}
    _refuse_untitled(titled)
    _refuse_unknown(read, titled)
    seen = _seen([rows.table for rows in read.values()])
    catalogue = items.table.join(_touched(seen), on="item", how="semi", maintain_order="left")
    drawn = {part: _drawn(rows, part, sequences) for part, rows in titled.items()}
    counts = {
        **_sizes(seen, catalogue),
        "titles_cleaned": cleaned,
        "samples": sum(map(len, titled.values())),
        "pool": len(titled["train"]),
        "excluded": _told({part: _left_out(rows.table, catalogue) for part, rows in read.items()}),
        "noted": _told({part: rows.noted for part, rows in (read | {"items": items}).items()}),
        "splits": {part: _counts(rows) for part, rows in drawn.items()},
    }
    return Prepared(
        **{part: _examples(rows, task, catalogue, sequences.history) for part, rows in drawn.items()},
        catalogue=catalogue,
        seen=seen,
        statistics=NONE | counts,
    )


def item_lists(file: Path, name: str, texts: pl.Series) -> pl.Series:
    """[len] lists of ids; an empty one where there is no text.

    Raises:
        InvalidInput: a text that is no list of ids.
    """
    told = texts.fill_null("")
    if not told.str.contains(QUOTE).any():
        refuse(file, f"has a {name} that is no list", told, ~told.str.contains(PLAIN))
        lists = told.str.extract_all(r"[^\s,\[\]]+")
        whole = lists.explode().drop_nulls().str.contains(FLOAT).all()  # as items are written in such files
        return lists.list.eval(pl.element().str.replace(r"\.0+$", "")) if whole else lists
    lists = pl.Series([_literal(text) for text in told], dtype=pl.List(pl.String))
    refuse(file, f"has a {name} that is no list", told, lists.is_null())
    return lists


def _literal(text: str) -> list[str] | None:
    """Values of a list as Python and JSON write it, as texts; None where it is none."""
    try:
        values = ast.literal_eval(text) if text.strip() else []
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None
    if not isinstance(values, list) or not all(is_text(one) or isinstance(one, int) for one in values):
        return None
    return [str(value) for value in values]


def _rows(sequences: Sequences, part: str) -> Rows:
    """user, item, history of one part, in the file's order."""
    file, named = sequences.place(part), sequences.columns
    user, history, item = str(named.user), str(named.history), str(named.item)
    rows = _table(file, [user, history, item], sequences.broken_lines)
    table = rows.table.select(
        user=plain_ids(rows.table[user]),
        item=plain_ids(rows.table[item]),
        history=item_lists(file, history, rows.table[history]),
    )
    for name in ("user", "item"):
        refuse(file, f"has no {name}", table[name], table[name].fill_null("") == "")
    return rows._replace(table=table)


def _catalogue(sequences: Sequences) -> tuple[Rows, int]:
    """item, title of every item that has one, in the file's order; how many had control characters."""
    file, named = sequences.place("items"), sequences.columns
    key, title = str(named.id), str(named.title)
    separator = sequences.items_separator or sniffed(file, [key, title])
    form = Form("\t" if separator in TAB else separator, None, sequences.items_quotes)
    rows = _table(file, [key, title], sequences.broken_lines, form)
    ids, titles = plain_ids(rows.table[key]), unescaped(rows.table[title])
    refuse(file, f"has no {key}", ids, ids.fill_null("") == "")
    refuse(file, f"repeats a {key}", ids, ~ids.is_first_distinct())
    plain = titles.str.replace_all(CONTROL, " ").str.strip_chars()
    table = pl.DataFrame({"item": ids, "title": plain}).filter(pl.col("title").fill_null("") != "")
    return rows._replace(table=table), int(titles.str.contains(CONTROL).sum())


def _table(file: Path, wanted: list[str], broken_lines: int, form: Form | None = None) -> Rows:
    """Texts of the wanted columns; of a given form, else of the one that the first line has."""
    form = form or Form(sniffed(file, wanted), None)
    if all(name.isdecimal() for name in wanted):
        form = counted(file, form.separator, form.quotes)
    return columns(file, form, dict.fromkeys(wanted, pl.String()), broken_lines, None)


def _titled(rows: pl.DataFrame, catalogue: pl.DataFrame) -> pl.DataFrame:
    """Rows whose target has a title, their histories without items that have none."""
    kept = rows.join(catalogue, on="item", how="semi", maintain_order="left").with_row_index("row")
    shown = kept.select("row", item="history").filter(pl.col("item").list.len() > 0).explode("item")
    known = shown.join(catalogue, on="item", how="semi", maintain_order="left")
    histories = known.group_by("row", maintain_order=True).agg(history="item")
    joined = kept.drop("history").join(histories, on="row", how="left", maintain_order="left")
    return joined.with_columns(pl.col("history").fill_null([])).drop("row")


def _left_out(rows: pl.DataFrame, catalogue: pl.DataFrame) -> dict[str, int]:
    """Why -> how many rows, or items of histories."""
    items = rows.select(item=pl.col("history").explode()).drop_nulls()
    counts = {
        "target without a title": len(rows.join(catalogue, on="item", how="anti")),
        "item of a history without a title": len(items.join(catalogue, on="item", how="anti")),
    }
    return {why: count for why, count in counts.items() if count}


def _seen(parts: list[pl.DataFrame]) -> pl.DataFrame:
    """user, items: all targets and all items of histories of a user."""
    both = pl.col("history").list.concat(pl.concat_list("item"))
    rows = pl.concat(parts).select("user", items=both).explode("items")
    return rows.group_by("user", maintain_order=True).agg(pl.col("items").unique(maintain_order=True))


def _touched(seen: pl.DataFrame) -> pl.DataFrame:
    """item: all that anybody touched, each once."""
    return seen.select(item=pl.col("items").explode()).unique()


def _sizes(seen: pl.DataFrame, catalogue: pl.DataFrame) -> dict[str, Any]:
    """There is no log: what stands for its events is what each user is known to have touched."""
    pairs = int(seen["items"].list.len().sum())
    sizes = {"events": pairs, "users": len(seen), "items": len(catalogue)}
    return {**sizes, "kept": sizes}


def _told(counts: Mapping[str, Mapping[str, int]]) -> dict[str, int]:
    return {f"{part}: {why}": count for part, told in counts.items() for why, count in told.items()}


def _refuse_likes(sequences: Sequences, task: Task) -> None:
    if isinstance(task, Ctr):
        raise InvalidInput(
            f"the data set {sequences.name} has no ratings, so nobody can say which targets were liked, and "
            "task=ctr asks just that: take task=seqrec."
        )


def _refuse_unknown(read: Mapping[Part, Rows], titled: Mapping[Part, pl.DataFrame]) -> None:
    there = any(rows.table["history"].list.len().sum() for rows in read.values())
    if there and not any(rows["history"].list.len().sum() for rows in titled.values()):
        raise InvalidInput(
            "no item of any history has a title in dataset.items: are dataset.columns.history and .id the "
            "same ids?"
        )


def _refuse_untitled(parts: Mapping[Part, pl.DataFrame]) -> None:
    for part, rows in parts.items():
        if rows.is_empty():
            raise InvalidInput(
                f"no row of dataset.{part} has a target with a title in dataset.items: are "
                "dataset.columns.item and .id the same ids?"
            )


def _drawn(rows: pl.DataFrame, part: str, sequences: Sequences) -> pl.DataFrame:
    if part == "train":
        return subsample(rows, sequences.size, "uniform", sequences.seed)
    size: int | None = getattr(sequences, f"{part}_size")
    if size is not None and size > len(rows):
        raise InvalidInput(
            f"dataset.{part}_size is {size}, but the part has {len(rows)} rows: ask for fewer."
        )
    return subsample(rows, size, "uniform", JUDGES)


def _examples(rows: pl.DataFrame, task: Task, titles: pl.DataFrame, longest: int) -> pl.LazyFrame:
    """Worded when they are collected or written, a chunk at a time."""
    history = pl.col("history").list.tail(longest)
    frame = rows.select(
        "user",
        "item",
        history.alias("history"),
        time=pl.lit(0, pl.Int64),
        liked=pl.lit(None, pl.Boolean),
        history_liked=pl.lit(None, pl.Boolean).repeat_by(history.list.len()),
    )

    def chunks(*_: Any) -> Iterator[pl.DataFrame]:
        for part in frame.iter_slices(CHUNK):
            yield task.examples(part, titles)

    return register_io_source(chunks, schema=EXAMPLE)


def _counts(rows: pl.DataFrame) -> dict[str, Any]:
    bare = {"liked": None, "tied": None, "first": None, "last": None}
    return {"samples": len(rows), "users": rows["user"].n_unique(), **bare}
