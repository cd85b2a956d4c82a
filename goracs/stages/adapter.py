"""The initial adapter in peft format: where gradients are taken and every fine-tune starts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from goracs.llm.settings import AdapterSettings, InitAdapter, PathAdapter
from goracs.stages.common import PROMPTS, Llm, Source, examples, spec, without, write_json
from goracs.store import External, Stage, folder_digest
from goracs.types import GoracsError


def stage(llm: Llm, settings: AdapterSettings) -> Source:
    """The initial adapter in peft format: where gradients are taken and every fine-tune starts."""
    if isinstance(settings, PathAdapter):
        return External("adapter", folder_digest(_adapter_folder(settings.path)), Path(settings.path))

    def build(folder: Path, inputs: Mapping[str, Path]) -> None:
        from goracs.llm import adapter
        from goracs.llm.finetune import warm_up

        opened = llm.open(inputs)
        if isinstance(settings, InitAdapter):
            adapter.save(opened.fresh(settings.lora, settings.seed), folder / "adapter")
        else:
            warm_up(opened, examples(inputs, "train"), settings, folder)
            write_json(folder / PROMPTS, opened.prompts)

    inputs = without(llm.inputs, "prepare") if isinstance(settings, InitAdapter) else llm.inputs
    return Stage("adapter", 3, {"adapter": spec(settings), **llm.params}, inputs, build)


def _adapter_folder(path: str) -> Path:
    folder = Path(path)
    if not (folder / "adapter_config.json").is_file():
        raise GoracsError(
            f"adapter.path={path} is no peft adapter: {folder / 'adapter_config.json'} is missing."
        )
    return folder
