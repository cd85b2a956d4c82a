"""Representations: what distances between examples are taken on, one file each.

A representation is a frozen dataclass below `goracs.features.representation.Representation`: what it `needs`,
and `raw`, the two matrices it makes of that. Scaling and reduction to fewer numbers are the same for all.
"""
