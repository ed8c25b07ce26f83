"""Waits for a machine that does little else: what it does besides is measured along with what is to be measured."""

from __future__ import annotations

import time
from pathlib import Path

QUIET = 0.25
_LOOK = 1.0


def await_quiet(patience: float) -> float:
    """Returns how much of the processors was in use in the last second: less than a quarter, or as it is by now.

    ``patience`` is in seconds. Where there is no /proc it does not wait, and returns 0.
    """
    end = time.monotonic() + patience
    while (busy := _busy(_LOOK)) >= QUIET and time.monotonic() < end:
        pass
    return busy


def _busy(seconds: float) -> float:
    before = _ticks()
    if before is None:
        return 0.0
    time.sleep(seconds)
    after = _ticks() or before
    passed = [later - earlier for earlier, later in zip(before, after, strict=True)]
    idle = passed[3] + passed[4]  # idle and iowait, of proc_stat(5)
    return 1 - idle / max(1, sum(passed))


def _ticks() -> list[int] | None:
    try:
        return [int(part) for part in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    except OSError:
        return None
