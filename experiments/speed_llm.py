"""How fast the LLM side is, as ratios side by side in one run: a Markdown table.

`python -m experiments.speed_llm [override ...]` takes the first prompts of the MovieLens pool through the
configured backbone (SmolLM2 in the precision of this machine, unless overridden). Each line is one thing we
do against a bare pass over the same batches, timed in turns; the figure is the median of the turns' ratios.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from statistics import median
from typing import Any

import torch

from goracs.config import build, composed
from goracs.data.prepare import read_examples
from goracs.data.tokens import batches
from goracs.llm import gradient
from goracs.llm.answers import AnswerModule
from goracs.llm.batch import Batch
from goracs.llm.jobs import Batches
from goracs.llm.losses import AnswerLoss
from goracs.llm.precision import resolved_precision
from goracs.llm.recommender import Recommender
from goracs.llm.settings import Backbone
from goracs.stages import prepare, weights
from goracs.store import External, Store

PROMPTS = 16
SINGLE = 4  # prompts of which each has a backward pass of its own
TURNS = 3
NAMES = frozenset({"gradient_norm", "loss", "el2n"})
HEAD = ("what", "against", "ratio", "smallest", "largest")
Pass = Callable[[], Any]


class Bench:
    """A task's prompts, in batches, and a backbone with a fresh LoRA."""

    def __init__(self, task: str, words: Sequence[str]) -> None:
        config = composed([f"task={task}", "adapter=init", "dataset.size=200", "dataset.history=5", *words])
        made, store = build(config), Store(Path(config.store.root))
        precision = resolved_precision(made["backbone"].precision, made["runtime"].accelerator)
        backbone = Backbone(**{**vars(made["backbone"]), "precision": precision})
        files = weights.stage(backbone.model)
        place = files.path if isinstance(files, External) else store.get(files).path
        prepared = store.get(prepare.stage(made["dataset"], made["split"], made["task"])).path
        llm = Recommender(place, backbone, made["task"], made["runtime"], prepared)
        self.settings, self.precision, self.loss = made["score"], precision, llm.loss
        self.model = llm.fresh(made["adapter"].lora, 0).requires_grad_(False).eval()  # as it is scored
        texts = llm.read(read_examples(prepared, "train")[:PROMPTS])
        self.read = list(iter(Batches(texts, batches(texts.lengths, backbone.batch_tokens))))
        single = Batches(texts, batches(texts.lengths[:SINGLE], 1))
        self.single = [single[place] for place in range(SINGLE)]
        torch.set_num_threads(made["runtime"].threads or torch.get_num_threads())

    def scored(self) -> None:
        """Gradient norms, losses and EL2N of every prompt."""
        module = gradient.module(self.model, self.loss, self.settings, NAMES)
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

    def scored_few(self) -> None:
        """As `scored`, of a few prompts."""
        module = gradient.module(self.model, self.loss, self.settings, NAMES)
        self._each(module.predict_step, self.single)

    def one_backward_each(self) -> None:
        """A backward pass to all LoRA weights for each of a few prompts."""
        trained = [weight for name, weight in self.model.named_parameters() if "lora_" in name]
        for weight in trained:
            weight.requires_grad_(True)

        def backward(batch: Batch, _: int) -> None:
            torch.autograd.grad(self.loss(self.model, batch).losses.sum(), trained)

        self._each(backward, self.single)
        for weight in trained:
            weight.requires_grad_(False)

    def _each(self, step: Callable[[Batch, int], Any], read: Sequence[Batch]) -> None:
        with self._autocast():
            for place, batch in enumerate(read):
                step(batch, place)

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


def main(words: Sequence[str]) -> None:
    """Print the table."""
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
    ]
    threads = torch.get_num_threads()
    print(f"{PROMPTS} prompts, {ctr.precision}, {threads} threads, torch {torch.__version__}\n")
    print(f"| {' | '.join(HEAD)} |\n|{' --- |' * len(HEAD)}")
    for what, against, ours, theirs in lines:
        found = ratios(ours, theirs)
        shown = [f"{value:.2f}" for value in (median(found), found[0], found[-1])]
        print(f"| {' | '.join([what, against, *shown])} |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
