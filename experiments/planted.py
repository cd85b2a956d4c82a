"""The synthetic problems that speed is measured on: clusters that pool and validation set weigh apart.

Pool weights of 60 clusters fall as 1/rank^.8; validation mixes them half and half with a permutation of them.
A point is its cluster's centre plus noise in 16 latent dimensions, mapped to d, blurred and stretched.
Gradient norms are log-normal and grow with the distance to the pool's mean.
"""

from __future__ import annotations

import numpy as np

from goracs.types import FloatArray, IndexArray, SelectionProblem

CLUSTERS, LATENT = 60, 16


def planted(pool: int, target: int, seed: int, width: int = 768, draw: int = 0) -> SelectionProblem:
    """A problem with N = pool, m = target, d = width; float32 features, the score gradient_norm.

    The seed fixes the clusters, seed and draw the points.
    """
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((CLUSTERS, LATENT))
    spread = 0.45 * np.exp(0.3 * rng.standard_normal(CLUSTERS))
    mixing = rng.standard_normal((LATENT, width)) / np.sqrt(LATENT)
    weights = 1 / np.arange(1, CLUSTERS + 1) ** 0.8
    weights /= weights.sum()
    shifted = 0.5 * weights + 0.5 * rng.permutation(weights)
    rng = np.random.default_rng([seed, draw])
    features = _points(rng, rng.choice(CLUSTERS, pool, p=weights), centres, spread, mixing)
    targets = _points(rng, rng.choice(CLUSTERS, target, p=shifted), centres, spread, mixing)
    far = np.linalg.norm(features - features.mean(axis=0), axis=1)
    z = (far - far.mean()) / far.std()
    norms = np.exp(0.5 * rng.standard_normal(pool) + 0.4 * z)
    return SelectionProblem(features, targets, {"gradient_norm": norms})


def _points(
    rng: np.random.Generator, cluster: IndexArray, centres: FloatArray, spread: FloatArray, mixing: FloatArray
) -> FloatArray:
    latent = centres[cluster] + spread[cluster, None] * rng.standard_normal((len(cluster), LATENT))
    points = (latent @ mixing + 0.25 * rng.standard_normal((len(cluster), mixing.shape[1]))).astype(
        np.float32
    )
    stretch = 3 * np.exp(0.08 * rng.standard_normal((len(cluster), 1)))
    stretched: FloatArray = points * stretch.astype(np.float32)
    return stretched
