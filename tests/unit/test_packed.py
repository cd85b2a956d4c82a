"""Packed texts are what a list of them is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from goracs.llm.batch import Texts
from goracs.llm.packed import Packed

TEXTS = st.lists(st.lists(st.integers(0, 2**31 - 1), max_size=5).map(tuple), min_size=1, max_size=9)


@given(TEXTS, st.data())
def test_packed_texts_are_those_of_a_list(texts: list[tuple[int, ...]], data: st.DataObject) -> None:
    packed = Packed.of(texts)
    assert list(packed) == texts
    assert packed.ids.nbytes == 4 * sum(map(len, texts))
    assert packed.lengths.tolist() == [len(text) for text in texts]
    rows = data.draw(st.lists(st.integers(0, len(texts) - 1), max_size=9))
    assert list(packed.of_rows(np.array(rows, np.int64))) == [texts[row] for row in rows]
    part = data.draw(st.slices(len(texts)))
    assert list(packed[part]) == texts[part]
    shortest = min(map(len, texts))
    assert list(packed.behind(shortest)) == [text[shortest:] for text in texts]
    assert list(Packed.repeated(texts[0], 3)) == [texts[0]] * 3


@pytest.mark.parametrize("side", ["left", "right"])
@given(prompts=TEXTS)
def test_a_batch_is_the_rows_padded_to_the_longest(side: str, prompts: list[tuple[int, ...]]) -> None:
    answers = [(row, 7)[: row % 3] for row in range(len(prompts))]
    texts = Texts.of([(5, *prompt) for prompt in prompts], answers, range(len(prompts)), -1, side)
    rows = np.arange(len(prompts))[::-1].copy()
    found, width = texts.batch(rows), int(texts.lengths.max())
    for place, row in enumerate(rows):
        parts = [(5, *prompts[row]), answers[row]]
        left = [width - sum(map(len, parts))] if side == "left" else []
        pads = [*left, *map(len, parts), *([] if left else [width - sum(map(len, parts))])]
        kinds = [0] * len(left) + [1, 2] + [0] * (1 - len(left))
        kind = np.repeat(kinds, pads)
        assert found.ids[place][kind > 0].tolist() == [*parts[0], *parts[1]]
        assert (found.ids[place][kind == 0] == -1).all()
        assert found.mask[place].tolist() == (kind > 0).tolist()
        assert found.answer[place].tolist() == (kind == 2).tolist()
        assert found.last[place] == np.flatnonzero(kind)[-1]
    assert found.labels.tolist() == rows.tolist()
