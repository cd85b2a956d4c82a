"""Every configured value enters the keys of the stages that it changes, and no others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from goracs.config import build, conf_dir
from goracs.data.prepare import PARTS
from goracs.data.readers.movielens import BUNDLED
from goracs.pipeline import Job, Line
from goracs.store import Stage, Store

ROADS = {
    "ctr": ["task=ctr", "adapter=warmup", "selector=goracs", "features=embedding", "task.lam=0.2"],
    "seqrec": ["task=seqrec", "adapter=init", "selector=kcenter", "features=sketch"],
    "plain": ["task=seqrec", "adapter=init", "selector=random"],
    "influence": ["task=seqrec", "adapter=init", "selector=dealrec"],
    "proxy": [
        "task=ctr",
        "adapter=warmup",
        "selector=goracs",
        "features=embedding",
        "task.lam=0.2",
        "backbone@proxy=tiny",
    ],
}
FILES = {  # of which the settings of the data set are looked at; no file is read but for its digest
    "tables": ["dataset=interactions", "dataset.interactions={file}", "dataset.items={file}"],
    "2014": ["dataset=amazon2014", "dataset.reviews={file}", "dataset.items={file}"],
    "2018": ["dataset=amazon2018", "dataset.reviews={file}", "dataset.items={file}"],
    "2023": ["dataset=amazon2023", "dataset.reviews={file}", "dataset.items={file}"],
    "sequences": ["dataset=sequences", *(f"dataset.{part}={{file}}" for part in (*PARTS, "items"))],
    "prompts": ["dataset=prompts", *(f"dataset.{part}={{file}}" for part in PARTS)],
}
READ = {
    "fits",
    "score",
    "finetune",
    "evaluate",
    "evaluate_untuned",
    "adapter",
    "evaluate_start",
    "states",
}  # by the LLM
ASKED = {"evaluate", "evaluate_untuned", "evaluate_start"}
BY_PROXY = {"proxy_fits", "proxy_adapter", "score"}  # on a road that has one
RULES = {"rule", "popular", "last_item"}
STAGES: dict[str, set[str]] = {  # what a value, or all below a name, is a parameter of
    "dataset": {"prepare"},
    "dataset.name": set(),
    "dataset.notice": set(),
    "dataset.path": set(),  # its files enter by content
    "dataset.ties": {"prepare"},  # as split.ties
    "split": {"prepare"},
    "task": {"prepare"},
    "task.embed_output": {"embed"},
    "task.loss": {"score", "adapter", "finetune", "proxy_adapter"},
    "task.lam": {"select", "assess"},
    "task.by_class": {"select"},
    "task.published_lam": set(),  # of the paper's selectors
    "task.max_exchanges": set(),  # of selectors that are not asked here
    "task.candidates": set(),
    "encoder.max_length": {"embed"},
    "encoder.batch_tokens": {"embed"},
    "encoder.name": set(),
    "backbone.precision": READ - {"fits"},
    "backbone.max_length": READ,
    "backbone.batch_tokens": READ - {"fits"},
    "backbone.attention": READ - {"fits"},
    "backbone.quantize": READ - {"fits"},
    "backbone.trust_remote_code": READ,
    "backbone.name": set(),
    "proxy.precision": BY_PROXY - {"proxy_fits"},
    "proxy.max_length": BY_PROXY,
    "proxy.batch_tokens": BY_PROXY - {"proxy_fits"},
    "proxy.attention": BY_PROXY - {"proxy_fits"},
    "proxy.quantize": BY_PROXY - {"proxy_fits"},
    "proxy.trust_remote_code": BY_PROXY,
    "proxy.name": set(),
    "adapter": {"adapter", "proxy_adapter"},
    "score.layer": {"score"},
    "score.depth": {"score"},
    "score.matrices": {"score"},
    "score.sketch_dim": {"score"},
    "score.sketch_seed": {"score"},
    "score.together": {"score", "fits", "proxy_fits"},  # hidden states are of the validation set too
    "surrogate": {"influence"},
    "surrogate.name": set(),
    "features": {"features"},
    "selector": {"select"},
    "finetune": {"finetune"},
    "finetune.patience": {"finetune", "fits"},  # the validation set is read
    "evaluate": ASKED,
    "evaluate.part": {*ASKED, *RULES, "fits", "states"},
    "evaluate.draws": {*ASKED, *RULES},
    "evaluate.method": ASKED,
    "evaluate.likelihood": ASKED,
    "evaluate.seed": {*ASKED, *RULES},
    "evaluate.candidates": {*ASKED, "fits", "popular", "last_item"},
    "evaluate.negatives": {*ASKED, "fits", "popular", "last_item"},
    "seed": {"select", "finetune"},
    "until": set(),
    "runtime": set(),
    "cluster": set(),  # the same coreset everywhere
    "runtime.devices": {"adapter", "finetune", "proxy_adapter"},  # sums in another order, other dropout
    "runtime.nodes": {"adapter", "finetune", "proxy_adapter"},
    "logger": set(),
    "store": set(),
    "sweep": set(),
}
IDLE: dict[str, dict[str, set[str]]] = {  # of a road: what has no part in one of the stages named above
    "ctr": {
        "seed": {"select"},  # nothing is drawn
        "score.sketch_dim": {"score"},  # no sketch is made
        "score.sketch_seed": {"score"},
        "backbone.precision": {"evaluate_start"},  # it is read from states
        "backbone.max_length": {"evaluate_start"},
        "backbone.attention": {"evaluate_start"},
        "backbone.quantize": {"evaluate_start"},
        "backbone.trust_remote_code": {"evaluate_start"},
        "backbone.batch_tokens": {"evaluate_start"},
        "evaluate": {"evaluate_start"},
        "evaluate.method": ASKED,  # nothing is ranked
        "evaluate.likelihood": ASKED,
        "evaluate.candidates": {"fits", "evaluate_start"},
        "evaluate.negatives": {"fits", "evaluate_start"},
    },
    "seqrec": {
        "task.loss": {"adapter"},  # it is not trained
        "score.together": {"fits"},  # sketches are of the validation set anyway
        "finetune.patience": {"fits"},
        "runtime.devices": {"adapter"},  # it is not trained
        "runtime.nodes": {"adapter"},
        "task.embed_output": {"embed"},  # nothing is embedded
        "encoder.max_length": {"embed"},
        "encoder.batch_tokens": {"embed"},
        "task.lam": {"select"},  # not read by this selector
        "task.by_class": {"select"},
    },
    "influence": {
        "task.loss": {"adapter"},
        "runtime.devices": {"adapter"},
        "runtime.nodes": {"adapter"},
        "score.sketch_dim": {"score"},
        "score.sketch_seed": {"score"},
        "task.lam": {"select"},
        "task.by_class": {"select"},
    },
    "plain": {
        "task.loss": {"adapter"},
        "runtime.devices": {"adapter"},
        "runtime.nodes": {"adapter"},
        "score.sketch_dim": {"score"},
        "score.sketch_seed": {"score"},
        "task.lam": {"select"},
        "task.by_class": {"select"},
    },
}
BACKBONE = [f"backbone.{name}" for name in ("precision", "max_length", "batch_tokens", "attention")]
BACKBONE += ["backbone.quantize", "backbone.trust_remote_code"]
IDLE["proxy"] = IDLE["ctr"] | {name: {"score", "evaluate_start"} for name in BACKBONE}
IDLE["proxy"]["score.together"] = {"fits"}  # it is the proxy that reads the validation set
SKIP = object()
OTHER: dict[str, Any] = {  # another legal value, where none can be guessed
    "dataset.path": SKIP,
    "dataset.scale": [0, 5],
    "dataset.interactions": SKIP,
    "dataset.items": None,
    "dataset.reviews": SKIP,
    "dataset.train": SKIP,
    "dataset.valid": SKIP,
    "dataset.test": SKIP,
    "dataset.items_separator": "tab",
    "sequences dataset.items": SKIP,  # which has to be there
    "dataset.titles": "released",
    "dataset.brand": "always",
    "dataset.separator": ";",
    "dataset.time_unit": "ms",
    "dataset.duplicates": "drop",
    "dataset.ties": "file",
    "dataset.title_markup": "keep",
    "dataset.sample": "newest",
    "dataset.expected": {"events": 5},
    "split.ties": "file",
    "task.instruction": "{items}?",
    "task.input": "{item}",
    "task.template": "chat",
    "encoder.model": SKIP,
    "backbone.model": SKIP,
    "backbone.precision": "bf16",
    "backbone.attention": "eager",
    "backbone.quantize": SKIP,  # refused without a GPU
    "proxy.model": SKIP,
    "proxy.precision": "bf16",
    "proxy.attention": "eager",
    "proxy.quantize": SKIP,
    "adapter.lora.targets": ["q_proj", "v_proj", "k_proj"],
    "task.loss": "answer",
    "score.adam": SKIP,  # nor this without it
    "score.course": SKIP,  # not every start has one (tests/pipeline/test_scores_road.py)
    "score.layer": "q_proj",
    "score.depth": "all",
    "score.matrices": "AB",
    "surrogate.width": 128,
    "surrogate.heads": 4,
    "features.scale": "unit",
    "features.reduce": "random",
    "score.together": ["hidden"],
    "task.lam": 0.3,
    "selector.lam": 0.35,
    "selector.grid": [0, 0.3],
    **{f"{road} selector.by_class": SKIP for road in ("seqrec", "plain", "influence")},  # no labels
    "selector.effort": "start",
    "selector.start": SKIP,
    "finetune.epochs": 9,
    "finetune.steps": SKIP,  # exactly one of the three is given
    "finetune.tokens": SKIP,
    "adapter.training.epochs": 9,
    "adapter.training.steps": SKIP,
    "adapter.training.tokens": SKIP,
    "evaluate.part": "valid",
    "evaluate.candidates": "popular",
    "evaluate.method": "likelihood",
    "evaluate.likelihood": "sum",
    "until": SKIP,
    "assess": SKIP,
    "budget": SKIP,
    "runtime.accelerator": "auto",
    "logger.kind": "csv",
}


def leaves(value: Any, prefix: str = "") -> Iterator[str]:
    for name, inner in value.items():
        if isinstance(inner, Mapping):
            yield from leaves(inner, f"{prefix}{name}.")
        elif name != "_target_":
            yield f"{prefix}{name}"


@cache
def composed(road: str) -> DictConfig:
    words = ["backbone=tiny", "encoder=tiny", "assess=true", "runtime.accelerator=cpu", *ROADS.get(road, [])]
    words += [word.format(file=BUNDLED / "movies.csv") for word in FILES.get(road, [])]
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        return compose("config", overrides=words)


def parameters(config: DictConfig) -> dict[str, Any]:
    """The parameters of every stage of a road, by name; nothing is built."""
    plain: Any = OmegaConf.to_container(config, resolve=True)
    line = Line(Job(build(config), plain, "", ""), Store(Path(config.store.root)))
    line.__dict__["budget"] = 8  # of the pool's size, which only the data know
    return {
        name: source.params for name, source in line.upto("evaluate").items() if isinstance(source, Stage)
    }


def changed(value: Any) -> Any:
    match value:
        case bool():
            return not value
        case int():
            return value + 1
        case float():
            return value / 2 or 0.5
        case None:
            return 7
        case str():
            return f"{value}s"
    raise AssertionError(f"say in OTHER what else {value!r} may be")


def expected(road: str, name: str) -> set[str]:
    parts = name.split(".")
    of = next(key for n in range(len(parts), 0, -1) if (key := ".".join(parts[:n])) in STAGES)
    return STAGES[of] - IDLE.get(road, {}).get(of, set())


@pytest.mark.parametrize("road", [*ROADS, *FILES])
def test_a_changed_value_is_in_the_keys_of_the_stages_it_changes_and_no_others(road: str) -> None:
    before, wrong = parameters(composed(road)), {}
    for name in leaves(OmegaConf.to_container(composed(road))):
        config = composed(road).copy()
        old = OmegaConf.select(config, name)
        other = next((key for key in (f"{road} {name}", name) if key in OTHER), None)
        value = OTHER[other] if other else changed(old)
        if value is SKIP or (road in FILES and not name.startswith("dataset.")):
            continue
        OmegaConf.update(config, name, value, merge=False, force_add=True)
        after = parameters(config)
        found = {stage for stage in before.keys() | after if before.get(stage) != after.get(stage)}
        if found != expected(road, name) & before.keys():
            wrong[name] = (found, expected(road, name) & before.keys())
    assert wrong == {}


def test_what_must_fit_is_what_the_llm_reads_and_no_other_part() -> None:
    """Sketches and hidden states are made of the validation set too; else nobody reads its prompts."""
    assert parameters(composed("ctr"))["fits"]["parts"] == ["train", "test"]
    chosen = composed("ctr").copy()
    chosen.task.lam = "auto"
    assert parameters(chosen)["fits"]["parts"] == ["train", "valid", "test"]
    assert parameters(composed("seqrec"))["fits"]["parts"] == ["train", "valid", "test"]
