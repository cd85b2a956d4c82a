"""Figures of chances: closed forms, one-hots, and what rounding must not take away."""

from __future__ import annotations

import pytest
import torch
from scipy import stats
from torch import Tensor

from goracs.llm.chances import FIGURES, confidence, el2n, entropy, lead

DOUBLE = 1e-12


def drawn() -> tuple[Tensor, Tensor]:
    torch.manual_seed(0)
    return torch.randn(20, 7, dtype=torch.float64).mul(3).softmax(1), torch.randint(7, (20,))


def test_el2n_is_the_norm_against_a_one_hot() -> None:
    chance, right = drawn()
    expected = (chance - torch.nn.functional.one_hot(right, 7)).norm(dim=1)
    torch.testing.assert_close(el2n(chance, right), expected, rtol=DOUBLE, atol=DOUBLE)


def test_el2n_of_a_sure_and_right_answer_is_not_lost_to_rounding() -> None:
    wrong = torch.tensor([1e-5])
    chance = torch.stack([1 - wrong, wrong], dim=1)
    assert float(el2n(chance, torch.tensor([0]))) == pytest.approx(2**0.5 * 1e-5, rel=5e-3)


def test_entropy_is_scipys_also_where_a_chance_is_zero() -> None:
    chance, right = drawn()
    chance[0] = torch.eye(7, dtype=torch.float64)[2]
    torch.testing.assert_close(
        entropy(chance, right), torch.from_numpy(stats.entropy(chance.numpy(), axis=1))
    )


def test_confidence_and_lead_are_of_the_sorted_chances() -> None:
    chance, right = drawn()
    ranked = chance.sort(dim=1, descending=True).values
    assert torch.equal(confidence(chance, right), ranked[:, 0])
    assert torch.equal(lead(chance, right), ranked[:, 0] - ranked[:, 1])


@pytest.mark.parametrize("name", sorted(FIGURES))
def test_a_figure_leaves_the_chances_as_they_were(name: str) -> None:
    chance, right = drawn()
    before = chance.clone()
    FIGURES[name](chance, right)
    assert torch.equal(chance, before)
