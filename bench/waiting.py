"""Waits for what has no event: something that another process has to do first."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def eventually(attempt: Callable[[], T | None], what: str, seconds: float = 60.0, interval: float = 0.02) -> T:
    """Returns the first true result of ``attempt``; raises TimeoutError with ``what`` after ``seconds``."""
    end = time.monotonic() + seconds
    while not (result := attempt()):
        if time.monotonic() > end:
            raise TimeoutError(f"not within {seconds:g} s: {what}")
        time.sleep(interval)
    return result
