"""What a file of somebody else's can do here: run nothing, leave its folder never, fill nothing up."""

from __future__ import annotations

import ast
import bz2
import gzip
import json
import lzma
import pickle
import re
import zlib
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

import goracs
from goracs.commands import export, recommend, report, table, verify
from goracs.config import build, composed
from goracs.data.readers import packed, raw
from goracs.data.readers.delimited import Form, columns
from goracs.data.readers.lines import json_lines, text_lines
from goracs.data.readers.raw import head, source, unpacked
from goracs.finished import Finished
from goracs.foreign import refuse_foreign
from goracs.llm import saved_adapter
from goracs.llm.resume import FILE, _read
from goracs.llm.rows import _is_whole
from goracs.report import model_card
from goracs.report.page import html, latex
from goracs.report.page import markdown as report_markdown
from goracs.report.page.document import Document, Grid, Section, Text
from goracs.report.results import read_results
from goracs.search.watch import Watch
from goracs.store import Store
from goracs.types import GoracsError, InvalidInput
from tests.unit.test_raw import zstd
from tests.unit.test_results import BACKBONE, result, save, tuned

PACKAGE = Path(goracs.__file__).parent


class Bomb:
    """Unpickled, it makes a file."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.mark,)


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    return tmp_path / "ran"


@pytest.fixture
def bomb(mark: Path) -> bytes:
    """Seen to go off."""
    packed = pickle.dumps(Bomb(mark), protocol=2)  # that of torch
    pickle.loads(packed)
    assert mark.exists()
    mark.unlink()
    return packed


def npy(file: Path, mark: Path) -> None:
    np.save(file, np.array([Bomb(mark)], object), allow_pickle=True)


def adapter_folder(folder: Path) -> Path:
    folder.mkdir()
    told = {"peft_type": "LORA", "r": 2, "lora_alpha": 4, "target_modules": ["q_proj"]}
    (folder / saved_adapter.CONFIG).write_text(json.dumps(told))
    return folder


@pytest.mark.parametrize("name", saved_adapter.WEIGHTS)
def test_weights_of_an_adapter_run_nothing(tmp_path: Path, mark: Path, bomb: bytes, name: str) -> None:
    folder = adapter_folder(tmp_path / "adapter")
    (folder / name).write_bytes(bomb)
    with pytest.raises(GoracsError, match="cannot be read as weights"):
        saved_adapter.read(folder)
    torch.save({"a.lora_A.weight": Bomb(mark)}, folder / name)  # as torch packs it
    with pytest.raises(GoracsError, match="cannot be read as weights"):
        saved_adapter.read(folder)
    assert not mark.exists()


def test_what_an_interrupted_run_kept_runs_nothing(tmp_path: Path, mark: Path, bomb: bytes) -> None:
    np.savez(tmp_path / "0.npz", allow_pickle=True, rows=np.array([Bomb(mark)], object))
    assert Watch(tmp_path / "0.npz").load() is None
    (tmp_path / "1.npz").write_bytes(bomb)
    assert Watch(tmp_path / "1.npz").load() is None
    npy(tmp_path / "pool.npy", mark)
    assert not _is_whole(tmp_path / "pool.npy", (1,))
    (tmp_path / FILE).write_bytes(bomb)
    with pytest.raises(Exception, match=r"."):
        _read(tmp_path / FILE)
    assert not mark.exists()


def test_an_array_of_the_store_runs_nothing(tmp_path: Path, mark: Path) -> None:
    npy(tmp_path / "indices.npy", mark)
    with pytest.raises(ValueError, match="allow_pickle=False"):
        np.load(tmp_path / "indices.npy")
    assert not mark.exists()


ALLOWED = {("llm/ranks.py", "cloudpickle.loads")}  # from one's own process, never from a file


def test_nothing_in_the_code_unpickles_a_file_or_runs_text() -> None:
    """`np.load` without allow_pickle, `torch.load` with weights_only, no pickle, shelve, eval, exec, yaml."""
    found = set()
    for file in PACKAGE.rglob("*.py"):
        for call in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not isinstance(call, ast.Call):
                continue
            name, given = ast.unparse(call.func), {one.arg: ast.unparse(one.value) for one in call.keywords}
            unsafe = name in ("eval", "exec", "os.system", "yaml.load", "pl.read_ipc_pickle")
            unsafe |= name == "np.load" and given.get("allow_pickle", "False") != "False"
            unsafe |= name == "torch.load" and given.get("weights_only") != "True"
            unsafe |= bool(re.match(r"(pickle|cloudpickle|dill|joblib|shelve|marshal)\.(loads?|open)$", name))
            unsafe |= given.get("shell") == "True"
            if unsafe:
                found.add((str(file.relative_to(PACKAGE)), name))
    assert found == ALLOWED


@pytest.mark.parametrize("name", ["x.csv", "x.jsonl", "x.parquet", "x.gz", "x.zst", "x.dat"])
def test_data_run_nothing(tmp_path: Path, mark: Path, bomb: bytes, name: str) -> None:
    file = tmp_path / name
    file.write_bytes(gzip.compress(bomb) if name.endswith("gz") else bomb)
    with pytest.raises(InvalidInput):
        build(composed([
            "dataset=interactions", f"dataset.interactions={file}", "dataset.items=null",
        ]))["dataset"].read()  # fmt: skip
    assert not mark.exists()


@pytest.fixture
def small_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed, "ROOM", 1 << 20)
    monkeypatch.setattr(raw, "BLOCK", 1 << 18)


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress, "zst": zstd,
}  # fmt: skip
READERS: dict[str, Callable[[Path], object]] = {
    "unpacked": unpacked,
    "the engine": lambda file: text_lines(file, 0, line=pl.col("line")),
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("packer", PACKERS)
@pytest.mark.usefixtures("small_room")
def test_a_small_file_does_not_unpack_to_a_large_one(tmp_path: Path, packer: str, reader: str) -> None:
    file = tmp_path / "x"
    file.write_bytes(PACKERS[packer](b"a,b\n" * (1 << 20)))
    with pytest.raises(InvalidInput, match=r"holds more than \d+ MiB in [\d,]+ bytes: .* unpack it and name"):
        READERS[reader](file)


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("twice", [("zlib",), *product(("gz", "bz2", "xz"), ("zlib", "gz", "zst"))])
def test_what_is_packed_otherwise_is_not_unpacked_behind_the_limit(
    tmp_path: Path, twice: tuple[str, ...], reader: str
) -> None:
    """The engine unpacks by itself whatever begins so, also what was unpacked before it got it."""
    content, file = b'{"a": 1}\n' * 9, tmp_path / "x"
    for packer in reversed(twice):
        content = {**PACKERS, "zlib": zlib.compress}[packer](content)
    file.write_bytes(content)
    with pytest.raises(
        InvalidInput, match=r"begins as what zlib or a second packer makes|is not text in UTF-8"
    ):
        READERS[reader](file)


@pytest.mark.parametrize("pack", [zlib.compress, gzip.compress, zstd])
def test_a_line_that_is_packed_is_a_broken_line(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    file, types = tmp_path / "x", {"a": pl.Int64()}
    file.write_bytes(b'{"a": 1}\n' + pack(b'{"a": 2}').replace(b"\n", b" ") + b'\n{"a": 3}\n')
    found = json_lines(file, types, ["a"], 1)
    assert found.table["a"].to_list() == [1, 3]
    assert found.left_out == {"broken line (the first: 2)": 1}


@pytest.mark.parametrize("packer", PACKERS)
@pytest.mark.usefixtures("small_room")
def test_text_that_packs_well_is_read(tmp_path: Path, packer: str) -> None:
    rng = np.random.default_rng(0)
    text = "\n".join(
        f"user{one % 100},item{one % 1000},5" for one in rng.integers(0, 10**6, 100_000)
    ).encode()
    file = tmp_path / "x"
    file.write_bytes(PACKERS[packer](text))
    assert len(text) > packed.ROOM
    assert unpacked(file) == text
    assert text.startswith(head(file))
    assert source(file)


@pytest.mark.usefixtures("small_room")
def test_a_small_table_does_not_have_endless_rows(tmp_path: Path) -> None:
    """A value that is the same in every row takes no room in Parquet."""
    file, rows = tmp_path / "x.parquet", 2_000_000
    one = {name: pl.repeat(5, rows, eager=True) for name in ("user", "item", "rating", "time")}
    pl.DataFrame(one).write_parquet(file, compression="zstd")
    assert file.stat().st_size < rows // 50
    words = ["dataset=interactions", f"dataset.interactions={file}", "dataset.items=null"]
    with pytest.raises(InvalidInput, match="holds more than"):
        build(composed(words))["dataset"].read()


@pytest.mark.parametrize("kind", [pl.String, pl.Binary, pl.Categorical])
@pytest.mark.usefixtures("small_room")
def test_a_small_table_does_not_have_endless_texts(tmp_path: Path, kind: Any) -> None:
    """A text that is the same in every row takes no room in Parquet either."""
    file, rows = tmp_path / "x.parquet", 300
    one = {name: pl.repeat(5, rows, eager=True) for name in ("user", "rating", "time")}
    items = pl.repeat("x" * 20_000, rows, eager=True).cast(kind)
    pl.DataFrame({**one, "item": items}).write_parquet(file)
    words = ["dataset=interactions", f"dataset.interactions={file}", "dataset.items=null"]
    with pytest.raises(InvalidInput, match="holds more than"):
        build(composed(words))["dataset"].read()


def test_a_separator_makes_no_packed_file(tmp_path: Path) -> None:
    """`::` becomes a unit separator for the engine, which is the first byte of gzip's mark."""
    file, types = tmp_path / "ratings.dat", {"user": pl.Int64(), "item": pl.Int64()}
    file.write_bytes(b"::" + gzip.compress(b"1\x1f2\n" * 9)[1:] + b"\n")
    with pytest.raises(InvalidInput, match=r"ratings\.dat begins as what zlib"):
        columns(file, Form("::", ["user", "item"]), types, None, None)


@pytest.mark.parametrize("key", ["../../outside", "/etc", "", "p", "A" * 64, "a" * 63])
def test_a_key_from_a_result_names_nothing_outside_the_store(tmp_path: Path, key: str) -> None:
    outside = tmp_path / "outside"
    checkpoint = tmp_path / "outside.checkpoint"
    for folder in (outside, checkpoint, tmp_path / "store" / "select"):
        folder.mkdir(parents=True)
    (outside / "manifest.json").write_text("{}")
    assert Store(tmp_path / "store").kept("select", key) is None
    assert checkpoint.exists()


@pytest.mark.parametrize(
    "config",
    [
        {"task": {"_target_": "os.system", "command": "touch ran"}},
        {"task": {"_target_": "goracs.store.shutil.rmtree", "path": "/nowhere"}},
        {"task": {"inner": [{"_target_": "subprocess.run"}]}},
        {"task": {"name": "${oc.env:HOME}"}},
        {"task": {"_target_": ["goracs"]}},
    ],
)
def test_a_result_of_somebody_elses_runs_nothing_and_reads_no_environment(
    tmp_path: Path, config: dict[str, Any]
) -> None:
    told = result()
    told["config"] |= config
    run = Finished(tmp_path, told, Store(tmp_path / "store"))
    with pytest.raises(GoracsError, match=r"left by another version|no file of conf/|has values"):
        run.settings("task")


def test_the_configuration_of_ones_own_runs_is_taken(tmp_path: Path) -> None:
    from omegaconf import OmegaConf

    plain: Any = OmegaConf.to_container(composed(["backbone=tiny"]), resolve=True)
    refuse_foreign({name: plain[name] for name in ("task", "evaluate", "selector", "dataset", "split")})


@pytest.mark.parametrize("node", ["backbone", "proxy"])
@pytest.mark.parametrize("word", [recommend.run, export.run, verify.run])
def test_a_result_of_somebody_elses_runs_no_code_of_its_model_unasked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], word: Callable[[list[str]], int], node: str
) -> None:
    foreign = {**BACKBONE, "model": "/evil", "trust_remote_code": True}
    told = tuned(**{f"config__{node}": foreign})
    save(tmp_path, {**told, "digests": {**told["digests"], "select": "0" * 64}})
    more = {recommend: "history=A", export: str(tmp_path / "out")}
    given = [str(tmp_path), *(given for words, given in more.items() if words.run is word)]
    assert word(given) == 1
    assert "Python code that comes with /evil would run here" in capsys.readouterr().err
    assert word([*given, "--trust-remote-code"]) == 1
    assert "would run here" not in capsys.readouterr().err


@pytest.mark.parametrize("word", [recommend.run, verify.run])
def test_a_result_that_is_no_result_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], word: Callable[[list[str]], int]
) -> None:
    save(tmp_path, {**result(), "digests": dict.fromkeys(("select", "finetune", "weights"), "../../x")})
    given = [str(tmp_path)] + (["history=Heat"] if word is recommend.run else [])
    assert word([*given, "--store", str(tmp_path / "store")]) == 1
    assert capsys.readouterr().err.startswith("error: ")


EVIL = [
    "<script>window.ran = true</script>",
    '"><img src=x onerror="window.ran = true">',
    "'); window.ran = true; ('",
    "\u202egnp.exe\u2066 \u200f",
    "x" * 10_000,
    "]]><svg/onload=window.ran=true>",
]


def evil_page(drawing: str) -> str:
    grid = Grid("evil", EVIL[0], ["method", EVIL[1]], [[words, EVIL[1]] for words in EVIL], {})
    texts = [Text(words, "plain") for words in EVIL]
    return html.page(Document(EVIL[0], EVIL[1], [Section("part", EVIL[0], [*texts, grid])]), drawing)


def test_a_page_shows_every_title_as_text_and_allows_nothing_from_outside() -> None:
    page = evil_page("/* drawing */")
    assert page.count("<script") == 3
    assert "<img" not in page
    assert "<svg" not in page
    assert "\u202e" not in page
    assert "[U+202E]gnp.exe" in page
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]+)"', page)
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe-eval" not in policy
    assert "http" not in policy


COMMANDING = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
FOREIGN = "\x1b[31mred\x9b2J\r\u202egnp.exe <script>window.ran=1</script> ![x](http://evil) &lt;b>"


def test_a_report_and_a_table_command_no_terminal_and_hold_no_html(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for seed in (0, 1):
        changed = result(FOREIGN, seed, command=FOREIGN, warnings=[FOREIGN], config__task__item_word=FOREIGN)
        save(tmp_path / "runs" / str(seed), changed | {"config": changed["config"] | {FOREIGN: seed}})
    made = report.made([tmp_path / "runs"], tmp_path / "store")
    evil = Document(FOREIGN, FOREIGN, [Section("part", FOREIGN, [Text(FOREIGN, "warning")])])
    assert table.run([str(tmp_path / "runs"), "--store", str(tmp_path / "store")]) == 0
    printed = capsys.readouterr().out
    for words in (report_markdown.text(made), report_markdown.text(evil), printed, latex.text(evil)):
        assert "[U+001B][31mred[U+009B]2J[U+000D][U+202E]gnp.exe" in words
        assert not COMMANDING.search(words)
    for words in (report_markdown.text(made), report_markdown.text(evil), printed.partition("Commands:")[0]):
        assert "&lt;script>" in words
        assert "&amp;lt;b>" in words
        assert "<script" not in words
        assert "](http" not in words
    assert not COMMANDING.search(str(GoracsError(f"{FOREIGN} is no title")))


def test_a_card_commands_no_terminal_and_holds_no_html() -> None:
    named = {"name": FOREIGN, "notice": FOREIGN}
    whole = tuned(command=FOREIGN, warnings=[FOREIGN], config__dataset=named)
    card = model_card.model_card(whole, {"r": 8, "lora_alpha": 16}, ["v_proj"], merged=False)
    assert not COMMANDING.search(card)
    assert "<script" not in card.partition("## How it was made")[0]


def test_results_of_somebody_elses_are_only_read(tmp_path: Path, mark: Path, bomb: bytes) -> None:
    save(tmp_path / "a", result())
    (tmp_path / "a" / "predictions.parquet").write_bytes(bomb)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "result.json").write_bytes(bomb)
    with pytest.raises(GoracsError, match="cannot be read as JSON"):
        read_results([tmp_path])
    assert not mark.exists()
