"""Conformance with values made by the authors' code of LESS."""

from pathlib import Path

import numpy as np
import torch

from goracs.llm import adam

less = np.load(Path(__file__).parent / "less.npz")


def test_an_adam_step_of_a_gradient_equals_the_authors() -> None:
    first, second, gradient = (torch.from_numpy(less[f"less_adam_{name}"]) for name in ("m", "v", "grad"))
    assert (*adam.BETAS, adam.EPS) == (*less["less_adam_beta"].tolist(), float(less["less_adam_eps"]))
    found = adam.Moments(first, second).step(gradient[None])[0]
    np.testing.assert_allclose(found.numpy(), less["less_adam_out"], rtol=1e-12)
