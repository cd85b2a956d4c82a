"""The model card of an exported run: what it is, how it was made, what it reached, and under which terms."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from goracs.harmless import fenced, in_markdown, shown
from goracs.report.results import Result

PARTS = {
    "untuned": "the backbone untuned",
    "start": "the adapter it started from",
    "tuned": "this model",
    "rule": "the rule of the task, which reads no title",
    "popular": "the rule that ranks by popularity",
    "last_item": "the rule that ranks by what followed the last item",
}
LOAD = {
    True: """from transformers import AutoModelForCausalLM, AutoTokenizer

model = AutoModelForCausalLM.from_pretrained("model")
tokenizer = AutoTokenizer.from_pretrained("model")""",
    False: """from peft import PeftModel
from transformers import AutoModelForCausalLM

model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained({base}), "adapter")""",
}
UNKNOWN = "The data set was configured without a notice: its terms are not known here."
OTHERS = """coreset.json and indices.json are the coreset as the run left it; dataset_info.json names two
data sets for LLaMA-Factory. llama_factory.yaml and axolotl.yaml would train on the same rows with the same
settings (prompts.json has the prompts as this model reads them, none shortened), in this folder:
`llamafactory-cli train llama_factory.yaml`, `axolotl train axolotl.yaml`.
They are written from what these tools document and were not run. What differs: they start from a fresh LoRA,
choose another order, cut what is too long instead of leaving out old history, and take the loss over the
whole vocabulary{apart}."""


def model_card(result: Result, lora: Mapping[str, Any], linears: Sequence[str], merged: bool) -> str:
    """README.md, as Markdown with a head for the hub.

    Args:
        result: of the run.
        lora: the adapter's own config, as peft has it.
        linears: the names of what it adapts.
        merged: whether a full model lies beside it.
    """
    config, coreset = result["config"], result["coreset"]
    rows = f"{coreset['budget']} rows of {in_markdown(config['dataset']['name'])}"
    head = f"---\nlibrary_name: {'transformers' if merged else 'peft'}\ntags: [goracs, recommendation]\n---\n"
    parts = [
        head,
        f"# {in_markdown(config['backbone']['name'])}, fine-tuned on {rows}",
        _facts(result, lora, linears),
        "## What it reached",
        "\n".join(_metrics(result["metrics"])),
        "## How to load it",
        fenced(LOAD[merged].format(base=json.dumps(config["backbone"]["model"])), "python"),
        _prompted(config["task"]["template"]),
        "## Terms of the data",
        in_markdown(config["dataset"].get("notice") or UNKNOWN),
        *_warned(result.get("warnings", [])),
        "## How it was made",
        fenced(result["command"]),
        "\n".join(
            f"- {in_markdown(f'{name} {version}')}" for name, version in result.get("versions", {}).items()
        ),
        "## Beside it",
        OTHERS.format(
            apart=" where ours is over the two answers" if config["task"].get("loss") == "pair" else ""
        ),
    ]
    return shown("\n\n".join(part for part in parts if part) + "\n")


def _facts(result: Result, lora: Mapping[str, Any], linears: Sequence[str]) -> str:
    config, coreset = result["config"], result["coreset"]
    kinds = [name for name, field in {"rsLoRA": "use_rslora", "DoRA": "use_dora"}.items() if lora.get(field)]
    adapter = f"{' and '.join(kinds) or 'LoRA'}, r {lora['r']}, alpha {lora['lora_alpha']}"
    steps = f"{result.get('steps')} steps, {result.get('tokens_trained')} tokens"
    rows = {
        "data": f"{config['dataset']['name']}, task {config['task']['name']}",
        "method": coreset["selector"],
        "budget": f"{coreset['budget']} rows (asked: {coreset['budget_asked']})",
        "seed": result["seed"],
        "backbone": f"{config['backbone']['model']}, computed in {_computed(result)}",
        "adapter": f"{adapter}, on {', '.join(linears)}",
        "training": f"{steps}, lr {config['finetune']['lr']}",
        "fine-tune": f"`{result['digests']['finetune']}` in the store",
    }
    lines = (f"| {name} | {_cell(value)} |" for name, value in rows.items())
    return "\n".join(["| | |", "| --- | --- |", *lines])


def _computed(result: Result) -> str:
    told = result.get("precision") or {}
    quantize = told.get("quantize")
    return f"{told.get('backbone')}{f', weights in {quantize}' if quantize else ''}"


def _metrics(metrics: Mapping[str, Any] | None) -> Iterator[str]:
    """A table: a row for each of what was judged, value [95% interval over users]."""
    judged = {part: found for part in PARTS if (found := (metrics or {}).get(part))}
    if not judged:
        yield "The run ended before it was judged: no figure is known."
        return
    names = list(dict.fromkeys(name for found in judged.values() for name in found))
    yield f"| | {' | '.join(map(_cell, names))} |"
    yield f"| --- |{' --- |' * len(names)}"
    for part, found in judged.items():
        yield f"| {PARTS[part]} | {' | '.join(_figure(found.get(name)) for name in names)} |"
    most = max(figure["n"] for found in judged.values() for figure in found.values())
    yield f"\nValue [95% interval over users], one run of one seed, {most} examples at most."


def _figure(figure: Mapping[str, Any] | None) -> str:
    if figure is None or figure["value"] is None:
        return "-"
    interval = "" if figure["low"] is None else f" [{figure['low']:.3f}, {figure['high']:.3f}]"
    return f"{figure['value']:.3f}{interval}"


def _prompted(template: str) -> str:
    if template == "chat":
        return "A prompt is the backbone's chat template, with instruction and input as the user's message."
    return f"A prompt is this, filled; the answer follows directly:\n\n{fenced(template)}"


def _warned(warnings: Sequence[str]) -> list[str]:
    return ["## Warnings", "\n".join(f"- {in_markdown(warning)}" for warning in warnings)] if warnings else []


def _cell(value: object) -> str:
    return in_markdown(str(value)).replace("|", "\\|").replace("\n", " ")
