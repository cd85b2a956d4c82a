"""The initial adapter in peft format: where gradients are taken and every fine-tune starts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from goracs.llm.settings import AdapterSettings, InitAdapter, PathAdapter
from goracs.stages.common import (
    PROMPTS,
    Llm,
    checkpoint,
    examples,
    spec,
    spread,
    trained_by,
    without,
    write_json,
)
from goracs.store import External, Stage, digest, file_digest
from goracs.types import GoracsError


def stage(llm: Llm, settings: AdapterSettings) -> Stage:
    """The initial adapter in peft format: where gradients are taken and every fine-tune starts.

    Raises:
        GoracsError: the folder of a given adapter has none that can be used.
    """
    if isinstance(settings, PathAdapter):
        return _given(llm, settings)

    def build(folder: Path, inputs: Mapping[str, Path]) -> None:
        from goracs.llm import adapter
        from goracs.llm.finetune import warm_up

        opened = llm.open(inputs)
        if isinstance(settings, InitAdapter):
            adapter.save(opened.fresh(settings.lora, settings.seed), folder / "adapter")
        else:
            warm_up(opened, examples(inputs, "train"), settings, folder, checkpoint(folder))
            write_json(folder / PROMPTS, opened.prompts)

    params = {"adapter": spec(settings), **llm.params}
    if isinstance(settings, InitAdapter):
        return Stage("adapter", 4, without(params, "loss"), without(llm.inputs, "prepare"), build)
    trained = {**params, **trained_by(llm.runtime)}
    version = 5 if settings.checkpoints > 1 else 4  # since when Adam's moments lie beside each checkpoint
    return Stage("adapter", version, trained, llm.inputs, spread(llm.runtime, build))


def look(settings: AdapterSettings) -> None:
    """Raise GoracsError where the folder of a given adapter has none; its content is read later."""
    if isinstance(settings, PathAdapter):
        _folder(settings)


def linears(settings: AdapterSettings) -> frozenset[str] | None:
    """The names of the linears that an adapter is for; None where only the backbone can tell."""
    if isinstance(settings, PathAdapter):
        from goracs.llm import saved_adapter

        return saved_adapter.linears(_folder(settings))
    return settings.lora.linears()


def doubts(settings: AdapterSettings, backbone: str) -> tuple[str, ...]:
    """What the user of a given adapter should know, in sentences."""
    if not isinstance(settings, PathAdapter):
        return ()
    from goracs.llm import saved_adapter

    return saved_adapter.doubts(_folder(settings), backbone)


def _given(llm: Llm, settings: PathAdapter) -> Stage:
    """An adapter trained elsewhere, as it is loaded on this backbone: what does not fit ends here."""
    from goracs.llm import saved_adapter

    folder = _folder(settings)
    saved_adapter.read(folder)  # refused before anything is built
    files = (folder / saved_adapter.CONFIG, saved_adapter.weights_file(folder))
    key = digest({file.name: file_digest(file) for file in files})

    def build(into: Path, inputs: Mapping[str, Path]) -> None:
        from goracs.llm import adapter

        adapter.save(llm.open(inputs).adapted(inputs["given"]), into / "adapter")

    inputs = {"weights": llm.files, "given": External("given", key, folder)}
    return Stage("adapter", 2, {"adapter": {"kind": "PathAdapter"}}, inputs, build)


def _folder(settings: PathAdapter) -> Path:
    folder = Path(settings.path)
    if not (folder / "adapter_config.json").is_file():
        raise GoracsError(
            f"adapter.path={folder} is no peft adapter: {folder / 'adapter_config.json'} is missing."
        )
    return folder
