"""The word `export`: a run as a folder to give away: adapter or merged model, card, coreset, recipes.

    goracs export JOB_FOLDER FOLDER [merged=true] [--store FOLDER]

The folder is there whole or not at all; merged=true writes a full model, model/, that transformers loads.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from goracs.config import usual_store
from goracs.report import model_card, recipes
from goracs.report.results import Result, read_result
from goracs.types import GoracsError, InvalidInput

CORESET = ("coreset.json", "dataset_info.json", "indices.json")
HEAD = "goracs.llm.settings.Head"
ADAPTER, MODEL = "adapter", "model"
MERGED = ("merged=false", "merged=true")


def run(words: Sequence[str]) -> int:
    """Write the folder that the words ask for; the exit code."""
    parser = argparse.ArgumentParser(prog="goracs export", description="A run as a folder to give away.")
    parser.add_argument("run", type=Path, metavar="JOB_FOLDER", help="of a run that ended well")
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="is made; nothing may be there")
    parser.add_argument("merged", nargs="?", default=MERGED[0], metavar=MERGED[1], help="a full model")
    parser.add_argument("--store", type=Path, metavar="FOLDER", help="store.root of the run, if it was given")
    asked = parser.parse_args(words)
    try:
        if asked.merged not in MERGED:
            raise InvalidInput(f"'{asked.merged}' is no word of goracs export: {MERGED[1]}, or nothing.")
        result = exportable(asked.run)
        with _filled(asked.folder) as partial:
            _export(result, asked.run, asked.store or usual_store(), asked.merged == MERGED[1], partial)
    except (GoracsError, OSError) as error:  # OSError: a place where nothing can be written
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(asked.folder)
    return 0


def exportable(folder: Path) -> Result:
    """The result of a run that left an adapter.

    Raises:
        GoracsError: no result, one that ended before finetune or fitted a head, a coreset that is not there.
    """
    result = read_result(folder / "result.json")
    if "finetune" not in result["digests"]:
        raise InvalidInput(
            f"{folder} has no fine-tune: its run ended before it (until={result['config'].get('until')}). "
            "Give the command again without until."
        )
    if result["config"]["finetune"]["_target_"] == HEAD:
        raise InvalidInput(
            f"{folder} has a head over hidden states (finetune=head) and no adapter, which another tool "
            "could load: only a fine-tune can be exported."
        )
    missing = [name for name in CORESET if not (folder / name).is_file()]
    if missing:
        raise InvalidInput(f"{folder} has no {', '.join(missing)}: its command, run again, brings it back.")
    return result


def _export(result: Result, folder: Path, store: Path, merged: bool, out: Path) -> None:
    from goracs.llm import saved_adapter

    tuned = _kept(result, store) / ADAPTER
    lora = json.loads((tuned / saved_adapter.CONFIG).read_text())
    linears = sorted(saved_adapter.linears(tuned))
    for name in CORESET:
        shutil.copyfile(folder / name, out / name)
    prompts = _prompts(result, json.loads((folder / CORESET[0]).read_text(encoding="utf-8")), store)
    if merged:
        _merge(result, tuned, [row["instruction"] for row in prompts[:4]], store, out / MODEL)
    else:
        shutil.copytree(tuned, out / ADAPTER)
    _write(out / recipes.PROMPTS, prompts)
    known = json.loads((out / "dataset_info.json").read_text(encoding="utf-8"))
    _write(out / "dataset_info.json", {**known, recipes.DATASET: recipes.dataset_info()})
    for name, recipe in {"llama_factory": recipes.llama_factory, "axolotl": recipes.axolotl}.items():
        told = OmegaConf.to_yaml(OmegaConf.create(recipe(result, lora, linears)))
        (out / f"{name}.yaml").write_text(told, encoding="utf-8")
    card = model_card.model_card(result, lora, linears, merged)
    (out / "README.md").write_text(card, encoding="utf-8")


def _kept(result: Result, store: Path) -> Path:
    """The fine-tune's artifact."""
    from goracs.store import Store

    key = result["digests"]["finetune"]
    found = Store(store).kept("finetune", key)
    if found is None:
        raise InvalidInput(
            f"the store {store} does not hold the fine-tune of this run (finetune/{key[:24]}): name the "
            f"store that does by --store FOLDER, or bring it back: {result['command']}"
        )
    return found.path


def _weights(result: Result, store: Path) -> Path:
    """The folder of the backbone that the run had."""
    from goracs.stages import weights
    from goracs.store import Store

    model = result["config"]["backbone"]["model"]
    source = weights.stage(model)
    if source.key != result["digests"]["weights"]:
        raise InvalidInput(
            f"backbone.model={model} is another today than it was in this run: its files have changed."
        )
    return Store(store).folder(source)


def _prompts(result: Result, rows: Sequence[Mapping[str, Any]], store: Path) -> list[dict[str, str]]:
    """The coreset's prompts as the LLM read them (see `goracs.report.recipes`)."""
    from goracs.data.prompts import framed
    from goracs.llm.backbone import load_tokenizer

    task, trust = result["config"]["task"], result["config"]["backbone"].get("trust_remote_code", False)
    tokenizer = load_tokenizer(_weights(result, store), trust)
    end = "" if task["name"] == "ctr" else tokenizer.eos_token
    prompts = []
    for row in rows:
        turns, answer = [tuple(turn) for turn in row.get("history", [])], row["output"]
        said = (row["instruction"], row["input"], task["template"], tokenizer)
        whole = framed(*said, system=row.get("system", ""), turns=turns)
        prompts.append({"instruction": whole, "input": "", "output": answer, "ended": answer + end})
    return prompts


def _merge(result: Result, tuned: Path, texts: Sequence[str], store: Path, out: Path) -> None:
    from goracs.llm.merge import merge
    from goracs.llm.settings import Backbone

    config = {name: value for name, value in result["config"]["backbone"].items() if name != "_target_"}
    if config.get("quantize"):
        raise InvalidInput(
            f"this adapter was trained on weights in {config['quantize']}; no merged model would answer as "
            "it does on them: export it without merged=true."
        )
    try:
        backbone = Backbone(**config)
    except TypeError as error:
        raise InvalidInput(
            "the run is of an earlier version of goracs, whose backbones had other settings: run its "
            f"command again ({result['command']}), or export it without merged=true."
        ) from error
    merge(_weights(result, store), backbone, tuned, texts, out)


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
