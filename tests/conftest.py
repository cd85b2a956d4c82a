"""What every test shares: a quiet offline machine, one thread each, and one tiny backbone for all."""

from __future__ import annotations

import os

os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
os.environ["OMP_NUM_THREADS"] = "1"  # the tests run side by side
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["WANDB_MODE"] = "offline"

from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from goracs.llm.settings import Backbone, Lora, Runtime
from goracs.stages import weights
from goracs.store import Store

settings.register_profile("goracs", deadline=None)  # a loaded core is not a failure
settings.load_profile("goracs")

RUNTIME = Runtime(
    accelerator="cpu",
    nodes=1,
    devices=1,
    progress=False,
    threads=1,
    keep_every=10,
    gradient_checkpointing=False,
)
TINY = Backbone(
    name="tiny",
    model="tiny",
    precision="float32",
    max_length=512,
    batch_tokens=2048,
    attention="auto",
    quantize=None,
    trust_remote_code=False,
)
LORA = Lora(r=4, alpha=8, dropout=0.1, targets=("q_proj", "v_proj"), rslora=False, dora=False)


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A folder that all test processes of this session share."""
    root = tmp_path_factory.getbasetemp()
    folder = (root if worker_id == "master" else root.parent) / "shared"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def tiny_weights(shared: Path) -> Path:
    """The folder of the tiny backbone, made once."""
    stage: Any = weights.stage("tiny")
    return Store(shared / "store").get(stage).path


@pytest.fixture
def lock_free_store(tmp_path: Path) -> Store:
    """An empty store of one test."""
    return Store(tmp_path / "store")
