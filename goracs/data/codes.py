"""Ids as numbers: a column of texts takes 16 bytes a row and more, one of codes at most 4.

`ID`    the type of ids while a table is read: what they stand for is not known before its end.
Enum    their type from there on: of one column, and known.
"""

from __future__ import annotations

import numpy as np
import polars as pl

ID = pl.Categorical()


def coded(ids: pl.Series) -> pl.Series:
    """[len] Enum of the ids that are there; what is coded already stays as it is."""
    if isinstance(ids.dtype, pl.Enum):
        return ids
    read = ids.cast(ID)
    distinct = read.to_frame().lazy().unique().collect().to_series()  # on all cores
    codes = distinct.to_physical().to_numpy()
    places = np.zeros(1 + codes.max(initial=0), np.uint32)
    places[codes] = np.arange(len(codes))
    return _named(pl.Series(ids.name, places), read, pl.Enum(distinct.cast(pl.String)))


def recoded(ids: pl.Series, kind: pl.Enum) -> pl.Series:
    """[len] of another Enum that knows all ids that are there; a lookup of codes, not of texts."""
    return _named(known(ids).cast(kind, strict=False).to_physical().alias(ids.name), ids, kind)


def known(ids: pl.Series) -> pl.Series:
    """[.] str: the texts that the codes of a column stand for, in the order of the codes."""
    assert isinstance(ids.dtype, pl.Enum)
    return ids.dtype.categories


def _named(places: pl.Series, ids: pl.Series, kind: pl.Enum) -> pl.Series:
    """The codes of `kind` that lie at the places of the codes of `ids`."""
    return places.gather(ids.to_physical()).cat.to(kind)
