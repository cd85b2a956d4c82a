"""What a backbone's settings ask of the machine: refused before anything is built where it is not there."""

from __future__ import annotations

import importlib.util

from goracs.llm.precision import has_gpu, surely_none
from goracs.llm.settings import Backbone
from goracs.types import InvalidInput

FLASH = "flash_attention_2"
INSTALL = {
    "flash_attn": "pip install flash-attn --no-build-isolation",
    "bitsandbytes": "pip install 'goracs[quantize]'",
}


def refuse_no_gpu(accelerator: str) -> None:
    """Raise InvalidInput where a GPU is asked for and the machine shows none; torch is not imported."""
    if surely_none(accelerator):
        raise no_device(accelerator)


def refuse_unavailable(backbone: Backbone, accelerator: str) -> None:
    """Raise InvalidInput for the first setting that this machine cannot serve; `precision` must be resolved.

    Args:
        backbone: the settings.
        accelerator: the Trainer's; with cpu, a GPU that is there does not count.
    """
    if backbone.attention == FLASH:
        _refuse_absent(f"backbone.attention={FLASH}", "flash_attn", accelerator)
        if backbone.precision == "float32":
            raise InvalidInput(
                f"backbone.attention={FLASH} computes in bf16 or fp16 alone; backbone.precision is float32."
            )
    if backbone.quantize:
        _refuse_absent(f"backbone.quantize={backbone.quantize}", "bitsandbytes", accelerator)


def no_device(accelerator: str) -> InvalidInput:
    """What to say where it is not there."""
    return InvalidInput(
        f"runtime.accelerator={accelerator}, and torch finds none on this machine: take "
        "runtime.accelerator=auto, or see that its driver and torch go together."
    )


def _refuse_absent(setting: str, package: str, accelerator: str) -> None:
    if not has_gpu(accelerator):
        raise InvalidInput(
            f"{setting} needs a CUDA GPU, and this run has none (runtime.accelerator={accelerator}): "
            "leave it out here."
        )
    if importlib.util.find_spec(package) is None:
        raise InvalidInput(f"{setting} needs a package that is not installed: {INSTALL[package]}")
