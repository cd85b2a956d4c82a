"""goracs data: what it prints, that it runs nothing else, and how it ends after a mistake."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path
from typing import Any

import pytest

from goracs import cli
from goracs.config import conf_dir

WORDS = ("dataset=movielens_small", "split=paper", "split.ties=file", "backbone=tiny", "dataset.size=50")


@pytest.fixture
def data(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    store_root: Path,
) -> Any:
    """`goracs data` with the given words: exit code, stdout, stderr."""
    caplog.set_level(logging.WARNING, "goracs")  # as in a process of its own, whatever ran in this one

    def run(*words: str, store: Path = store_root) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["goracs", "data", f"store.root={store}", *words])
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            cli.main()
        printed = capsys.readouterr()
        assert isinstance(end.value.code, int)
        return end.value.code, printed.out, printed.err

    return run


def test_data_prints_one_json_object_with_the_counts_of_the_reference(data: Any) -> None:
    code, out, _ = data(*WORDS, "output=json")
    found = json.loads(out)
    assert code == 0
    assert (found["events"], found["users"], found["items"], found["samples"]) == (100836, 610, 9724, 94736)
    assert [found[part]["samples"] for part in ("train", "valid", "test")] == [50, 9474, 9474]
    assert (found["valid"]["liked"], found["test"]["liked"]) == (6338, 5094)
    assert found["valid"]["first"] == {"user": "41", "item": "100714", "time": 1458940266}
    assert found["test"]["last"] == {"user": "514", "item": "162", "time": 1537799250}
    assert found["test"]["rule_auc"] == pytest.approx(0.88, abs=0.005)  # as known of this data
    assert found["test"]["tokens"]["looked_at"] == 948


def test_data_prints_text_and_builds_nothing_but_the_data(data: Any, tmp_path: Path) -> None:
    code, out, _ = data(*WORDS, store=tmp_path / "store")
    assert code == 0
    assert out.startswith("movielens_small: 100,836 events of 610 users and 9,724 items")
    stages = {folder.name for folder in (tmp_path / "store").iterdir()}
    assert stages - {".lock"} == {"prepare", "weights"}  # the weights of the tiny backbone hold its tokenizer


def test_data_says_why_tokens_are_not_counted(data: Any) -> None:
    code, out, _ = data(*WORDS[:2], "dataset.size=50", "backbone=hf", "backbone.model=no/such-model")
    assert code == 0
    assert "tokens were not counted: backbone hf is not on this machine" in out


def test_data_finds_a_data_set_of_ones_own(data: Any, tmp_path: Path) -> None:
    (tmp_path / "dataset").mkdir()
    own = (
        (conf_dir() / "dataset" / "movielens_small.yaml")
        .read_text()
        .replace("name: movielens_small", "name: ours")
    )
    (tmp_path / "dataset" / "ours.yaml").write_text(own)
    code, out, err = data(f"--config-dir={tmp_path}", "dataset=ours", *WORDS[1:])
    assert code == 0, err
    assert out.startswith("ours: 100,836 events")


def test_data_tells_of_ready_prompts(data: Any, tmp_path: Path) -> None:
    row = {"instruction": "Will they like it?", "input": "a film", "output": "Yes"}
    for part in ("train", "valid", "test"):
        (tmp_path / f"{part}.json").write_text(json.dumps([row, row | {"output": "No"}]))
    files = [f"dataset.{part}={tmp_path / part}.json" for part in ("train", "valid", "test")]
    code, out, err = data("dataset=prompts", *files, "backbone=tiny", "output=json")
    assert code == 0, err
    assert json.loads(out)["test"]["liked"] == 1


def test_data_draws(data: Any, tmp_path: Path) -> None:
    code, out, _ = data(*WORDS, f"output={tmp_path / 'card.png'}")
    assert (code, out.strip()) == (0, str(tmp_path / "card.png"))
    assert (tmp_path / "card.png").is_file()
    odd = tmp_path / "a (b=c), d.svg"
    for quote in ('"', "'", ""):  # as docs/data.md says of a path, and as it stands
        odd.unlink(missing_ok=True)
        assert data(*WORDS, f"output={quote}{odd}{quote}")[:2] == (0, f"{odd}\n")
        assert odd.is_file()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["dataset=nope"], r"there is no dataset=nope. .*movielens_small"),
        (["output=xml"], "output must be text, json, or a file that ends in .png, .pdf, .svg; got 'xml'"),
        (['output="card.png'], "output=\"card.png cannot be read"),
        (["split.tost=1"], r"has no split.tost. Did you mean split.test"),
        (["split=date"], "split.test, split.valid must be given"),
        (["split.ties=both"], "split.ties must be one of hash, file, got 'both'"),
        (["dataset.sample=oldest"], "one of uniform, newest, users, half_oldest, got 'oldest'"),
        (["split=paper", "dataset.expected={samples: 5}"], "samples 94736 .expected 5."),
    ],
)  # fmt: skip
def test_data_tells_a_mistake_in_one_paragraph(data: Any, words: list[str], message: str) -> None:
    code, out, err = data(*words)
    assert (code, out) == (1, "")
    assert err.splitlines()[1].startswith("error: ")  # after what runs
    assert message in err or __import__("re").search(message, err)
    assert "Traceback" not in err
