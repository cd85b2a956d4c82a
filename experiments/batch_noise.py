"""How far Yes/No margins move by `backbone.batch_tokens` alone, in each precision: a Markdown table.

`python -m experiments.batch_noise [override ...]`, as in `backbone=hf backbone.model=FOLDER`; with
`adapter=path adapter.path=FOLDER` the margins are those of a tuned backbone. The first prompts of the pool
are asked with each bound; the figure is the largest difference between the answers to one prompt.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from hydra import compose, initialize_config_dir

from goracs.config import build, conf_dir, store_root
from goracs.data.prepare import read_examples
from goracs.llm.answers import answer
from goracs.llm.recommender import Recommender
from goracs.llm.settings import PathAdapter
from goracs.stages import prepare, weights
from goracs.store import External, Stage, Store
from goracs.types import FloatArray

PROMPTS = 64
BOUNDS = (256, 1024, 4096)
HEAD = ("precision", "mean |margin|", "largest move", "mean move", "batch_tokens", "seconds")


def measured(words: Sequence[str], precision: str) -> FloatArray:
    """[bounds, prompts] float32; the margin of each prompt under each bound."""
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        config = compose("config", overrides=["adapter=init", *words])
    made, store = build(config), Store(store_root(config))
    prepared = store.get(prepare.stage(made["dataset"], made["split"], made["task"])).path
    examples, margins = read_examples(prepared, "train")[:PROMPTS], []
    for bound in BOUNDS:
        backbone = replace(made["backbone"], precision=precision, batch_tokens=bound)
        files = _folder(weights.stage(backbone.model), store)
        llm = Recommender(files, backbone, made["task"], made["runtime"], prepared)
        given = made["adapter"]
        model = llm.adapted(Path(given.path)) if isinstance(given, PathAdapter) else llm.bare()
        margins.append(answer(model, llm.pair, llm.asked(examples), llm.job("answers", "")))
    return np.stack(margins)


def _folder(source: Stage | External, store: Store) -> Path:
    return source.path if isinstance(source, External) else store.get(source).path


def main(words: Sequence[str]) -> None:
    """Print the table."""
    print(f"| {' | '.join(HEAD)} |\n|{' --- |' * len(HEAD)}")
    for precision in ("float32", "bf16"):
        started = time.perf_counter()
        margins = measured(words, precision)
        moved = np.ptp(margins, axis=0)
        bounds, seconds = ", ".join(map(str, BOUNDS)), time.perf_counter() - started
        figures = f"{np.abs(margins).mean():.3g} | {moved.max():.2g} | {moved.mean():.2g}"
        print(f"| {precision} | {figures} | {bounds} | {seconds:.0f} |")


if __name__ == "__main__":
    main(sys.argv[1:])
