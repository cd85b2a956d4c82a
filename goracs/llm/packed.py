"""Token ids of many texts in one flat array: 4 bytes a token, where lists of Python's ints take some 36.

Views   a text is a place in the array: those of some rows, or without their beginnings, are no copies. The
        array may be memory-mapped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import overload

import numpy as np
import numpy.typing as npt

from goracs.types import IndexArray

TokenArray = npt.NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Packed(Sequence[tuple[int, ...]]):
    """Text k is ids[starts[k] : ends[k]]: `ids` [tokens] int32, `starts` and `ends` [count] int64."""

    ids: TokenArray
    starts: IndexArray
    ends: IndexArray

    @classmethod
    def of(cls, texts: Sequence[Sequence[int]]) -> Packed:
        """Texts one behind the other."""
        lengths = np.fromiter(map(len, texts), np.int64, len(texts))
        ids = np.fromiter(chain.from_iterable(texts), np.int32, int(lengths.sum()))
        ends = lengths.cumsum()
        return cls(ids, ends - lengths, ends)

    @classmethod
    def joined(cls, parts: Sequence[Packed]) -> Packed:
        """The texts of parts, one part behind the other."""
        before = np.cumsum([0, *(len(part.ids) for part in parts[:-1])])
        starts, ends = (
            np.concatenate([getattr(part, name) + start for part, start in zip(parts, before, strict=True)])
            for name in ("starts", "ends")
        )
        return cls(np.concatenate([part.ids for part in parts]), starts, ends)

    @classmethod
    def repeated(cls, text: Sequence[int], count: int) -> Packed:
        """The same text so many times, held once."""
        starts = np.zeros(count, np.int64)
        return cls(np.array(text, np.int32), starts, starts + len(text))

    def __len__(self) -> int:
        return len(self.starts)

    @overload
    def __getitem__(self, row: int) -> tuple[int, ...]: ...

    @overload
    def __getitem__(self, row: slice) -> Packed: ...

    def __getitem__(self, row: int | slice) -> tuple[int, ...] | Packed:
        if isinstance(row, slice):
            return Packed(self.ids, self.starts[row], self.ends[row])
        return tuple(self.text(row).tolist())

    @property
    def lengths(self) -> IndexArray:
        """[count] tokens of each."""
        return self.ends - self.starts

    def text(self, row: int) -> TokenArray:
        """[tokens] those of one text."""
        return self.ids[self.starts[row] : self.ends[row]]

    def of_rows(self, rows: IndexArray) -> Packed:
        """The texts of some rows, in their order."""
        return Packed(self.ids, self.starts[rows], self.ends[rows])

    def behind(self, count: int) -> Packed:
        """Each without its first `count` tokens, which it has."""
        return Packed(self.ids, self.starts + count, self.ends)
