"""The peak resident memory since a moment of our choice, where the system tells it: Linux.

Of this process, or of the largest of those that have worked for it (`also`).
"""

from __future__ import annotations

from pathlib import Path

RESET, TOLD = Path("/proc/self/clear_refs"), Path("/proc/self/status")


_others = [0.0]


def forget_peak() -> bool:
    """Have the system measure the peak anew; False where it cannot."""
    _others[:] = [0.0]
    try:
        RESET.write_text("5")
    except OSError:
        return False
    return True


def peak_mb() -> float | None:
    """The peak since it was last forgotten; None where the system tells none."""
    if not TOLD.exists():
        return None
    told = [line.split()[1] for line in TOLD.read_text().splitlines() if line.startswith("VmHWM:")]
    return max(round(int(told[0]) / 1024, 1), *_others) if told else None


def also(peak_mb: float | None) -> None:
    """Count the peak of a process that has worked for this one."""
    _others.append(peak_mb or 0.0)
