"""Where a search begins, how far it goes, and what ends it."""

from __future__ import annotations

from dataclasses import dataclass

STARTS = ("best", "capacity", "lagrangian", "facility", "random")
EFFORTS = ("start", "alternate", "exchange", "certify", "optimal")  # each goes on from the one before
ALONE = "exchange_only"  # exchange without alternate: what the alternation is worth


@dataclass(frozen=True)
class Limits:
    """Where a search begins and what ends it, as the fields of `goracs.selection.goracs`."""

    start: str
    effort: str
    max_exchanges: int | None
    seconds: float | None

    def reach(self, effort: str) -> bool:
        """Whether that effort, one of EFFORTS, is asked for."""
        if self.effort == ALONE:
            return effort in ("start", "exchange")
        return EFFORTS.index(self.effort) >= EFFORTS.index(effort)
