"""The node's own log, ``logs/node.log``: one form, whether the node runs in the foreground or by itself.

What its children print has files of its own (output.py).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO, TextIO, cast

import structlog

from mizzen.node.output import LossyText


def open_log(path: Path) -> BinaryIO:
    """Opens the file to append to, unbuffered, and makes it if need be: for its owner alone, as all logs."""
    return open(path, "ab", buffering=0, opener=lambda name, flags: os.open(name, flags, 0o600))


def log_to(descriptor: int, log_format: str = "console") -> None:
    """Sends all log lines of this process to a descriptor; ``log_format`` is ``console`` or ``json``."""
    plain = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper("iso"),
            structlog.processors.JSONRenderer() if log_format == "json" else plain,
        ],
        wrapper_class=structlog.make_filtering_bound_logger("info"),
        logger_factory=structlog.WriteLoggerFactory(cast("TextIO", LossyText(descriptor))),
    )
