"""The end of a training whose numbers are no longer finite: at which step, for which examples, what to do."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from goracs.llm import adapter
from goracs.llm.batch import Texts
from goracs.llm.settings import Training
from goracs.types import GoracsError

SHOWN = 10  # examples in a message


def diverged(
    model: Any, settings: Training, step: str, texts: Texts, of: str, rows: Tensor, losses: Tensor
) -> GoracsError:
    """What ends a training where losses are not finite, or losses are and their gradient is not.

    Args:
        model: as it was when the losses were taken.
        settings: of the training.
        step: in words, as in "step 3 of 24".
        texts: what was read.
        of: what messages call it.
        rows: [B] of them.
        losses: [B] theirs.
    """
    rows, losses = rows.cpu(), losses.cpu()
    bad = ~losses.isfinite()
    if bad.any():
        what = f"the loss is not finite for {int(bad.sum())} of {len(rows)} examples of {of}"
        named = zip(texts.named(rows[bad].numpy()), losses[bad].tolist(), strict=True)
        told = [f"{name}: {loss}" for name, loss in named]
    else:
        what = f"the gradient of {len(rows)} examples of {of} is not finite, though their losses are"
        told = texts.named(rows.numpy())
    shown = "; ".join(told[:SHOWN]) + ("; ..." if len(told) > SHOWN else "")
    return GoracsError(f"Training diverged at {step}: {what} ({shown}). {_advice(model, settings)}")


def _advice(model: Any, settings: Training) -> str:
    """By whether the adapter itself is sound."""
    if all(bool(torch.isfinite(weight).all()) for weight in adapter.weights(model).values()):
        return (
            f"The adapter itself is finite: lower {settings.at}.lr, set backbone.precision=float32, or look "
            "at these examples."
        )
    return f"The adapter itself is no longer finite. Lower {settings.at}.lr."
