"""Ready prompts: three alpaca files, for who only wants a coreset of them, the fine-tune and Yes/No answers.

Format   a JSON array of objects, JSON lines, or a table whose first line names its columns (as in CSV),
         compressed or not. A row has instruction and output (texts), and may have input (a text; none is an
         empty one), label (a whole number, true or false), user (an id: intervals are over users; without it
         every row is its own), system (a text) and history (a list of pairs, query and response; in a table
         as JSON): `goracs.data.prompts` says how they are shown.
Labels   where every object has one they are taken. Where none has, a task with answers takes them from the
         outputs: blanks around them and one full stop at the end do not count. Other tasks then have none.
Items    there are none, nor times or histories: next-item evaluation needs a data set of interactions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import polars as pl

from goracs.data.numbers import check_whole
from goracs.data.prepare import PARTS, Prepared
from goracs.data.readers.delimited import Form, columns, header, sniffed
from goracs.data.readers.encoding import shown
from goracs.data.readers.events import refuse
from goracs.data.readers.lines import json_rows
from goracs.data.readers.names import matched
from goracs.data.readers.raw import Rows, digest, found, head
from goracs.data.samples import subsample
from goracs.data.tasks import EXAMPLE, Ctr, Task
from goracs.types import InvalidInput

TEXTS = ("instruction", "input", "output", "label", "user", "system")
TURNS = EXAMPLE["turns"]
FIELDS: dict[str, pl.DataType] = {**dict.fromkeys(TEXTS, pl.String()), "history": TURNS}
PLAIN = ("instruction", "input", "output", "system")  # texts, never numbers
NEEDED = ("instruction", "output")
CLASSES = {"true": "1", "false": "0"}
BARE = {"tied": None, "first": None, "last": None}  # of a part without times


@dataclass(frozen=True, kw_only=True)
class Prompts:
    """Three files of ready prompts.

    Args:
        name: what tables call them.
        train: path of the pool.
        valid, test: paths of the validation and of the test set.
        size: rows of the pool that are drawn from all of its rows, >= 1; None keeps all.
        seed: of that draw, >= 0.
        broken_lines: so many broken lines of a file of JSON lines may be left out, and so many that are not
            UTF-8 read as Windows-1252, >= 0.
        notice: the terms of the data, shown where they are used.
    """

    files: ClassVar[tuple[str, ...]] = PARTS

    name: str
    train: str
    valid: str
    test: str
    size: int | None
    seed: int
    broken_lines: int
    notice: str

    def __post_init__(self) -> None:
        if self.size is not None:
            check_whole("dataset.size (or null)", self.size, 1)
        check_whole("dataset.seed", self.seed, 0)

    def digests(self) -> dict[str, str]:
        """Part -> sha256 (hex) of its file; InvalidInput if one is missing."""
        return {part: digest(file) for part, file in self.places().items()}

    def places(self) -> dict[str, Path]:
        """Part -> its file; InvalidInput if one is missing."""
        return {part: found(getattr(self, part), f"dataset.{part}") for part in PARTS}


def prepare(prompts: Prompts, task: Task) -> Prepared:
    """The examples of the three files, in their order; the pool drawn.

    Raises:
        InvalidInput: a missing or damaged file, a row without a text, labels that are on some rows only, or
            an output that is no answer of a task that has answers, or answers that are to be turned.
    """
    if isinstance(task, Ctr) and task.flipped:
        raise InvalidInput(
            f"task.flipped={task.flipped} turns answers that come of ratings, and ready prompts bring their "
            "own: turn them in the file."
        )
    parts, excluded, noted = dict[str, pl.DataFrame](), dict[str, int](), dict[str, int]()
    for part, file in prompts.places().items():
        rows = _rows(file, prompts.broken_lines)
        parts[part] = _examples(file, part, rows.table, task)
        excluded |= {f"{part}: {why}": count for why, count in rows.left_out.items()}
        noted |= {f"{part}: {why}": count for why, count in rows.noted.items()}
    _refuse_half_labelled(parts)
    whole = pl.concat(parts.values())
    pool = len(parts["train"])
    parts["train"] = subsample(parts["train"], prompts.size, "uniform", prompts.seed)
    return Prepared(
        **{part: rows.lazy() for part, rows in parts.items()},
        catalogue=pl.DataFrame(schema={"item": pl.String(), "title": pl.String()}),
        seen=pl.DataFrame(schema={"user": pl.String(), "items": pl.List(pl.String())}),
        statistics={
            "events": 0,
            "items": 0,
            "kept": {"events": 0, "users": 0, "items": 0},
            "titles_cleaned": 0,
            "time": None,
            "left_out": 0,
            **_counts(whole),
            "pool": pool,
            "excluded": excluded,
            "noted": noted,
            "duplicates": None,
            "splits": {part: {**_counts(rows), **BARE} for part, rows in parts.items()},
        },
    )


def _rows(file: Path, broken_lines: int) -> Rows:
    form = None if head(file).lstrip().startswith((b"[", b"{")) else _form(file)
    if form is None:
        _refuse_other(file)
        return json_rows(file, FIELDS, NEEDED, broken_lines, PLAIN)
    there = [name for name in FIELDS if name in matched(FIELDS, header(file, form))]
    rows = columns(file, form, dict.fromkeys(there, pl.String()), broken_lines, None)
    missing = [pl.lit(None, pl.String()).alias(name) for name in FIELDS if name not in there]
    table = rows.table.with_columns(missing)
    return rows._replace(table=table.with_columns(history=_decoded(file, table["history"])))


def _refuse_other(file: Path) -> None:
    """Refuse what holds no object of JSON, before each of its lines is told as a broken one."""
    start = head(file).strip()
    if start and not start.startswith(b"[") and b"{" not in start:
        first = start.partition(b"\n")[0].decode(errors="replace")
        raise InvalidInput(
            f"{file} is neither JSON nor a table with the columns {' and '.join(NEEDED)}: its first line is "
            f"{shown(first)}. Name its columns so; for a log of ratings take dataset=interactions."
        )


def _form(file: Path) -> Form | None:
    """How a table of prompts is written; None if the file is none."""
    form = Form(sniffed(file, NEEDED), None)
    return form if head(file).strip() and len(matched(NEEDED, header(file, form))) == len(NEEDED) else None


def _decoded(file: Path, texts: pl.Series) -> pl.Series:
    """[len] lists of pairs that texts hold as JSON; null where there is no text."""
    told = pl.select(pl.when(texts.str.strip_chars() != "").then(texts)).to_series()
    try:
        return told.str.json_decode(TURNS)
    except pl.exceptions.PolarsError:
        wrong = pl.Series([not _decodes(text) for text in told])
        fault = 'has a history that is no JSON list of pairs, as in [["query", "response"]],'
        refuse(file, fault, told, wrong)
        raise  # only where together they do not read, though each does


def _decodes(text: str | None) -> bool:
    try:
        pl.Series([text], dtype=pl.String()).str.json_decode(TURNS)
    except pl.exceptions.PolarsError:
        return False
    return True


def _examples(file: Path, part: str, rows: pl.DataFrame, task: Task) -> pl.DataFrame:
    if rows.is_empty():
        raise InvalidInput(f"{file} holds no prompt: every part needs one.")
    for name in NEEDED:
        refuse(file, f"has no {name}", rows[name], rows[name].fill_null("") == "")
    pair = (pl.element().list.len() == 2) & (pl.element().list.eval(pl.element().is_not_null()).list.all())
    paired = rows["history"].list.eval(pair).list.all()
    fault = "has a history that is no list of pairs, query and response,"
    refuse(file, fault, rows["instruction"], ~paired.fill_null(value=True))
    own = pl.format("{} {}", pl.lit(part), pl.int_range(pl.len()))
    return rows.select(
        user=pl.col("user").fill_null(own),
        item=pl.lit(""),
        time=pl.lit(0, pl.Int64),
        label=_labels(file, rows, task),
        history=pl.lit([], pl.List(pl.String())),
        history_liked=pl.lit([], pl.List(pl.Boolean())),
        instruction="instruction",
        input=pl.col("input").fill_null(""),
        output="output",
        system=pl.col("system").fill_null(""),
        turns=pl.col("history").fill_null([]),
    ).cast(EXAMPLE)


def _labels(file: Path, rows: pl.DataFrame, task: Task) -> pl.Series:
    """[len] i64: the file's own labels or those its outputs say; all null where there are neither."""
    given = rows["label"]
    if given.null_count() < len(given):
        refuse(file, "has no label, though others have,", rows["output"], given.is_null())
        labels = given.replace(CLASSES).cast(pl.Int64, strict=False)
        refuse(file, "has a label that is no whole number", given, labels.is_null())
        if isinstance(task, Ctr):
            refuse(file, "has a label other than 0 and 1", given, ~labels.is_between(0, 1))
        return labels
    if not isinstance(task, Ctr):
        return given.cast(pl.Int64)
    answers = {task.answer_no: 0, task.answer_yes: 1}
    said = rows["output"].str.strip_chars().str.strip_suffix(".")
    labels = said.replace_strict(answers, default=None, return_dtype=pl.Int64)
    answers_are = f"{task.answer_yes} nor {task.answer_no} (task.answer_yes and answer_no)"
    refuse(file, f"has an output that is neither {answers_are}", rows["output"], labels.is_null())
    return labels


def _refuse_half_labelled(parts: Mapping[str, pl.DataFrame]) -> None:
    bare = [part for part, rows in parts.items() if rows["label"].null_count()]
    if bare and len(bare) < len(parts):
        raise InvalidInput(f"dataset.{bare[0]} has no labels but another part has: give all three, or none.")


def _counts(rows: pl.DataFrame) -> dict[str, Any]:
    liked = None if rows["label"].null_count() else int((rows["label"] == 1).sum())
    return {"samples": len(rows), "liked": liked, "users": rows["user"].n_unique()}
