"""Ends processes that a measure has started, also when the measure fails."""

from __future__ import annotations

import contextlib
import signal
import subprocess
from collections.abc import Iterator
from typing import Any

_PATIENCE = 60


@contextlib.contextmanager
def ended(process: subprocess.Popen[Any], number: signal.Signals = signal.SIGTERM) -> Iterator[None]:
    """Ends a process with a signal when the context ends, and kills it if that has no effect."""
    try:
        yield
    finally:
        if process.poll() is None:
            process.send_signal(number)
        try:
            process.communicate(timeout=_PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
