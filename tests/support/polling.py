"""Waits for conditions of other processes, which nobody announces to a test; never for a time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

_INTERVAL = 0.05


def eventually(condition: Callable[[], T], what: str, seconds: float = 30.0) -> T:
    """Returns the first value of the condition that is true; fails with ``what`` and the last value after a deadline."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, f"not within {seconds:g} s: {what}; at last: {value!r}"
        time.sleep(_INTERVAL)
    return value
