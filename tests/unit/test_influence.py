"""The surrogate: what it reads, what it learns, and the influence of a row by it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.func import functional_call

from goracs.llm.jobs import Job
from goracs.surrogate.influence import influences, lissa
from goracs.surrogate.sasrec import Rows, SASRec, rows_of, trained
from goracs.surrogate.settings import Surrogate
from goracs.types import InvalidInput
from tests.conftest import RUNTIME

GOLDEN = Path(__file__).parents[1] / "golden" / "dealrec.npz"
SETTINGS = Surrogate(
    name="small",
    width=4,
    blocks=2,
    heads=2,
    dropout=0.2,
    epochs=30,
    lr=0.01,
    batch_size=4,
    seed=0,
    depth=10,
    damp=0.01,
    scale=25,
)
functional: Any = torch.autograd.functional
JOB = Job("surrogate", "float32", 0, RUNTIME)
SEQUENCES = [[1, 2, 3, 4], [2, 3], [5, 1, 2], [3, 4, 5, 1], [4, 5], [1, 2, 3], [2, 3, 4]]
ITEMS = 9


def rows() -> Rows:
    return rows_of(SEQUENCES, ITEMS, np.random.default_rng(0))


def model(settings: Surrogate = SETTINGS) -> SASRec:
    """With weights as large as after a training, in evaluation."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        made = SASRec(ITEMS, 3, settings)
        for weight in made.parameters():
            torch.nn.init.normal_(weight, std=0.4)
    return made.eval()


def test_lissa_equals_the_authors_scores_on_a_logistic_model() -> None:
    golden = np.load(GOLDEN)
    x, y, w = (torch.from_numpy(golden[f"inf_{name}"]) for name in ("X", "y", "W"))
    chance = torch.sigmoid(x @ w[0])
    gradients = (chance - y)[:, None] * x
    v = torch.stack([gradients[batch].mean(0) for batch in torch.from_numpy(golden["inf_batches"])]).mean(0)

    def product(row: int, h: torch.Tensor) -> torch.Tensor:
        return chance[row] * (1 - chance[row]) * x[row] * (x[row] @ h)

    order = golden["inf_hvp_sample_idx"].tolist()
    assert len(order) == int(golden["inf_depth"])
    h = lissa(product, v, order, float(golden["inf_damp"]), float(golden["inf_scale"]))
    np.testing.assert_allclose(gradients @ h, golden["inf_score"], rtol=1e-6)


def test_lissa_ends_at_the_damped_inverse_where_every_row_has_the_same_hessian() -> None:
    root = torch.from_numpy(np.random.default_rng(0).normal(size=(4, 4)))
    curved, v, scale, damp = root @ root.T, torch.arange(4.0, dtype=torch.float64), 25.0, 0.2
    h = lissa(lambda _row, h: curved @ h, v, range(2000), damp, scale)
    expected = scale * torch.linalg.solve(curved + damp * scale * torch.eye(4), v)
    np.testing.assert_allclose(h, expected, rtol=1e-9)


def test_influences_equal_those_of_whole_gradients_and_hessians() -> None:
    made, some = model(), rows()
    name = "encoder.layers.1.self_attn.out_proj.weight"

    def loss(given: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = functional_call(made, {name: given}, (some,))
        return found

    weight = made.get_parameter(name).detach()
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        gradients = functional.jacobian(loss, weight).flatten(1)
        hessians = [
            functional.hessian(lambda given, row=row: loss(given)[row], weight).reshape(16, 16)
            for row in range(len(some))
        ]
    order, h = [3, 0, 6, 3, 2], gradients.mean(0)
    v = h
    for row in order:
        h = v + (1 - 0.01) * h - hessians[row] @ h / 25
    found = influences(made, some, order, 0.01, 25)
    np.testing.assert_allclose(found, (gradients @ h).detach(), rtol=1e-4, atol=1e-8)


def test_a_state_follows_from_what_stands_before_it_alone_and_padding_changes_nothing() -> None:
    made = model()
    whole = made.states(torch.tensor([[1, 2, 3]]))
    np.testing.assert_allclose(made.states(torch.tensor([[1, 2, 7]]))[0, :2].detach(), whole[0, :2].detach())
    np.testing.assert_allclose(
        made.states(torch.tensor([[1, 2, 0]]))[0, :2].detach(), whole[0, :2].detach(), rtol=1e-6
    )
    alone = rows_of([[2, 3]], ITEMS, np.random.default_rng(0))
    padded = rows()[1:2]
    alone = Rows(alone.before, alone.after, padded.other[:, :1])
    np.testing.assert_allclose(made(alone).detach(), made(padded).detach(), rtol=1e-5)


def test_the_loss_of_a_row_is_that_of_each_next_item_against_another() -> None:
    made, some = model().requires_grad_(False), rows()
    found = made(some)
    for row, sequence in enumerate(SEQUENCES):
        states = made.states(some.before[row : row + 1])[0]
        expected = [
            -torch.log(torch.sigmoid(state @ made.items.weight[right]))
            - torch.log(torch.sigmoid(-state @ made.items.weight[wrong]))
            for state, right, wrong in zip(states, sequence[1:], some.other[row].tolist(), strict=False)
        ]
        assert float(found[row]) == pytest.approx(float(torch.stack(expected).mean()), rel=1e-5)


@given(
    st.lists(st.lists(st.integers(1, 4), min_size=2, max_size=5), min_size=1, max_size=6), st.integers(0, 9)
)
def test_the_other_items_are_in_no_row_that_they_stand_beside(lists: list[list[int]], seed: int) -> None:
    made = rows_of(lists, 5, np.random.default_rng(seed))
    for row, sequence in enumerate(lists):
        assert made.before[row].tolist()[: len(sequence) - 1] == sequence[:-1]
        assert made.after[row].tolist()[: len(sequence) - 1] == sequence[1:]
        others = made.other[row].tolist()
        assert not set(others[: len(sequence) - 1]) & {0, *sequence}
        assert not any(others[len(sequence) - 1 :])


def test_a_row_that_holds_every_item_is_refused() -> None:
    with pytest.raises(InvalidInput, match="a row of the pool holds all of its 3 items"):
        rows_of([[1, 2], [1, 2, 3]], 3, np.random.default_rng(0))


def test_it_learns_and_the_same_seed_gives_the_same_weights() -> None:
    some, before = rows(), torch.random.get_rng_state()
    made = trained(some, ITEMS, SETTINGS, JOB)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert not made.training
    start = trained(some, ITEMS, replace(SETTINGS, lr=1e-9), JOB)
    assert float(made(some).detach().mean()) < 0.7 * float(start(some).detach().mean())
    again = trained(some, ITEMS, SETTINGS, JOB)
    assert all(torch.equal(one, two) for one, two in zip(made.parameters(), again.parameters(), strict=True))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"width": 5}, "surrogate.width=5 must be a multiple of surrogate.heads=2"),
        ({"dropout": 1.0}, r"surrogate.dropout must lie in \[0, 1\)"),
        ({"scale": 0}, "surrogate.scale must be a number > 0"),
        ({"lr": float("nan")}, "surrogate.lr must be a number > 0"),
        ({"damp": -1.0}, "surrogate.damp must be a number >= 0"),
        ({"epochs": 0}, "surrogate.epochs must be a whole number >= 1"),
    ],
)
def test_settings_that_make_no_model_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        replace(SETTINGS, **changes)
