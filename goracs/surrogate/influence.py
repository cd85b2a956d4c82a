"""How much the loss over the pool would change without a row: its influence, by a surrogate.

Figure   g_i . h, h an estimate of scale H^-1 v: g_i the gradient of row i's loss, v the mean of all, H the
         Hessian of the mean loss; with respect to one matrix, the output projection of the last attention.
LiSSA    h <- v + (1 - damp) h - H_r h / scale from h = v, for one row r drawn at each of `depth` steps. On
         average it moves to scale (H + damp scale I)^-1 v.
Source   DEALRec (Lin et al. 2024), Eq. 10 and 11; LiSSA of Agarwal et al. 2017.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor
from torch.autograd import grad
from torch.nn.attention import SDPBackend, sdpa_kernel

from goracs.surrogate.sasrec import Rows, SASRec
from goracs.types import FloatArray

AT_ONCE = 512  # rows
Product = Callable[[int, Tensor], Tensor]  # of a row's Hessian and a vector


def lissa(product: Product, v: Tensor, order: Iterable[int], damp: float, scale: float) -> Tensor:
    """h after a step for each row of `order`."""
    found = v
    for row in order:
        found = v + (1 - damp) * found - product(row, found) / scale
    return found


def influences(model: SASRec, rows: Rows, order: Iterable[int], damp: float, scale: float) -> FloatArray:
    """[N] float32 of each row of the pool; `order` are the rows that LiSSA steps by."""
    weight = model.requires_grad_(False).encoder.layers[-1].self_attn.out_proj.weight.requires_grad_(True)
    parts = [rows[start : start + AT_ONCE] for start in range(0, len(rows), AT_ONCE)]

    def product(row: int, h: Tensor) -> Tensor:
        (slope,) = grad(model(rows[row : row + 1]).sum(), weight, create_graph=True)
        return grad((slope * h).sum(), weight)[0]

    with sdpa_kernel(SDPBackend.MATH):  # the others have no second derivative
        v = torch.stack([grad(model(part).sum(), weight)[0] for part in parts]).sum(0) / len(rows)
        h = lissa(product, v, order, damp, scale)
        found: FloatArray = torch.cat([_along(model(part), weight, h) for part in parts]).numpy()
    return found


def _along(losses: Tensor, weight: Tensor, h: Tensor) -> Tensor:
    """[B] each loss' gradient times h: how that of their weighted sum moves with each share."""
    shares = torch.ones_like(losses, requires_grad=True)
    (slope,) = grad((shares * losses).sum(), weight, create_graph=True)
    return grad((slope * h).sum(), shares)[0]
