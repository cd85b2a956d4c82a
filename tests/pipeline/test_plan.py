"""`goracs plan` against what the same words then really read."""

from __future__ import annotations

import io
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
import pytest

from goracs.commands import plan
from goracs.llm import preflight
from tests.pipeline.conftest import TINY, Command

TITLES = ("evaluate.negatives=5", "evaluate.max_new_tokens=4", "evaluate.beams=10")
ALL = [word for word in TINY if not word.startswith("budget=")]


def planned(words: list[str], store: Path) -> dict[str, list[str]]:
    """Role -> the other cells of its line; "" -> what stands below the table."""
    with redirect_stdout(io.StringIO()) as said:
        assert plan.run([*words, f"store.root={store}"]) == 0
    table, _, below = said.getvalue().partition("\n\n")
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]
    return {name: cells for name, *cells in lines} | {"": [below]}


def test_a_plan_tells_what_the_run_then_reads_and_that_nothing_is_left_to_do(
    goracs: Command, tmp_path: Path
) -> None:
    store, words = tmp_path / "store", [*ALL, "selector=full", "adapter.rows=8", "assess=true"]
    before = planned(words, store)
    assert {folder.name for folder in store.iterdir()} <= {"prepare", "weights", "fits", ".lock"}
    done = goracs("selector=full", "assess=true", store=store, without=("budget",)).result
    assert before["finetune"][2] == f"{done['tokens_trained']:,}"
    assert before["score"][1] == f"{done['prompts']['score']['read']:,}"
    assert before["evaluate"][1] == f"{done['prompts']['evaluate']['read']:,}"
    assert all(cells[0] == "0 of 1" for name, cells in before.items() if name in done["stages"] and cells[1])
    after = planned(words, store)
    assert all(cells == ["1 of 1", "", "", "", ""] for name, cells in after.items() if name)
    assert after[""] == ["1 job: about 0 s, and what selection takes.\n"]


def test_a_sweeps_plan_counts_what_jobs_share_once(tmp_path: Path) -> None:
    words = ["-m", *ALL, "selector=random,el2n", "seed=0,1", "budget=4,8", "assess=true"]
    told = planned(words, tmp_path / "store")
    assert told[""][0].startswith("8 jobs: ")
    shared = {name: told[name][0] for name in ("score", "adapter", "evaluate_untuned")}
    assert set(shared.values()) == {"0 of 1"}
    assert told["select"][0] == "0 of 6"  # EL2N draws nothing
    assert told["finetune"][0] == "0 of 8"


def test_a_plan_counts_the_prompts_that_will_be_shortened(tmp_path: Path, goracs: Command) -> None:
    words = ["budget=4", "selector=random", "assess=true", "backbone.max_length=150"]
    told = planned([*ALL, *words], tmp_path / "store")[""][0]
    done = goracs(*words, store=tmp_path / "store", without=("budget",)).result["prompts"]
    assert done["evaluate"]["shortened"] > 0
    line = f"{done['evaluate']['shortened']} of 24 test prompts will be shortened to backbone.max_length."
    assert line in told


def test_a_sweep_with_a_configuration_of_ones_own_is_planned(tmp_path: Path) -> None:
    """Sketches of both sides, at each checkpoint of the warm-up, count as often as they are taken."""
    (tmp_path / "conf" / "selector").mkdir(parents=True)
    own = "_target_: goracs.selection.random.Random\nby_class: false\n"
    (tmp_path / "conf" / "selector" / "mine.yaml").write_text(own)
    words = [
        "-m",
        f"--config-dir={tmp_path / 'conf'}",
        *ALL,
        "selector=mine,random",
        "budget=4",
        "assess=true",
    ]
    sketched = (
        "score.together=[unit_sketch]",
        "adapter.rows=8",
        "adapter.checkpoints=2",
        "score.course=true",
    )
    told = planned([*words, *sketched], tmp_path / "store")
    assert told["score"][:2] == ["0 of 1", str(2 * (60 + 24))]
    assert told["select"][0] == "0 of 1"  # the same method under two names


def test_a_warm_up_on_more_than_the_pool_is_refused_in_a_plan_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert plan.run([*ALL, "budget=4", "adapter.rows=99", f"store.root={tmp_path / 'store'}"]) == 1
    assert "adapter.rows=99 is more than the pool has: 60 examples." in capsys.readouterr().err


@pytest.mark.parametrize(
    ("method", "read"), [("ground", 24 + 24 * 6), ("likelihood", 24), ("constrained", 24)]
)
def test_texts_are_ranked_in_a_plan_too(tmp_path: Path, method: str, read: int) -> None:
    words = [*ALL, "task=seqrec", "budget=4", f"evaluate.method={method}", *TITLES]
    told = planned([word for word in words if word != "split.per_user=4"], tmp_path / "store")
    assert told["evaluate"][1] == str(read)  # tests; grounding reads at most so many titles beside them


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["budget=9999"], "budget 9999 is larger than the pool"),
        (["budget=4", "backbone.max_length=10"], "error: "),
        (["seed=0,1"], "for a sweep goracs -m seed=0,1"),
        (["nonsense"], "'nonsense' is no override"),
    ],
)
def test_what_cannot_run_cannot_be_planned_either(
    words: list[str], message: str, store_root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert plan.run([*ALL, *words, f"store.root={store_root}"]) == 1
    assert message in capsys.readouterr().err


def test_time_grows_with_the_work_and_the_first_batch_is_not_counted() -> None:
    assert preflight._whole([9.0, 2.0, 4.0], np.array([10, 20, 40]), 600) == pytest.approx(60)
    assert preflight._whole([3.0], np.array([10]), 10) == pytest.approx(3)
