"""Ready prompts: both forms of alpaca files, their labels, and what is refused."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hydra.utils import instantiate
from omegaconf import OmegaConf

from goracs.data.prepare import PARTS, Prepared, read_examples, write
from goracs.data.readers.alpaca import PLAIN, Prompts, prepare
from goracs.types import InvalidInput

CONF = Path(__file__).parents[2] / "conf"
OPEN = Path(__file__).parents[3] / "shared" / "data" / "open" / "tallrec_movie"
YES = {"instruction": "Will they?", "input": 'Liked: "A"\nNext: ü', "output": "Yes."}
NO = {"instruction": "Will they?", "input": "", "output": "No"}


def task(name: str) -> Any:
    return instantiate(OmegaConf.load(CONF / "task" / f"{name}.yaml"))


def prompts(path: Path, rows: list[dict[str, Any]] | str, form: str = "array", **changes: Any) -> Prompts:
    content = rows if isinstance(rows, str) else json.dumps(rows)
    if form == "lines" and not isinstance(rows, str):
        content = "\n".join(map(json.dumps, rows))
    packed = gzip.compress(content.encode()) if form == "gz" else content.encode()
    for part in PARTS:
        (path / part).write_bytes(packed)
    places = {part: str(path / part) for part in PARTS}
    made: Prompts = instantiate(
        OmegaConf.merge(OmegaConf.load(CONF / "dataset" / "prompts.yaml"), places, changes)
    )
    return made


def rows(prepared: Prepared, *names: str) -> list[tuple[Any, ...]]:
    found: list[tuple[Any, ...]] = prepared.train.select(names).collect().rows()
    return found


@pytest.mark.parametrize("form", ["array", "lines", "gz"])
def test_both_forms_equal_the_prompts_in_file_order(tmp_path: Path, form: str) -> None:
    found = prepare(prompts(tmp_path, [YES, NO], form), task("ctr"))
    assert rows(found, "instruction", "input", "output") == [tuple(YES.values()), tuple(NO.values())]
    assert rows(found, "user", "item", "time", "label") == [("train 0", "", 0, 1), ("train 1", "", 0, 0)]
    assert found.statistics["splits"]["train"] | {"first": 0, "last": 0} == {
        "samples": 2, "liked": 1, "users": 2, "tied": None, "first": 0, "last": 0,
    }  # fmt: skip


def test_written_prompts_are_read_back_as_examples(tmp_path: Path) -> None:
    write(prepare(prompts(tmp_path, [YES, NO]), task("ctr")), tmp_path / "out")
    example = read_examples(tmp_path / "out", "test")[0]
    assert (example.input, example.label, example.history) == (YES["input"], 1, ())


@pytest.mark.parametrize(("given", "label"), [(1, 1), (0, 0), (True, 1), (False, 0), ("1", 1)])
def test_a_label_wins_over_the_output(tmp_path: Path, given: Any, label: int) -> None:
    found = prepare(prompts(tmp_path, [YES | {"label": given}, NO | {"label": given}]), task("ctr"))
    assert rows(found, "label") == [(label,), (label,)]


def test_another_task_has_the_files_labels_or_none(tmp_path: Path) -> None:
    assert rows(prepare(prompts(tmp_path, [YES]), task("seqrec")), "label") == [(None,)]
    assert rows(prepare(prompts(tmp_path, [YES | {"label": 7}]), task("seqrec")), "label") == [(7,)]


def test_a_row_without_input_has_an_empty_one_and_may_name_its_user(tmp_path: Path) -> None:
    bare = {"instruction": "a", "output": "Yes", "user": 5}
    assert rows(prepare(prompts(tmp_path, [bare]), task("ctr")), "user", "input") == [("5", "")]


def test_the_pool_is_drawn_by_size_and_seed(tmp_path: Path) -> None:
    many = [YES | {"input": str(k)} for k in range(50)]
    drawn = [prepare(prompts(tmp_path, many, size=10, seed=seed), task("ctr")) for seed in (0, 0, 1)]
    first, again, other = ([int(text) for (text,) in rows(one, "input")] for one in drawn)
    assert first == again == sorted(first)
    assert len(first) == 10 != len(set(first) & set(other))
    assert drawn[0].statistics["pool"] == 50
    assert drawn[0].statistics["splits"]["valid"]["samples"] == 50


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (
            [YES, {"instruction": "a", "output": ""}],
            r"train has no output in 1 of its 2 rows, first in row 2",
        ),
        ([{"instruction": "", "output": "Yes"}], "has no instruction in 1 "),
        ([YES, NO | {"output": "Maybe"}], r"neither Yes nor No \(task\.answer_yes .*row 2: 'Maybe'"),
        ([YES | {"label": 2}], "a label other than 0 and 1 in 1 .*: '2'"),
        ([YES | {"label": "x"}], "a label that is no whole number in 1 .*: 'x'"),
        ([YES | {"label": 1}, NO], "has no label, though others have, in 1 .*row 2"),
        ([], "train holds no prompt"),
        ("[{]", r"train is no JSON array of objects with instruction, output: .*line 1"),
        ("[5]", "is no JSON array of objects"),
        ('{"instruction": "a"}', "has no line with output: its first one has the fields instruction"),
    ],
)
def test_wrong_prompts_are_refused(tmp_path: Path, content: Any, match: str) -> None:
    with pytest.raises(InvalidInput, match=match):
        prepare(prompts(tmp_path, content), task("ctr"))


def test_a_table_of_something_else_is_refused_at_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    content = "user,item,rating\n" + "1,2,3\n" * 20
    with pytest.raises(InvalidInput, match="neither JSON nor a table with the columns"):
        prepare(prompts(tmp_path, content), task("ctr"))
    assert not caplog.records


def test_labels_in_one_file_only_are_refused(tmp_path: Path) -> None:
    made = prompts(tmp_path, [YES])
    (tmp_path / "test").write_text(json.dumps([YES | {"label": 1}]))
    with pytest.raises(InvalidInput, match=r"dataset\.train has no labels but another part has"):
        prepare(made, task("seqrec"))


def test_answers_that_are_to_be_turned_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"task\.flipped=0\.5 turns answers that come of ratings"):
        prepare(prompts(tmp_path, [YES]), replace(task("ctr"), flipped=0.5))


def test_a_broken_line_is_counted(tmp_path: Path) -> None:
    content = f"{json.dumps(YES)}\n{{\n{json.dumps(NO)}"
    found = prepare(prompts(tmp_path, content), task("ctr"))
    assert found.statistics["excluded"] == {f"{part}: broken line (the first: 2)": 1 for part in PARTS}
    assert found.statistics["samples"] == 6


DIALOGUE: dict[str, Any] = YES | {
    "system": "Be brief.",
    "history": [["Hello, you", 'He said "hi"'], ["Two\nlines", "ü"]],
}


def table(form: str) -> str:
    """YES, DIALOGUE and NO as a table."""
    bare: dict[str, Any] = {"history": None, "system": None}
    texts = [bare | YES, DIALOGUE, bare | NO]
    packed = [row | {"history": row["history"] and json.dumps(row["history"])} for row in texts]
    frame = pl.DataFrame(packed).select("output", "input", "system", "history", "instruction")
    return frame.write_csv(separator=form)


@pytest.mark.parametrize("form", ["array", "lines", "gz", ",", ";", "\t"])
def test_system_and_history_are_kept_in_every_form(tmp_path: Path, form: str) -> None:
    objects: list[dict[str, Any]] = [YES, DIALOGUE, NO | {"history": []}]
    content = table(form) if len(form) == 1 else objects
    write(prepare(prompts(tmp_path, content, form), task("ctr")), tmp_path / "out")
    bare, example, other = read_examples(tmp_path / "out", "train")
    assert example.system == "Be brief."
    assert example.turns == (("Hello, you", 'He said "hi"'), ("Two\nlines", "ü"))
    assert [(one.system, one.turns) for one in (bare, other)] == [("", ()), ("", ())]
    assert (bare.input, bare.output, other.input) == (YES["input"], "Yes.", "")


@pytest.mark.parametrize("history", [[["only a query"]], [["a", "b", "c"]], [["a", None]], [["a", "b"], []]])
def test_a_history_that_is_no_list_of_pairs_is_refused(tmp_path: Path, history: Any) -> None:
    wrong = [DIALOGUE, YES | {"history": history}]
    for form in ("array", "lines"):
        with pytest.raises(InvalidInput, match=r"a history that is no list of pairs.* in 1 of its 2 .*row 2"):
            prepare(prompts(tmp_path, wrong, form), task("ctr"))


@pytest.mark.parametrize("history", ["hello", '"{""a"": 1}"', '"[[""a"", "'])
def test_a_table_with_a_history_that_is_no_json_is_refused(tmp_path: Path, history: str) -> None:
    content = f'instruction,output,history\na,Yes,\na,Yes,"[[""q"", ""r""]]"\na,Yes,{history}\n'
    match = r"a history that is no JSON list of pairs, as in \[\[\"query.* in 1 of its 3 .*row 3: [^\n]*$"
    with pytest.raises(InvalidInput, match=match):
        prepare(prompts(tmp_path, content), task("ctr"))


def test_a_table_needs_no_more_than_instruction_and_output(tmp_path: Path) -> None:
    content = "Output; INSTRUCTION ;note\nYes;a, b;x\nNo;c;y"
    found = prepare(prompts(tmp_path, content), task("ctr"))
    assert rows(found, "instruction", "input", "output") == [("a, b", "", "Yes"), ("c", "", "No")]
    assert found.statistics["noted"] == {}  # the column that may be cut is not read


def test_a_table_whose_last_answer_may_be_cut_says_so(tmp_path: Path) -> None:
    found = prepare(prompts(tmp_path, "instruction,output\na,Yes\nc,No"), task("ctr"))
    told = "last row without a line end, taken as whole"
    assert found.statistics["noted"] == {f"{part}: {told}": 1 for part in PARTS}


@pytest.mark.skipif(not OPEN.is_dir(), reason="shared data are not here")
def test_tallrecs_answers_equal_its_published_counts() -> None:
    places = {part: str(OPEN / "valid.json") for part in PARTS} | {"test": str(OPEN / "test.json")}
    config = OmegaConf.merge(OmegaConf.load(CONF / "dataset" / "prompts.yaml"), places)
    splits = prepare(instantiate(config), task("ctr")).statistics["splits"]
    assert [(splits[part]["samples"], splits[part]["liked"]) for part in ("valid", "test")] == [
        (1000, 658),
        (1000, 528),
    ]


def test_a_history_of_another_form_is_named_where_its_line_is_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """ShareGPT's messages for one: it is not the texts beside them that are wrong."""
    rows: list[dict[str, Any]] = [YES, YES | {"history": [{"role": "user", "content": "Hello"}]}]
    prepare(prompts(tmp_path, rows, "lines"), task("ctr"))
    assert "line 2 is left out: it has a value of the wrong type in history:" in caplog.text


@pytest.mark.parametrize("form", ["array", "lines"])
def test_a_field_in_two_spellings_is_refused_and_one_that_comes_later_is_read(
    tmp_path: Path, form: str
) -> None:
    """The first object alone never says how the others write a field."""
    told = json.dumps({"System": "in a text"})
    later: list[dict[str, Any]] = [YES | {"meta": {"INPUT": 1}, "note": told}, NO | {"System ": "Be brief."}]
    found = prepare(prompts(tmp_path, later, form), task("ctr"))
    assert rows(found, "system", "input") == [("", YES["input"]), ("Be brief.", "")]
    for other in ({"System": "x"}, {"SYSTEM": "x", "system": "y"}, {"system:token": "x"}):
        content = [YES | {"system": "a"}, NO | other]
        with pytest.raises(
            InvalidInput, match=r"^\S+train writes the field system in two ways, 'system' and '"
        ):
            prepare(prompts(tmp_path, content, form), task("ctr"))
    with pytest.raises(InvalidInput, match="the field history in two ways, 'History' and 'HISTORY'"):
        prepare(prompts(tmp_path, [YES | {"History": [], "HISTORY": [["a", "b"]]}], form), task("ctr"))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *[(name, value) for name in PLAIN for value in (["a"], {"a": "b"}, True, 5, 1.5)],
        *[(name, value) for name in ("user", "label") for value in ([1], {"a": 1})],
    ],
)
def test_a_value_that_is_no_text_is_never_taken_as_its_json(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, field: str, value: Any
) -> None:
    bare: dict[str, Any] = {"label": 1, "meta": {field: value}, "note": json.dumps({field: value})}
    wrong = [YES | bare, YES | bare | {field: value}, NO | {"label": True, "user": 7}]
    found = prepare(prompts(tmp_path, wrong, "lines"), task("ctr"))
    assert f"line 2 is left out: it has a value of the wrong type in {field}: " in caplog.text
    assert found.statistics["excluded"] == {f"{part}: broken line (the first: 2)": 1 for part in PARTS}
    assert rows(found, "input", "output", "user") == [(*list(YES.values())[1:], "train 0"), ("", "No", "7")]
    with pytest.raises(
        InvalidInput, match=rf"^\S+train has a value of the wrong type in {field} of its object 2: "
    ):
        prepare(prompts(tmp_path, wrong), task("ctr"))
