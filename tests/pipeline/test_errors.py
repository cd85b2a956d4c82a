"""A user's mistake: one paragraph that says what, where and what to do; exit code 1; no traceback."""

from __future__ import annotations

import re
import shlex
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from goracs import cli
from goracs.commands import data
from goracs.data.readers.movielens import BUNDLED
from goracs.llm import embedding, weights
from goracs.stages import select
from tests import bare
from tests.pipeline.conftest import TINY, Command

MISTAKES = [
    (["selector.effort=quick", "until=prepare"], "effort must be one of start, alternate"),  # before anything
    (["budget=0"], "budget must be a whole number >= 1, a share in"),
    (["budget=61"], "budget 61 is larger than the pool, which has 60 rows"),
    (["budget=1.5", "until=prepare"], "budget must be a whole number"),  # before anything
    (["budget=1.0"], r"For one row: budget=1; for the whole pool: budget=all\."),
    (["budget=1e1"], r"For 10 rows: budget=10\."),
    (["dataset.path=/a=b"], r"""error: dataset\.path=/a=b cannot be read: .*shell: 'dataset\.path="/a=b"'"""),
    (["-m", "dataset.path=/a(1)"], r"""shell: 'dataset\.path="/a\(1\)"'"""),
    (["budget=8", "stray"], "'stray' is no override: name=value"),
    (["dataset.path=[a]"], r"""dataset\.path must be .*got \['a'\]\. As text: 'dataset\.path="\.{3}"'"""),
    (["dataset.path=${nowhere}"], "error: Interpolation key 'nowhere' not found"),
    (["store=here"], r"store=here: store holds names of its own, as in store\.root=VALUE"),
    (["store.root=null"], r"store\.root must be a folder's name, got None"),
    (["-m", "selector=goracs,null"], "selector=goracs,null chooses nothing: .* a file of conf/selector"),
    (["+selecter=random"], r"\+selecter=random would change nothing: the configuration has no selecter"),
    (["~seed"], "~seed: a run does not go without seed"),
    (["~logger.kind"], "a run does not go without logger.kind"),
    (["-m", "~sweep.stop_at_first_failure"], "a run does not go without sweep.stop_at_first_failure"),
    (["-m", "store.root=${nowhere}"], "error: Interpolation key 'nowhere' not found"),
    (["selector.grid={1:2,a:3}"], r"Error merging override selector.grid=\{1:2,a:3\}: ."),
    (["assess=3"], "assess must be true or false, got 3"),
    (["runtime.threads=0"], "runtime.threads must be a whole number >= 1, got 0"),
    (["runtime.accelerator=abacus"], "runtime.accelerator must be one of auto, cpu, gpu, mps; got 'abacus'"),
    (["until=lunch"], "until must be one of prepare, embed"),
    (["until=false"], "until must be one of prepare, embed"),
    (["selector=full", "budget=nan"], "budget must be a whole number >= 1, a share in"),
    (["finetune.steps=3"], "finetune needs exactly one of epochs, steps, tokens; got epochs and steps"),
    (["split.valid=100000"], "split"),
    (["dataset.size=10000000"], "dataset.size"),
    (["dataset.path=/nowhere"], "no folder /nowhere"),
    (["task.answer_yes=No"], "task.answer_yes and task.answer_no are both 'No': they must differ"),
    (["backbone.precision=int3"], "backbone.precision must be auto, bf16, fp16 or float32"),
    (["backbone=hf", "backbone.model=no/such-model"], "'no/such-model' was not found: it is no local folder"),
    (["adapter=path", "adapter.path=/nowhere"], "adapter.path=/nowhere is no peft adapter"),
    (["score.layer=o_proj"], "it adapts: q_proj, v_proj"),
    (["selector.lam=-1"], "lam must be a number >= 0"),
    (["task=seqrec", "selector.by_class=true"], "by_class=true splits the problem by label"),
    (["selector.by_class=both"], "selector.by_class must be of type bool or one of pool, equal, got 'both'"),
    (["evaluate.part=train"], "evaluate.part must be test or valid"),
    (["backbone=hf"], r"backbone\.model must be given, as in backbone\.model=VALUE"),
    (["evaluate.draws=0"], "evaluate.draws must be a whole number >= 1, got 0"),
    (["evaluate.negatives=0"], "evaluate.negatives must be a whole number >= 1, got 0"),
    (["dataset.scale=[0,nan]"], r"dataset.scale must be two numbers, .* or null; got \[0, nan\]"),
    (["task.like_threshold=nan"], "task.like_threshold must be a finite number, got nan"),
    (["split.valid=nan"], r"split.valid must be a whole number >= 1 or a share in \(0, 1\), got nan"),
    (["seed=-1"], "seed must be a whole number >= 0, got -1"),
    (["seed=abc"], "seed must be a whole number >= 0, got 'abc'"),
    (["finetune.lr=fast"], "finetune.lr must be of type float, got 'fast'"),
    (["finetune.batch_size=x"], r"finetune\.batch_size must be of type int, got 'x'"),
    (["adapter.lora.r=2.5"], r"adapter\.lora\.r must be of type int, got 2\.5"),
    (["dataset.history=x"], "dataset.history must be a whole number >= 1, got 'x'"),
    (["store.root=/dev/null/store"], "error: .*Not a directory"),
    (["selector=guess"], r"there is no selector=guess\. .*There are .*goracs, .*random"),
    (["bugdet=3"], r"the configuration has no bugdet\. Did you mean budget\?"),
    (["selector.lambda=0.1"], r"has no selector\.lambda\. Did you mean selector\.lam\?"),
    (["selector=gorac"], r"there is no selector=gorac\. Did you mean selector=goracs\?"),
    (["-m", "selector=goracs,rndom"], r"there is no selector=rndom\. Did you mean selector=random\?"),
    (["dataset=movielens_smal"], r"Did you mean dataset=movielens_small\?"),
    (["experiment=quickstrat"], r"Did you mean experiment=quickstart\?"),
    (["backbone=llama"], r"there is no backbone=llama\. .*There are hf, "),
    (["task=rating"], r"there is no task=rating\. There are ctr, seqrec"),
    (["features=sketches"], r"Did you mean features=sketch\?"),
    (["finetune=lora"], r"there is no finetune=lora\. There are default, "),
    (["logger=wandbb"], r"Did you mean logger=wandb\?"),
    (["finetune.learning_rate=1e-4"], r"has no finetune\.learning_rate\. finetune has .*, lr, "),
    (["adapter.lora.rank=8"], r"has no adapter\.lora\.rank\. adapter\.lora has .*, r, "),
    (["finetune.epoch=2"], r"Did you mean finetune\.epochs\?"),
    (["dataset.colums.user=who"], r"Did you mean dataset\.columns\?|has no dataset\.colums"),
    (["budget=8,12"], r"has several values: for a sweep goracs -m budget=8,12; for a list budget=\[8,12\]"),
    (["budget:8"], r"'budget:8' is no override: name=value, as in budget=32"),
    (["budget ="], r"budget"),
    (["budget=ten"], "budget must be a whole number"),
    (["dataset=interactions"], r"dataset\.interactions, .*must be given, as in dataset\.interactions=VALUE"),
    (["dataset=interactions", "dataset.interactions=/no.csv", "dataset.items=null"], "no file /no.csv"),
    (["dataset=prompts"], r"dataset\.history is of other choices in conf/dataset"),
    (["dataset=sequences"], "must be given, as in"),
    (["backbone=hf", "backbone.model=/nowhere"], "'/nowhere' was not found: it is no local folder"),
    (["encoder=hf", "encoder.model=no/such"], "'no/such' was not found"),
    (["finetune.epochs=0"], r"finetune\.epochs and finetune\.batch_size must be at least 1"),
    (["finetune.lr=-1"], r"finetune\.lr must be a number >= 0, got -1"),
    (["finetune.batch_size=0"], r"finetune\.batch_size must be at least 1"),
    (["adapter.lora.r=0"], r"lora\.r must be a whole number >= 1"),
    (["split.test=0"], r"split\.test must be"),
    (["backbone.precision=fp8"], "backbone.precision must be auto, bf16, fp16 or float32"),
    (["runtime.accelerator=gpu", "adapter.lora.r=3"], r"torch finds none .*: take runtime\.accelerator=auto"),
    (["task.lam=0,1"], r"has several values"),
    (["seed=1.5"], "seed must be a whole number >= 0, got 1.5"),
    (["store.root="], "store.root must be a folder's name"),
]  # fmt: skip


OF_THE_MODEL = [  # what only the backbone's own tokenizer can tell: it has to be opened
    (["backbone.max_length=20"], r"of \d+ prompts are longer than 20 tokens"),
    (["task.answer_yes=Absolutely"], r"'Absolutely' is \d+ tokens of this backbone"),
    (["task.template=chat"], "needs a backbone with a chat template"),
]


@pytest.fixture(scope="module")
def told(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bare.Said]:
    """What is said of each mistake, by its words."""
    root = tmp_path_factory.mktemp("mistakes")
    places = [f"hydra.{mode}.dir={root / 'job'}" for mode in ("run", "sweep")]
    small = [*TINY, f"store.root={shared / 'store'}", *places]
    commands = []
    for words, _ in MISTAKES:
        flags = [word for word in words if word.startswith("-")]
        commands.append((root, [*flags, *small, *words[len(flags) :]]))
    said = bare.run(commands, root)
    return {" ".join(words): one for (words, _), one in zip(MISTAKES, said, strict=True)}


@pytest.mark.xdist_group("mistakes")
@pytest.mark.parametrize(
    ("words", "message"), MISTAKES, ids=lambda value: value[0] if isinstance(value, list) else None
)
def test_a_mistake_is_told_at_once_in_one_paragraph(
    told: dict[str, bare.Said], words: list[str], message: str
) -> None:
    """At once: before a framework is imported, which takes seconds."""
    said = told[" ".join(words)]
    assert_one_paragraph(said.code, said.text, message)
    assert said.imported == []


@pytest.mark.parametrize(("words", "message"), OF_THE_MODEL)
def test_a_mistake_that_the_model_has_to_tell_is_told_in_one_paragraph(
    goracs: Command, words: list[str], message: str
) -> None:
    ended = goracs(*words)
    assert_one_paragraph(ended.code, ended.text, message)


def assert_one_paragraph(code: int, text: str, message: str) -> None:
    assert code == 1
    assert "Traceback" not in text
    assert re.search(message, text), text
    said = text[text.index("error: ") :].partition("\ngoracs: ")[0].rstrip().removesuffix("\n1")
    assert len(said.strip().splitlines()) <= 3, said
    assert "HYDRA_FULL_ERROR" not in text


ODD = "b =[1], (2) {x: y} 'q' \"r\" \\ $z ~ é日 & ; # !"


def test_a_path_with_any_character_is_read_as_the_message_says_to_write_it(
    goracs: Command, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """In a run, in a sweep and in `goracs data`."""
    folder = tmp_path / ODD
    shutil.copytree(BUNDLED, folder)
    plain = f"dataset.path={folder}"
    refused = goracs(plain)
    assert refused.code == 1
    (advice,) = re.findall(r"for the shell: (.*)", refused.text)
    (word,) = shlex.split(advice)
    words = ("selector=random", "until=select", word)
    assert goracs(*words).code == 0
    swept = goracs("-m", *words, "seed=0,1")
    assert swept.code == 0, swept.text
    assert "2 jobs: " in swept.text
    places = ("dataset.size=60", "split.per_user=4", "split.valid=24", "split.test=24", "backbone=tiny")
    assert data.run([*places, f"store.root={tmp_path / 'store'}", plain]) == 1
    assert advice in capfd.readouterr().err
    assert data.run([*places, f"store.root={tmp_path / 'store'}", word]) == 0


def test_a_first_word_that_is_no_override_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["goracs", "quickstart"])
    with pytest.raises(SystemExit, match="'quickstart' is neither an override"):
        cli.main()


def test_a_damaged_artifact_is_named_and_nothing_half_written_is_left(
    goracs: Command, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    digests = goracs("until=select", store=store).result["digests"]
    embedding = store / "embed" / digests["embed"][:24] / "pool_embedding.npy"
    embedding.write_bytes(embedding.read_bytes()[:-4] + b"abcd")
    ended = goracs("until=select", "selector=kcenter", store=store)
    assert ended.code == 1
    assert "embed" in ended.text
    assert "is damaged: pool_embedding.npy differ from what the manifest says" in ended.text
    assert "Delete that folder and run again" in ended.text
    assert not (ended.folder / "result.json").exists()
    assert list(store.rglob("*.partial")) == []


def test_a_full_traceback_comes_when_asked_for(goracs: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    assert "Traceback" in goracs("budget=0").text


def test_an_adapter_of_another_backbone_is_refused(goracs: Command, tmp_path: Path) -> None:
    folder = tmp_path / "adapter"
    shutil.copytree(goracs("until=finetune").folder / "adapter", folder)
    weights = folder / "adapter_model.safetensors"
    save_file({name: torch.zeros(3, 3) for name in load_file(weights)}, weights)
    ended = goracs("adapter=path", f"adapter.path={folder}", "selector=random")
    assert ended.code == 1
    assert "does not fit this backbone" in ended.text
    assert "Traceback" not in ended.text


def test_our_mistake_shows_its_traceback(goracs: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(select, "stage", lambda *_: 1 / 0)
    ended = goracs("until=select")
    assert ended.code == 1
    assert "this is a defect of goracs" in ended.text
    assert "ZeroDivisionError" in ended.text


def test_an_embedding_that_is_not_finite_names_its_rows(
    goracs: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def broken(self: Any, batch: Any, _place: int) -> Any:
        rows, values = original(self, batch, _place)
        values["embedding"][rows == 7] = np.nan
        return rows, values

    original = embedding.EmbeddingModule.predict_step
    monkeypatch.setattr(embedding.EmbeddingModule, "predict_step", broken)
    ended = goracs("until=embed", store=tmp_path / "store")
    assert ended.code == 1
    assert "The embedding of pool examples is not finite for 1 of 60 examples (rows 7)" in ended.text
    assert not list((tmp_path / "store" / "embed").glob("*/manifest.json"))


def test_a_class_absent_from_validation_is_a_warning_in_the_report(
    goracs: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem = select.selection_problem

    def one_class(*args: object) -> object:
        whole = problem(*args)  # type: ignore[arg-type]
        return replace(whole, target_labels=np.ones_like(whole.target_labels))

    monkeypatch.setattr(select, "selection_problem", one_class)
    ended = goracs("until=select", "budget=7")
    assert ended.code == 0, ended.text
    assert any("0" in warning for warning in ended.result["coreset"]["report"]["warnings"])
    assert "warning: coreset: class 0 is absent from validation" in ended.text


LOST = ("backbone=hf", "backbone.model=lost/llm", "encoder=hf", "encoder.model=lost/encoder")


@pytest.fixture
def lost_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("encoder", "llm"):
        package = weights.Package(f"lost_{name}", f"lost-{name}==1.0", "model")
        monkeypatch.setitem(weights.PACKAGES, f"lost/{name}", package)


@pytest.mark.parametrize(
    ("words", "names"),
    [
        ((), "encoder llm"),
        (("until=select",), "encoder llm"),
        (("until=select", "assess=true", "selector=random"), "encoder llm"),
        (("selector=random",), "llm"),
        (("until=embed",), "encoder"),
        (("until=select", "selector=kcenter"), "encoder"),
        (("until=score", "features=sketch"), "llm"),
        (("until=select", "features=sketch"), "llm"),
        (("until=adapter",), "llm"),
    ],
)
@pytest.mark.usefixtures("lost_packages")
def test_all_missing_models_of_the_line_are_named_at_once_before_anything_runs(
    goracs: Command, tmp_path: Path, words: tuple[str, ...], names: str
) -> None:
    ended = goracs(*LOST, *words, store=tmp_path / "store")
    assert ended.code == 1
    requirements = " ".join(f"lost-{name}==1.0" for name in names.split())
    assert f"Install with: pip install --no-deps {requirements}\n" in ended.text
    assert " and ".join(f"'lost/{name}'" for name in names.split()) + " w" in ended.text
    assert not (tmp_path / "store" / "prepare").exists()


@pytest.mark.usefixtures("lost_packages")
def test_no_model_is_looked_for_in_vain(goracs: Command) -> None:
    assert goracs(*LOST, "until=prepare").code == 0
    assert goracs(*LOST, "until=select", "selector=random").code == 0


@pytest.mark.parametrize(
    "words",
    [["hydra.run.dir={}"], ["-m", "seed=0,1", "hydra.sweep.dir={}"]],
)
def test_a_job_folder_that_cannot_be_made_is_told(goracs: Command, tmp_path: Path, words: list[str]) -> None:
    (tmp_path / "file").touch()
    ended = goracs(*(word.format(tmp_path / "file" / "job") for word in words))
    assert ended.code == 1
    assert re.search(r"error: the job folder \S+file/job cannot be made \(Not a directory\)", ended.text)
    assert "Traceback" not in ended.text


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_the_word_data_has_a_help(capsys: pytest.CaptureFixture[str], flag: str) -> None:
    assert data.run(["dataset=movielens_small", flag]) == 0
    printed = capsys.readouterr()
    assert "goracs data dataset=movielens_small output=json" in printed.out
    assert printed.err == ""
