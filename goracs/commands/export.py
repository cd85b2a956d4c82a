"""The word `export`: a run as a folder to give away: adapter or merged model, card, coreset, recipes.

    goracs export JOB_FOLDER FOLDER [merged=true] [--store FOLDER]

The folder is there whole or not at all; merged=true writes a full model, model/, that transformers loads.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from goracs.config import usual_store
from goracs.finished import TRUST, Finished, opened
from goracs.report import model_card, recipes
from goracs.report.results import read_left
from goracs.types import GoracsError, InvalidInput

CORESET = ("coreset.json", "dataset_info.json", "indices.json")
ADAPTER, MODEL = "adapter", "model"
MERGED = ("merged=false", "merged=true")


def run(words: Sequence[str]) -> int:
    """Write the folder that the words ask for; the exit code."""
    parser = argparse.ArgumentParser(prog="goracs export", description="A run as a folder to give away.")
    parser.add_argument("run", type=Path, metavar="JOB_FOLDER", help="of a run that ended well")
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="is made; nothing may be there")
    parser.add_argument("merged", nargs="?", default=MERGED[0], metavar=MERGED[1], help="a full model")
    parser.add_argument("--store", type=Path, metavar="FOLDER", help="store.root of the run, if it was given")
    parser.add_argument(TRUST, action="store_true", help="run Python code that comes with its model")
    asked = parser.parse_args(words)
    try:
        if asked.merged not in MERGED:
            raise InvalidInput(f"'{asked.merged}' is no word of goracs export: {MERGED[1]}, or nothing.")
        finished = exportable(asked.run, asked.store or usual_store(), asked.trust_remote_code)
        with _filled(asked.folder) as partial:
            _export(finished, asked.merged == MERGED[1], partial)
    except (GoracsError, OSError) as error:  # OSError: a place where nothing can be written
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(asked.folder)
    return 0


def exportable(folder: Path, store: Path, trusted: bool) -> Finished:
    """A run that left an adapter and its coreset.

    Raises:
        GoracsError: it did not (see `goracs.finished`), or its folder has lost files of the coreset.
    """
    run = opened(folder, store, trusted=trusted)
    missing = [name for name in CORESET if not (folder / name).is_file()]
    if missing:
        raise InvalidInput(f"{folder} has no {', '.join(missing)}: its command, run again, brings it back.")
    return run


def _export(run: Finished, merged: bool, out: Path) -> None:
    from goracs.llm import saved_adapter

    tuned, result = run.adapter, run.result
    lora = json.loads((tuned / saved_adapter.CONFIG).read_text())
    linears = sorted(saved_adapter.linears(tuned))
    for name in CORESET:
        shutil.copyfile(run.folder / name, out / name)
    prompts = _prompts(run)
    if merged:
        _merge(run, [row["instruction"] for row in prompts[:4]], out / MODEL)
    else:
        shutil.copytree(tuned, out / ADAPTER)
    _write(out / recipes.PROMPTS, prompts)
    known = read_left(run.folder / "dataset_info.json")
    _write(out / "dataset_info.json", {**known, recipes.DATASET: recipes.dataset_info()})
    for name, recipe in {"llama_factory": recipes.llama_factory, "axolotl": recipes.axolotl}.items():
        told = OmegaConf.to_yaml(OmegaConf.create(recipe(result, lora, linears)))
        (out / f"{name}.yaml").write_text(told, encoding="utf-8")
    card = model_card.model_card(result, lora, linears, merged)
    (out / "README.md").write_text(card, encoding="utf-8")


def _prompts(run: Finished) -> list[dict[str, str]]:
    """The coreset's prompts as the LLM read them (see `goracs.report.recipes`)."""
    from goracs.data.prompts import framed
    from goracs.llm.backbone import load_tokenizer

    config = run.result["config"]
    task, trust = config["task"], config["backbone"].get("trust_remote_code", False)
    rows = read_left(run.folder / CORESET[0])
    tokenizer = load_tokenizer(run.weights, trust)
    end = "" if task["name"] == "ctr" else tokenizer.eos_token
    prompts = []
    for row in rows:
        turns, answer = [tuple(turn) for turn in row.get("history") or []], row["output"]
        said = (row["instruction"], row["input"], task["template"], tokenizer)
        whole = framed(*said, system=row.get("system") or "", turns=turns)
        prompts.append({"instruction": whole, "input": "", "output": answer, "ended": answer + end})
    return prompts


def _merge(run: Finished, texts: Sequence[str], out: Path) -> None:
    from goracs.llm.merge import merge

    if quantized := run.result["config"]["backbone"].get("quantize"):
        raise InvalidInput(
            f"this adapter was trained on weights in {quantized}; no merged model would answer as "
            "it does on them: export it without merged=true."
        )
    merge(run.weights, run.settings("backbone")["backbone"], run.adapter, texts, out)


def _write(file: Path, value: Any) -> None:
    file.write_text(json.dumps(value, indent=1, ensure_ascii=False), encoding="utf-8")


@contextmanager
def _filled(out: Path) -> Iterator[Path]:
    """A folder that becomes `out` when all went well, and is gone otherwise.

    Raises:
        InvalidInput: there is something at its place, or at that of the folder it is gathered in.
    """
    out = out.resolve()
    partial = out.parent / f"{out.name}.partial"
    for place in (out, partial):
        if place.exists():
            raise InvalidInput(f"{place} is there already: name another FOLDER, or move it away.")
    partial.mkdir(parents=True)
    try:
        yield partial
        partial.rename(out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
