"""Representations: what each is made of, what shaping keeps, what it refuses."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import cdist
from sklearn.decomposition import PCA

from goracs.features.bag import Bag
from goracs.features.embedding import Embedding
from goracs.features.hidden import Hidden
from goracs.features.joint import Joint, mean_distance
from goracs.features.output_gradient import OutputGradient
from goracs.features.representation import Seen, reduced, scaled
from goracs.features.sketch import Sketch
from goracs.types import Example, InvalidInput

PLAIN: dict[str, Any] = {"scale": "none", "dim": None, "reduce": "pca", "seed": 0}
SINGLE = 1e-6  # results are float32


def example(item: str, *history: tuple[str, bool]) -> Example:
    items, liked = tuple(name for name, _ in history), tuple(like for _, like in history)
    return Example("u", item, 0, 1, items, liked, "", "", "")


def seen(n: int = 30, m: int = 20, d: int = 6, seed: int = 0) -> Seen:
    draw = np.random.default_rng(seed)
    arrays = {
        name: (draw.normal(size=(n, d)), draw.normal(size=(m, d)))
        for name in ("embedding", "sketch", "hidden")
    }
    arrays["margin"] = draw.normal(size=n), draw.normal(size=m)
    labels = draw.integers(0, 2, n), draw.integers(0, 2, m)
    items = [[example("abc"[k % 3], ("d", k % 2 == 0)) for k in range(count)] for count in (n, m)]
    return Seen(arrays, labels, lambda: (items[0], items[1]))


@pytest.mark.parametrize("kind", [Embedding, Sketch, Hidden])
def test_plain_representations_are_what_the_stages_made(kind: Any) -> None:
    made = kind(**PLAIN)
    pool, target = made.represent(seen())
    (name,) = made.needs
    np.testing.assert_array_equal(pool, seen().arrays[name][0].astype(np.float32))
    np.testing.assert_array_equal(target, seen().arrays[name][1].astype(np.float32))


@given(st.integers(2, 40), st.integers(1, 6), st.integers(0, 99))
def test_output_gradient_equals_numeric_differentiation(n: int, d: int, seed: int) -> None:
    given_ = seen(n, 5, d, seed)
    found = OutputGradient(**PLAIN).represent(given_)[0]
    assert given_.labels is not None
    states, margins, labels = given_.arrays["hidden"][0], given_.arrays["margin"][0], given_.labels[0]

    def loss(row: int, weights: np.ndarray) -> float:
        margin = margins[row] + np.append(states[row], 1) @ weights
        return float(np.logaddexp(0, -(2 * labels[row] - 1) * margin))

    for row, column in ((0, 0), (n - 1, d)):
        step = np.zeros(d + 1)
        step[column] = 1e-5
        numeric = (loss(row, step) - loss(row, -step)) / 2e-5
        assert found[row, column] == pytest.approx(numeric, abs=1e-5)


def test_output_gradient_refuses_texts() -> None:
    texts = Seen(seen().arrays, None, seen().examples)
    with pytest.raises(InvalidInput, match="no labels"):
        OutputGradient(**PLAIN).represent(texts)


def test_a_bag_knows_items_and_likes_and_all_rows_have_norm_one() -> None:
    pool = [example("a", ("x", True)), example("a", ("x", False)), example("a", ("x", True)), example("b")]
    target = [example("b", ("x", False)), example("a", ("x", True))]
    made = Bag(width=None, **PLAIN).represent(Seen({}, None, lambda: (pool, target)))
    distances = cdist(*made)
    assert distances[0, 1] == distances[2, 1] == 0  # the same item asked, the same history
    assert distances[1, 1] > 0  # liked or not is a difference
    np.testing.assert_allclose(np.linalg.norm(np.vstack(made), axis=1), 1.0, atol=SINGLE)


def test_a_projected_bag_keeps_distances_on_average() -> None:
    draw = np.random.default_rng(0)
    rows = [
        example(str(draw.integers(40)), *((str(i), True) for i in draw.integers(0, 40, 5))) for _ in range(60)
    ]
    whole, small = (
        cdist(*Bag(width=width, **PLAIN).represent(Seen({}, None, lambda: (rows[:40], rows[40:]))))
        for width in (None, 64)
    )
    assert (small**2).mean() == pytest.approx((whole**2).mean(), rel=0.1)


def test_a_bag_refuses_prompts_without_items() -> None:
    bare = [example(""), example("")]
    with pytest.raises(InvalidInput, match="name items"):
        Bag(width=8, **PLAIN).represent(Seen({}, None, lambda: (bare, bare)))


def test_both_parts_of_a_joint_have_the_same_say() -> None:
    given_ = seen()
    pool, target = given_.arrays["hidden"]
    far = Seen({**given_.arrays, "hidden": (1000 * pool, 1000 * target)}, None, given_.examples)
    joint = Joint(first=Embedding(**PLAIN), second=Hidden(**PLAIN), **PLAIN)
    np.testing.assert_allclose(joint.represent(far)[0], joint.represent(given_)[0], rtol=1e-5)
    pool, target = joint.represent(given_)
    for part in (slice(0, 6), slice(6, 12)):
        assert mean_distance(pool[:, part], target[:, part]) == pytest.approx(1.0, rel=1e-5)
    assert joint.needs == {"embedding", "hidden"}


def test_a_constant_part_has_no_say_in_a_joint() -> None:
    given_ = seen()
    flat = Seen({**given_.arrays, "hidden": (np.ones((30, 6)), np.ones((20, 6)))}, None, given_.examples)
    pool, target = Joint(first=Embedding(**PLAIN), second=Hidden(**PLAIN), **PLAIN).represent(flat)
    first = Embedding(**PLAIN).represent(given_)
    np.testing.assert_allclose(cdist(pool, target), cdist(*first) / mean_distance(*first), rtol=1e-5)


def test_pca_equals_scikit_learn() -> None:
    pool, target = seen(d=8).arrays["embedding"]
    theirs = PCA(3, svd_solver="full").fit(pool)
    ours = reduced(pool, target, 3, "pca", 0)
    np.testing.assert_allclose(
        cdist(*ours), cdist(theirs.transform(pool), theirs.transform(target)), atol=1e-10
    )


def test_pca_to_the_full_width_keeps_all_distances() -> None:
    pool, target = seen().arrays["embedding"]
    np.testing.assert_allclose(cdist(*reduced(pool, target, 6, "pca", 0)), cdist(pool, target), atol=1e-10)


@pytest.mark.parametrize("scale", ["none", "unit", "standard", "whitened"])
def test_scaling_does_what_it_says(scale: str) -> None:
    pool, target = seen(200, 20, 5).arrays["embedding"]
    pool = pool * np.array([1, 10, 100, 1, 0]) + np.array([0, 0, 0, 0, 7])
    found, other = scaled(pool, target, scale)
    if scale == "unit":
        np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1)
    elif scale == "standard":
        np.testing.assert_allclose(found.std(axis=0), [1, 1, 1, 1, 0], atol=1e-12)
        np.testing.assert_array_equal(other[:, 4], 0)
    elif scale == "whitened":
        spread = np.linalg.eigvalsh(found.T @ found / len(found))
        before = np.linalg.eigvalsh(pool.T @ pool / len(pool))
        np.testing.assert_allclose(
            np.sort(spread), np.sort(before / (before + 0.1 * before.mean())), atol=1e-9
        )
    else:
        np.testing.assert_array_equal(found, pool)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"dim": 0}, "at least 1"),
        ({"dim": 7}, "more than the 6"),
        ({"dim": 7, "reduce": "random"}, "more than the 6"),
        ({"seed": -1}, "seed must be"),
    ],
)
def test_shapes_that_cannot_be_are_refused(asked: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        Embedding(**{**PLAIN, **asked}).represent(seen())
