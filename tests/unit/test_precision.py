"""The precision of this machine: what Linux lists agrees with torch, which is asked where a GPU may be."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from goracs.llm import precision
from goracs.llm.jobs import Job, make_trainer
from goracs.llm.precision import has_native_bf16, resolved_precision
from goracs.types import InvalidInput
from tests.conftest import RUNTIME


def machine(root: Path, features: str, device: str | None = None) -> Path:
    (root / "proc").mkdir()
    (root / "dev").mkdir()
    (root / "proc" / "cpuinfo").write_text(f"processor\t: 0\n{features}\n")
    if device:
        (root / "dev" / device).touch()
    return root


def by_torch(accelerator: str) -> bool:
    if accelerator != "cpu" and torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    found = torch.cpu.get_capabilities()
    return any(found.get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16"))


@pytest.mark.parametrize("accelerator", ["cpu", "auto"])
def test_what_the_system_lists_is_what_torch_says(accelerator: str) -> None:
    assert has_native_bf16(accelerator) == by_torch(accelerator)


@pytest.mark.parametrize(
    ("features", "expected"),
    [
        ("flags\t\t: fpu avx512f avx512_bf16 avx512_fp16", True),
        ("flags\t\t: fpu amx_bf16", True),
        ("Features\t: fp asimd bf16", True),
        ("flags\t\t: fpu avx2 avx512f", False),
    ],
)
def test_a_machine_without_a_gpu_is_known_by_its_cpu(tmp_path: Path, features: str, expected: bool) -> None:
    assert has_native_bf16("auto", machine(tmp_path, features)) == expected


@pytest.mark.parametrize("device", ["nvidia0", "kfd", "dxg"])
def test_torch_is_asked_where_there_may_be_a_gpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, device: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: True)
    here = machine(tmp_path, "flags : fpu avx2", device)
    assert has_native_bf16("auto", here)
    assert not has_native_bf16("cpu", here)


def test_torch_is_asked_where_the_system_lists_nothing(tmp_path: Path) -> None:
    assert has_native_bf16("cpu", tmp_path) == by_torch("cpu")


@pytest.mark.parametrize(
    ("gpu", "bf16", "expected"), [(True, True, "bf16"), (True, False, "fp16"), (False, False, "float32")]
)
def test_auto_is_the_fastest_that_is_native(
    monkeypatch: pytest.MonkeyPatch, gpu: bool, bf16: bool, expected: str
) -> None:
    monkeypatch.setattr(precision, "has_gpu", lambda *_: gpu)
    monkeypatch.setattr(precision, "_cpu_features", lambda _: ["fpu"])
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: bf16)
    assert resolved_precision("auto", "auto") == expected


def test_fp16_is_for_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InvalidInput, match=r"precision=fp16 needs a CUDA GPU.*runtime\.accelerator=cpu"):
        resolved_precision("fp16", "cpu")
    monkeypatch.setattr(precision, "has_gpu", lambda *_: True)
    assert resolved_precision("fp16", "gpu") == "fp16"


def test_a_precision_that_is_given_needs_no_framework() -> None:
    code = (
        "import sys; from goracs.llm.precision import resolved_precision as r;"
        "assert r('bf16', 'auto') == 'bf16'; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    with pytest.raises(InvalidInput, match="must be auto, bf16, fp16 or float32"):
        resolved_precision("int3", "cpu")


@pytest.mark.skipif(torch.cuda.is_available() or torch.backends.mps.is_available(), reason="there is a GPU")
@pytest.mark.parametrize("accelerator", ["gpu", "mps"])
def test_a_device_that_is_not_there_is_named(accelerator: str) -> None:
    with pytest.raises(InvalidInput, match=rf"runtime\.accelerator={accelerator}, and torch finds none"):
        make_trainer(Job("job", "float32", 64, replace(RUNTIME, accelerator=accelerator)))
