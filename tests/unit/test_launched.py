"""A process that torchrun has started knows which it is; all but the first read no configuration."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from goracs import cli
from goracs.llm import group, launched, starter
from goracs.llm.launched import Launch
from goracs.llm.ranks import Rank
from goracs.llm.seen import blind, signed, unseen
from goracs.types import InvalidInput
from tests.conftest import RUNTIME

OF_TORCHRUN = {
    "RANK": "5",
    "WORLD_SIZE": "6",
    "LOCAL_RANK": "2",
    "LOCAL_WORLD_SIZE": "3",
    "MASTER_ADDR": "first",
    "MASTER_PORT": "29400",
    "TORCHELASTIC_RUN_ID": "none",
    "TORCHELASTIC_USE_AGENT_STORE": "True",
    "TORCHELASTIC_RESTART_COUNT": "1",
}
LAST = Launch(5, 6, 2, 3, "first", 29400, hosted=True, attempt=1)


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launched, "current", [])
    for name, value in OF_TORCHRUN.items():
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("told")
def test_what_torchrun_tells_is_taken_once() -> None:
    assert launched.claim() == LAST
    assert launched.current == [LAST]
    assert not {"RANK", "WORLD_SIZE", "LOCAL_RANK", "TORCHELASTIC_RUN_ID"} & set(os.environ)
    assert launched.claim() is None


@pytest.mark.usefixtures("told")
def test_a_process_alone_is_told_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert launched.claim() is None
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.delenv("LOCAL_RANK")
    with pytest.raises(InvalidInput, match=r"WORLD_SIZE=2 says .* several, and LOCAL_RANK not which"):
        launched.claim()


@pytest.mark.usefixtures("told")
def test_the_others_serve_and_read_no_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group, "serve", lambda launch: {LAST: 3}[launch])
    monkeypatch.setattr("sys.argv", ["goracs", "experiment=there is none"])
    with pytest.raises(SystemExit) as left:
        cli.main()
    assert left.value.code == 3


@pytest.mark.usefixtures("told")
def test_what_contradicts_torchrun_is_refused(tmp_path: Path) -> None:
    several = replace(RUNTIME, nodes=2, devices=3)
    with pytest.raises(InvalidInput, match=r"runtime\.nodes=2 takes .* --nnodes=2 --nproc-per-node=3"):
        launched.refuse_misfit(several)
    launched.claim()
    launched.refuse_misfit(several)
    for runtime in (RUNTIME, replace(RUNTIME, nodes=3, devices=2), replace(RUNTIME, devices=6)):
        with pytest.raises(InvalidInput, match=r"started 6 processes, 3 of .*set runtime\.nodes=2 runt"):
            starter.run(lambda *_: None, tmp_path, {}, runtime)


def test_a_machine_without_the_files_is_named(tmp_path: Path) -> None:
    there, absent = tmp_path / "there", tmp_path / "absent"
    there.touch()
    with signed(tmp_path / "made.partial") as sign:
        assert unseen(replace(sign, word="another stage"), [there]) == tmp_path
        assert unseen(sign, [there, absent]) == absent
        assert unseen(sign, [there]) is None
    assert unseen(sign, [there]) == tmp_path
    with pytest.raises(InvalidInput, match=r"^rank 5 of 6 \(on .*\) does not see /there as rank 0 does"):
        raise blind(str(Rank(5, 6, 2)), Path("/there"), "rank 0")


def test_an_environment_of_no_numbers_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "many")
    with pytest.raises(InvalidInput, match="WORLD_SIZE='many' in the environment is no number"):
        launched.claim()
