"""How far each generated title lies from each item of the catalogue.

Symbols      t = generated titles, c = items, d = width of the embedding.
Conventions  L2 distance in the unit of the embeddings, float64, from differences and not from inner products:
             equal vectors are at distance 0 exactly, and items with one title tie exactly.
Not here     the embeddings (`goracs.llm`), the ranks (`goracs.evaluation.ranking`).
"""

from __future__ import annotations

import numpy as np

from goracs.types import FloatArray, InvalidInput

ROWS = 1024  # rows of each side turned into float64 at once


def nearest_distances(generated: FloatArray, items: FloatArray) -> FloatArray:
    """The distances between generated titles and items.

    Law: the size of the blocks does not change a bit.

    Args:
        generated: [t, d] float; finite; may be memory-mapped.
        items: [c, d] float; finite; may be memory-mapped.

    Returns:
        [t, c] float64.

    Raises:
        InvalidInput: not two matrices of one width, or a non-finite number (the rows are named).

    Cost: O(t c d) time; the result and 2 ROWS d numbers of memory.
    """
    from scipy.spatial.distance import cdist

    if generated.ndim != 2 or items.ndim != 2 or generated.shape[1] != items.shape[1]:
        raise InvalidInput(
            f"generated titles {generated.shape} and items {items.shape} must be matrices of one width: "
            "both must come from one model."
        )
    distances = np.empty((len(generated), len(items)))
    for column in range(0, len(items), ROWS):
        right = _finite_block("items", items, column)
        for row in range(0, len(generated), ROWS):
            left = _finite_block("generated titles", generated, row)
            distances[row : row + ROWS, column : column + ROWS] = cdist(left, right)
    return distances


def _finite_block(name: str, matrix: FloatArray, first: int) -> FloatArray:
    block = np.asarray(matrix[first : first + ROWS], dtype=np.float64)
    bad = np.flatnonzero(~np.isfinite(block).all(axis=1))
    if len(bad):
        raise InvalidInput(
            f"the embeddings of the {name} are not finite in rows {(first + bad[:10]).tolist()}."
        )
    return block
