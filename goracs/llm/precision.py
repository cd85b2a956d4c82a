"""The precision a backbone computes in, as this machine has it; torch is imported only where it must be.

Why   every run asks before its first stage, also one whose result is in the store, and torch takes seconds
      to import. Where Linux shows no GPU at all, its list of CPU features has the answer.
"""

from __future__ import annotations

from pathlib import Path

from goracs.types import InvalidInput

KNOWN = ("bf16", "fp16", "float32")
BF16_FEATURES = ("avx512_bf16", "amx_bf16", "bf16")
GPU_DEVICES = ("nvidia*", "kfd", "dxg")  # NVIDIA's, AMD's, Windows' below Linux
ROOT = Path("/")


def resolved_precision(precision: str, accelerator: str) -> str:
    """`auto` as this machine has it: bf16 where that is native, else fp16 on a GPU, float32 on a CPU.

    Args:
        precision: auto, bf16, fp16 or float32.
        accelerator: the Trainer's; with cpu, a GPU that is there does not count.

    Raises:
        InvalidInput: neither auto nor a known precision; fp16 without a GPU.
    """
    if precision == "auto":
        if has_native_bf16(accelerator):
            return "bf16"
        return "fp16" if has_gpu(accelerator) else "float32"
    if precision not in KNOWN:
        raise InvalidInput(f"backbone.precision must be auto, bf16, fp16 or float32, got '{precision}'.")
    if precision == "fp16" and not has_gpu(accelerator):
        raise InvalidInput(
            "backbone.precision=fp16 needs a CUDA GPU, and this run has none (runtime.accelerator="
            f"{accelerator}): on a CPU Lightning would compute in bf16 instead. Take bf16 or float32."
        )
    return precision


def has_native_bf16(accelerator: str, system: Path = ROOT) -> bool:
    """Whether the GPU, or a CPU without one, computes bf16 natively; `system` is where to look."""
    if has_gpu(accelerator, system):
        import torch

        return torch.cuda.is_bf16_supported(including_emulation=False)
    if features := _cpu_features(system):
        return any(name in features for name in BF16_FEATURES)
    import torch

    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name, False) for name in BF16_FEATURES)


def has_gpu(accelerator: str, system: Path = ROOT) -> bool:
    """Whether the run has a GPU that torch calls cuda."""
    if accelerator == "cpu" or (_cpu_features(system) and not _may_have_gpu(system)):
        return False
    import torch

    return torch.cuda.is_available()


def surely_none(accelerator: str, system: Path = ROOT) -> bool:
    """Whether the run asks for a GPU on a machine that shows none; what it shows may still not work."""
    return accelerator in ("gpu", "mps") and bool(_cpu_features(system)) and not _may_have_gpu(system)


def _may_have_gpu(system: Path) -> bool:
    return any(True for pattern in GPU_DEVICES for _ in (system / "dev").glob(pattern))


def _cpu_features(system: Path) -> list[str]:
    """The features of the first CPU as Linux lists them; none where the system is another."""
    file = system / "proc" / "cpuinfo"
    for line in file.read_text(errors="replace").splitlines() if file.is_file() else []:
        name, _, features = line.partition(":")
        if name.strip() in ("flags", "Features"):
            return features.split()
    return []
