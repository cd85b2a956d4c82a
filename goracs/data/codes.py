"""Ids as numbers: a column of texts takes 16 bytes a row and more, one of codes (an Enum) at most 4."""

from __future__ import annotations

import polars as pl


def coded(ids: pl.Series) -> pl.Series:
    """[len] Enum of the ids that are there; what is coded already stays as it is."""
    if ids.dtype != pl.String:
        return ids
    distinct = ids.to_frame().lazy().unique().collect().to_series()  # on all cores
    return ids.cast(pl.Enum(distinct))


def known(ids: pl.Series) -> pl.Series:
    """[.] str: the texts that the codes of a column stand for, in the order of the codes."""
    assert isinstance(ids.dtype, pl.Enum)
    return ids.dtype.categories
