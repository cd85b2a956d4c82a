"""Every preset goes the road: its data, its split, its task and its settings, on the tiny backbone."""

from __future__ import annotations

from pathlib import Path

import pytest

from goracs.commands import recommend
from goracs.config import composed, conf_dir, jobs
from tests import sequence_files
from tests.amazon_files import write_2014, write_2018
from tests.pipeline.conftest import Command

FOLDER = conf_dir() / "experiment"
PRESETS = sorted(str(file.relative_to(FOLDER).with_suffix("")) for file in FOLDER.glob("*/*.yaml"))
RAW = {"games": write_2018, "movies": write_2018, "food": write_2014}
SMALL = (
    "hydra.mode=RUN",
    "adapter=init",
    "dataset.size=30",
    "split.valid=12",
    "split.test=12",
    "evaluate.draws=20",
    "evaluate.negatives=4",
    "evaluate.max_new_tokens=4",
)
WARM = tuple(word for word in SMALL if word != "adapter=init")
NOT_HERE = ("split.per_user",)  # of the tiny settings: these presets split by time

OWN = ("dataset.size", "dataset.history", "split.valid", "split.test", "split.per_user", "budget", "task.lam")


@pytest.mark.parametrize("preset", [name for name in PRESETS if name.endswith("_cpu") or "ablation" in name])
def test_every_preset_in_small_and_every_ablation_runs_on_movielens(goracs: Command, preset: str) -> None:
    ended = goracs(f"experiment={preset}", "dataset=movielens_small", *SMALL, without=NOT_HERE)
    assert ended.code == 0, ended.text
    assert ended.result["metrics"]["tuned"]


@pytest.mark.parametrize(
    "preset", [name for name in PRESETS if name.startswith("paper/") and not name.endswith("_cpu")]
)
def test_every_run_of_the_paper_goes_through_raw_files_of_its_format(
    goracs: Command, preset: str, tmp_path: Path
) -> None:
    name = preset.removeprefix("paper/").partition("_")[0]
    reviews, items = RAW[name](tmp_path, 0)
    words = (f"experiment={preset}", f"dataset.reviews={reviews}", f"dataset.items={items}", *SMALL)
    ended = goracs(*words, "dataset.expected=null", without=NOT_HERE)
    assert ended.code == 0, ended.text
    assert ended.result["config"]["dataset"]["name"] == name
    assert ended.result["metrics"]["tuned"]


@pytest.mark.parametrize("preset", ["paper/games_ctr_cpu"])
def test_a_preset_in_small_has_the_validation_users_that_its_weight_is_chosen_on(
    goracs: Command, preset: str
) -> None:
    """With its own sizes: the tiny ones, and a weight that is given, would hide that there are too few."""
    ended = goracs(f"experiment={preset}", "hydra.mode=RUN", "until=select", without=OWN)
    assert ended.code == 0, ended.text
    assert ended.result["coreset"]["report"]["auto"]


def test_the_next_item_is_ranked_on_movielens(goracs: Command) -> None:
    ended = goracs("experiment=movielens_seqrec", *WARM)
    assert ended.code == 0, ended.text
    assert set(ended.result["metrics"]) >= {"untuned", "start", "tuned", "popular", "last_item"}


def test_the_next_item_is_ranked_and_recommended_on_ready_files(
    goracs: Command, tmp_path: Path, store_root: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    places = sequence_files.write(tmp_path)
    words = [f"dataset.{name}={place}" for name, place in places.items()]
    ended = goracs("experiment=office_seqrec", *WARM, *words, "dataset.valid_size=12", "dataset.test_size=12")
    assert ended.code == 0, ended.text
    assert ended.result["config"]["dataset"]["name"] == "office"
    assert ended.result["metrics"]["tuned"]["ndcg@10"]["users"] == 11
    asked = [str(ended.folder), 'history=Monitor 3 with 24" and a stand', "--store", str(store_root)]
    assert recommend.run(asked) == 0
    assert len(capfd.readouterr().out.splitlines()) == recommend.TOP


def test_a_count_that_is_not_the_papers_stops_the_run(goracs: Command, tmp_path: Path) -> None:
    reviews, items = write_2018(tmp_path, 0)
    words = ("experiment=paper/games_ctr", f"dataset.reviews={reviews}", f"dataset.items={items}", *SMALL)
    ended = goracs(*words, without=NOT_HERE)
    assert ended.code == 1
    assert "the data do not come out as they should: events " in ended.text
    assert "(expected 497577)" in ended.text


def test_an_ablation_sweeps_its_one_value(goracs: Command) -> None:
    small = [word for word in SMALL if word != "hydra.mode=RUN"]
    words = ("experiment=ablation/no_gradient_cpu", *small, "until=select")
    ended = goracs(*words, without=NOT_HERE)
    assert ended.code == 0, ended.text
    assert "selector.lam=0: done in" in ended.text
    assert "selector.lam=0.5: done in" in ended.text


def test_a_transfer_tunes_every_backbone_on_what_every_one_chose() -> None:
    grid = [composed(words) for words in jobs(["experiment=ablation/transfer_cpu"])]
    both = ("smollm2", "tiny")
    assert sorted(
        (job.selector._target_.rpartition(".")[2], job.backbone.name, job.proxy.name) for job in grid
    ) == [(selector, own, proxy) for selector in ("Goracs", "Random") for own in both for proxy in both]
