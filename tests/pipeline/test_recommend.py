"""`goracs recommend`: a finished run's own model, on titles that a user types."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch

from goracs.commands import recommend
from goracs.data.prepare import read_titles
from goracs.data.tasks import as_examples
from goracs.data.tokens import title_ids, tokenized
from goracs.llm import adapter
from goracs.llm.backbone import load_model, load_tokenizer
from tests.conftest import TINY
from tests.pipeline.conftest import Command, Ended
from tests.unit.test_likelihood import whole
from tests.unit.test_prepare import configured

WORDS = ("until=finetune", "selector=random", "dataset.core=50")
HISTORY = ["Heat (1995)", "Alien (1979)", "Toy Story (1995)", "Aliens (1986)"]
Ask = Callable[..., tuple[int, list[str]]]


@pytest.fixture
def ask(capfd: pytest.CaptureFixture[str], store_root: Path) -> Ask:
    """What the word prints for a run, and its exit code."""

    def run(ended: Ended, *words: str, store: Path = store_root) -> tuple[int, list[str]]:
        capfd.readouterr()
        code = recommend.run([str(ended.folder), *words, "--store", str(store)])
        printed = capfd.readouterr()
        return code, (printed.out or printed.err).splitlines()

    return run


def catalogue(ended: Ended, store: Path) -> pl.DataFrame:
    return read_titles(store / "prepare" / ended.result["digests"]["prepare"][:24])


def prompts(ended: Ended, store: Path, task: Any, targets: list[str], tokenizer: Any) -> list[Any]:
    """The prompt of each target behind the last three titles of the history, all liked."""
    titles = catalogue(ended, store)
    item = dict(zip(titles["title"], titles["item"], strict=True))
    rows = [
        {"user": "", "item": item[target], "time": 0, "liked": True}
        | {"history": [item[title] for title in HISTORY[-3:]], "history_liked": [True] * 3}
        for target in targets
    ]
    examples = as_examples(task.examples(pl.DataFrame(rows), titles))
    return [encoded.prompt for encoded in tokenized(examples, task.template, tokenizer)]


def test_a_seqrec_run_recommends_what_its_model_finds_likeliest(
    goracs: Command, ask: Ask, store_root: Path, tiny_weights: Path
) -> None:
    ended = goracs("task=seqrec", "evaluate.method=likelihood", *WORDS)
    assert ended.code == 0, ended.text
    tokenizer, task = load_tokenizer(tiny_weights), configured("task/seqrec")
    model = adapter.load(load_model(tiny_weights, TINY), ended.folder / "adapter", trainable=False)
    (prompt,) = prompts(ended, store_root, task, HISTORY[:1], tokenizer)
    shown = set(HISTORY)  # what is too long ago for the prompt is not recommended either
    ids = title_ids(catalogue(ended, store_root)["title"].to_list(), task.template, tokenizer)
    scores = {
        title: whole(model, prompt, ids[title]) / len(ids[title]) for title in ids if title not in shown
    }
    expected = sorted(scores, key=lambda title: -scores[title])[:12]
    code, lines = ask(ended, f"history={'; '.join(HISTORY)}", "top=12")
    assert code == 0
    assert lines == [f"{place:>2}. {title}" for place, title in enumerate(expected, 1)]


@pytest.mark.parametrize("method", ["ground", "constrained"])
def test_a_seqrec_run_recommends_by_its_own_method(
    goracs: Command, ask: Ask, store_root: Path, method: str
) -> None:
    """As many titles as are asked for, though the run had fewer beams."""
    ended = goracs("task=seqrec", f"evaluate.method={method}", "evaluate.beams=10", *WORDS)
    code, lines = ask(ended, "history=Heat (1995)", "top=14")
    titles = [line[4:] for line in lines]
    assert code == 0
    assert len(set(titles)) == 14
    assert set(titles) <= set(catalogue(ended, store_root)["title"]) - {"Heat (1995)"}


def test_a_ctr_run_recommends_what_it_says_yes_to_most(
    goracs: Command, ask: Ask, store_root: Path, tiny_weights: Path
) -> None:
    ended = goracs(*WORDS)
    tokenizer, task = load_tokenizer(tiny_weights), configured("task/ctr")
    model = adapter.load(load_model(tiny_weights, TINY), ended.folder / "adapter", trainable=False)
    yes, no = (tokenizer(word, add_special_tokens=False).input_ids for word in ("Yes", "No"))
    titles = [title for title in catalogue(ended, store_root)["title"].unique() if title not in HISTORY]
    margins = {}
    with torch.no_grad():
        for title, ids in zip(titles, prompts(ended, store_root, task, titles, tokenizer), strict=True):
            last = model(input_ids=torch.tensor([ids])).logits[0, -1]
            margins[title] = float(last[yes[0]] - last[no[0]])
    expected = sorted(margins, key=lambda title: -margins[title])[:5]
    code, lines = ask(ended, f"history={';'.join(HISTORY)}", "top=5")
    assert (code, lines) == (0, [f"{place}. {title}" for place, title in enumerate(expected, 1)])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["history=heat; Alien (1979)"],
            "'heat' is no title of this run's catalogue of .* mean 'Heat (1995)'",
        ),
        (["history=Heat (1995); Aliens (1968)"], "'Aliens (1968)' is no title .* mean 'Aliens (1986)'"),
        (["history=;"], 'takes history="A; B; C", titles of the catalogue, the oldest first'),
        (["top=3"], "takes history="),
        (["history=Heat (1995)", "stop=3"], "takes history="),
        (["history=Heat (1995)", "top=0"], "top must be a whole number >= 1, got '0'"),
    ],
)
def test_what_cannot_be_recommended_for_is_refused_in_a_sentence(
    goracs: Command, ask: Ask, words: list[str], message: str
) -> None:
    code, lines = ask(goracs("task=seqrec", *WORDS), *words)
    assert code == 1
    assert len(lines) == 1
    start, _, end = message.partition(" .* ")
    assert start in lines[0]
    assert end in lines[0]


def test_a_run_without_an_adapter_or_without_its_store_is_refused(
    goracs: Command, ask: Ask, tmp_path: Path
) -> None:
    words = ("history=Heat (1995)",)
    code, lines = ask(goracs("task=seqrec", "until=select", "selector=random", "dataset.core=50"), *words)
    assert (code, len(lines)) == (1, 1)
    assert "has no fine-tune: its run ended before it (until=select)" in lines[0]
    code, lines = ask(goracs("task=seqrec", *WORDS), *words, store=tmp_path / "elsewhere")
    assert (code, len(lines)) == (1, 1)
    assert "does not hold the prepare of this run (prepare/" in lines[0]


def test_a_title_may_hold_what_separates_titles() -> None:
    items = {"A; B": "1", "A": "2", "B": "3", "C": "4"}
    assert recommend._titles("A; B; C", items) == ["A; B", "C"]
    assert recommend._titles(" B;A ;", items) == ["B", "A"]
