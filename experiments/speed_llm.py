"""How fast the LLM side is, as ratios side by side in one run: a Markdown table.

`python -m experiments.speed_llm [override ...]` takes the first prompts of the MovieLens pool through the
configured backbone (SmolLM2 in the precision of this machine, unless overridden). Each line is one thing we
do against a bare pass over the same batches, timed in turns; the figure is the median of the turns' ratios.
The last lines compare peak memory, of a process each, and two ranks with one. `lines=memory` (or another part
of a line) prints those lines alone.
"""

from __future__ import annotations

import json
import multiprocessing as mp
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from itertools import count
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

from goracs import memory
from goracs.config import build, composed, store_root
from goracs.data.prepare import read_catalogue, read_examples
from goracs.data.tokens import batches, title_ids
from goracs.llm import gradient, ranks, starter
from goracs.llm.answers import AnswerModule
from goracs.llm.batch import IGNORED, Batch, Texts
from goracs.llm.finetune_module import FinetuneModule
from goracs.llm.jobs import Batches, make_trainer, train
from goracs.llm.likelihood import LikelihoodModule
from goracs.llm.losses import AnswerLoss
from goracs.llm.precision import resolved_precision
from goracs.llm.recommender import Recommender
from goracs.llm.schedule import Steps, plan
from goracs.llm.settings import Backbone
from goracs.llm.writing import WritingModule, decoding
from goracs.stages import prepare, weights
from goracs.store import External, Store

PROMPTS = 16
SINGLE = 4  # prompts of which each has a backward pass of its own, or candidates ranked for it
CANDIDATES = 100
STEPS = 3
TURNS = 3
NAMES = frozenset({"gradient_norm", "loss", "el2n"})
HEAD = ("what", "against", "ratio", "smallest", "largest")
Pass = Callable[[], Any]


class Bench:
    """A task's prompts, in batches, and a backbone with a fresh LoRA."""

    def __init__(self, task: str, words: Sequence[str], prompts: int = PROMPTS) -> None:
        config = composed([f"task={task}", "adapter=init", "dataset.size=200", "dataset.history=5", *words])
        made, store = build(config), Store(store_root(config))
        precision = resolved_precision(made["backbone"].precision, made["runtime"].accelerator)
        backbone = Backbone(**{**vars(made["backbone"]), "precision": precision})
        files = weights.stage(backbone.model)
        place = files.path if isinstance(files, External) else store.get(files).path
        prepared = store.get(prepare.stage(made["dataset"], made["split"], made["task"])).path
        llm = Recommender(place, backbone, made["task"], made["runtime"], prepared)
        self.settings, self.precision, self.loss = made["score"], precision, llm.loss
        self.llm, self.evaluate, self.training = llm, made["evaluate"], made["finetune"]
        self.model = llm.fresh(made["adapter"].lora, 0).requires_grad_(False).eval()  # as it is scored
        texts = llm.read(read_examples(prepared, "train")[:prompts])
        self.texts, self.batch_tokens = texts, backbone.batch_tokens
        self.read = list(iter(Batches(texts, batches(texts.lengths, backbone.batch_tokens))))
        titles = sorted(set(read_catalogue(prepared).values()))[:CANDIDATES]
        self.candidates = list(title_ids(titles, made["task"].template, llm.tokenizer).values())
        single = Batches(texts, batches(texts.lengths[:SINGLE], 1))
        self.single = [single[place] for place in range(SINGLE)]
        torch.set_num_threads(made["runtime"].threads or torch.get_num_threads())

    def scored(self) -> None:
        """Gradient norms, losses and EL2N of every prompt."""
        module = gradient.module(self.model, self.loss, self.settings, NAMES, self.precision)
        self._each(module.predict_step, self.read)

    def answered(self) -> None:
        """The margin of every prompt."""
        assert isinstance(self.loss, AnswerLoss)
        self._each(AnswerModule(self.model, self.loss).predict_step, self.read)

    def without_head(self) -> None:
        """A bare pass that ends before the output layer."""
        inner = self.model.get_base_model().base_model
        self._each(lambda batch, _: _asked(inner, batch), self.read)

    def with_logits(self) -> None:
        """A bare pass with all logits."""
        self._each(lambda batch, _: _asked(self.model, batch), self.read)

    def stored(self, folder: Path) -> None:
        """`scored` as a stage does it, with its files in a new folder."""
        job = self.llm.job("score", "")
        gradient.score(self.model, self.loss, self.texts, self.settings, NAMES, job, folder, "pool")

    def scored_few(self) -> None:
        """As `scored`, of a few prompts."""
        module = gradient.module(self.model, self.loss, self.settings, NAMES, self.precision)
        self._each(module.predict_step, self.single)

    def one_backward_each(self) -> None:
        """A backward pass to all LoRA weights for each of a few prompts."""
        with self._trainable() as trained:
            self._each(
                lambda batch, _: torch.autograd.grad(self.loss(self.model, batch).losses.sum(), trained),
                self.single,
            )

    def ranked(self) -> None:
        """The likelihood of every candidate after each of a few prompts."""
        module = LikelihoodModule(self.model, [self.candidates] * SINGLE, self.llm.job("rank", "").halving)
        prompts = self._few()
        self._each(module.predict_step, [prompts.batch(np.arange(SINGLE))])

    def ranked_each(self) -> None:
        """The same by whole passes, prompt and candidate a row, in batches of the same bound."""
        prompts = [prompt for prompt in self._few().prompts for _ in self.candidates]
        rows = Texts.of(prompts, self.candidates * SINGLE, [-1] * len(prompts), self.texts.pad_id)
        groups = batches(rows.lengths, self.batch_tokens)
        self._each(lambda batch, _: self.loss(self.model, batch).answer_losses(), Batches(rows, groups))

    def written(self) -> None:
        """Titles after all prompts, in one batch."""
        asked = self.texts.without_answers()
        self._each(self._writer().predict_step, [asked.batch(np.arange(len(asked)))])

    def written_each(self) -> None:
        """The same, one prompt at a time."""
        asked = self.texts.without_answers()
        self._each(self._writer().predict_step, [asked.batch(np.array([row])) for row in range(len(asked))])

    def trained(self) -> None:
        """A few steps of a fine-tune."""
        steps = Steps(self.texts, plan(self.texts.lengths, self.training, 0), self.batch_tokens)
        job = self.llm.job("train", "")
        module = FinetuneModule(
            self.model.train(), self.loss, self.training, STEPS, 0, self.texts, job.halving
        )
        with self._trainable():
            train(module, steps, make_trainer(job, max_steps=STEPS))

    def trained_plainly(self) -> None:
        """The same steps by transformers and peft alone."""
        with self._trainable() as trained, self._autocast():
            optimizer = torch.optim.AdamW(trained, lr=self.training.lr)
            for rows in plan(self.texts.lengths, self.training, 0).steps[:STEPS]:
                batch = self.texts.batch(rows)
                labels = batch.ids.masked_fill(batch.mask == 0, IGNORED)
                read = {"input_ids": batch.ids, "attention_mask": batch.mask, "labels": labels}
                self.model.train()(**read).loss.backward()
                torch.nn.utils.clip_grad_norm_(trained, self.training.max_grad_norm)
                optimizer.step()
                optimizer.zero_grad()

    @contextmanager
    def _trainable(self) -> Iterator[list[torch.nn.Parameter]]:
        """The LoRA weights, which take gradients meanwhile and are as they were afterwards."""
        trained = [weight for name, weight in self.model.named_parameters() if "lora_" in name]
        before = [weight.detach().clone() for weight in trained]
        for weight in trained:
            weight.requires_grad_(True)
        yield trained
        self.model.eval()
        for weight, kept in zip(trained, before, strict=True):
            weight.requires_grad_(False)
            weight.copy_(kept)

    def _few(self) -> Texts:
        """A few prompts, without answers."""
        prompts = self.texts.prompts[:SINGLE]
        return Texts.of(prompts, [()] * SINGLE, [-1] * SINGLE, self.texts.pad_id)

    def _writer(self) -> WritingModule:
        how = decoding(self.model, self.llm.tokenizer, self.evaluate)
        return WritingModule(self.model, self.llm.tokenizer, how)

    def _each(self, step: Callable[[Batch, int], Any], read: Sequence[Batch] | Batches) -> None:
        with self._autocast():
            for place in range(len(read)):
                step(read[place], place)

    def _autocast(self) -> AbstractContextManager[Any]:
        return torch.autocast("cpu", torch.bfloat16) if self.precision == "bf16" else nullcontext()


@torch.no_grad()
def _asked(model: Any, batch: Batch) -> Any:
    return model(input_ids=batch.ids, attention_mask=batch.mask, position_ids=batch.positions)


def ratios(ours: Pass, bare: Pass) -> list[float]:
    """Ours over bare, a turn each; the first turn warms up."""
    found = []
    for _ in range(TURNS + 1):
        took = []
        for run in (ours, bare):
            started = time.perf_counter()
            run()
            took.append(time.perf_counter() - started)
        found.append(took[0] / took[1])
    return sorted(found[1:])


def peak(task: str, words: Sequence[str], prompts: int) -> float:
    """MB of resident memory that scoring takes at most, backbone and all, in a process of its own."""
    with ProcessPoolExecutor(1, mp_context=mp.get_context("spawn")) as alone:
        return alone.submit(_peak, task, words, prompts).result()


def _peak(task: str, words: Sequence[str], prompts: int) -> float:
    bench = Bench(task, words, prompts)
    memory.forget_peak()
    with tempfile.TemporaryDirectory() as folder:
        bench.stored(Path(folder))
    found = memory.peak_mb()
    assert found is not None  # Linux tells it
    return found


def two_ranks(words: Sequence[str]) -> list[float]:
    """Ratios of scoring by two ranks to the first alone, while the second waits: a thread each."""
    words = [*words, "runtime.devices=2", "runtime.threads=1", "backbone.batch_tokens=300"]  # of two prompts

    def work(folder: Path, _inputs: Mapping[str, Path]) -> None:
        bench, both = Bench("ctr", words), ranks.here()
        places = (folder / str(turn) for turn in count())

        def by(rank: ranks.Rank) -> None:
            place = next(places)
            if rank.count > 1 or both.first:
                ranks.be(rank)
                bench.stored(place)
                ranks.be(both)
            both.meet()

        both.meet()
        found = ratios(lambda: by(both), lambda: by(ranks.Rank(0, 1, 0)))
        (folder / "ratios.json").write_text(json.dumps(found))

    with tempfile.TemporaryDirectory() as place:
        (folder := Path(place) / "made").mkdir()
        starter.run(work, folder, {}, build(composed(words))["runtime"])
        found: list[float] = json.loads((folder / "ratios.json").read_text())
    return found


def main(words: Sequence[str]) -> None:
    """Print the table."""
    part = next((word.removeprefix("lines=") for word in words if word.startswith("lines=")), "")
    words = [word for word in words if not word.startswith("lines=")]
    if part != "ranks":
        _passes(part, words)
    if part in "CTR scoring by two ranks":
        found = two_ranks(words)
        _print("CTR scoring by two ranks", "by one, a thread each", median(found), found[0], found[-1])


def _passes(part: str, words: Sequence[str]) -> None:
    """The lines of one process each."""
    ctr, text = Bench("ctr", words), Bench("seqrec", words)
    bare, whole, each = (
        "a forward pass without output layer",
        "a forward pass with all logits",
        "a backward pass of all LoRA weights an example",
    )
    lines: list[tuple[str, str, Pass, Pass]] = [
        ("CTR scoring", bare, ctr.scored, ctr.without_head),
        ("CTR evaluation", bare, ctr.answered, ctr.without_head),
        ("CTR scoring", each, ctr.scored_few, ctr.one_backward_each),
        ("SeqRec scoring", whole, text.scored, text.with_logits),
        ("SeqRec scoring", each, text.scored_few, text.one_backward_each),
        ("SeqRec fine-tuning", "a plain loop of transformers and peft", text.trained, text.trained_plainly),
        (f"SeqRec likelihood of {CANDIDATES}", "a whole pass a candidate", text.ranked, text.ranked_each),
        ("SeqRec writing", "one prompt at a time", text.written, text.written_each),
    ]
    threads = torch.get_num_threads()
    print(f"{PROMPTS} prompts, {ctr.precision}, {threads} threads, torch {torch.__version__}\n")
    print(f"| {' | '.join(HEAD)} |\n|{' --- |' * len(HEAD)}")
    for what, against, ours, theirs in lines:
        if part in what:
            found = ratios(ours, theirs)
            _print(what, against, median(found), found[0], found[-1])
    del ctr, text
    for what, task, prompts in [
        (f"peak memory of CTR scoring, {4 * PROMPTS} prompts", "ctr", 4 * PROMPTS),
        ("peak memory of SeqRec scoring", "seqrec", PROMPTS),
    ]:
        if part in what:
            ratio = peak(task, words, prompts) / peak("ctr", words, PROMPTS)
            _print(what, f"of CTR scoring, {PROMPTS} prompts", ratio)


def _print(*cells: str | float) -> None:
    shown = [cell if isinstance(cell, str) else f"{cell:.2f}" for cell in cells]
    print(f"| {' | '.join([*shown, *[''] * (len(HEAD) - len(shown))])} |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
