"""ITRA, part by part: starts, alternation, exchanges; what the methods of `goracs.selection` are made of."""
