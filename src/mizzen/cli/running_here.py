"""Runs a node in this process, in the foreground of a terminal."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, TextIO, cast

import structlog

from mizzen.node import agent
from mizzen.node.host import StartError
from mizzen.node.output import LossyText
from mizzen.settings import Settings

if TYPE_CHECKING:
    from mizzen.cli.progress import Show
    from mizzen.node.events import Event

LOG = "node.log"


def run(settings: Settings, show: Show) -> str:
    """Returns "" when the mesh has run and stopped in order, or why it could not start.

    Signals are the agent's: the first stops in order, a second ends at once, and this with KeyboardInterrupt.
    """

    def on_event(event: Event) -> None:
        # The mesh runs on where nobody reads what it says any more, or the disk is full that it goes to.
        with contextlib.suppress(OSError):
            show(event.to_dict())

    settings.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    settings.log_dir.mkdir(exist_ok=True)
    with (settings.log_dir / LOG).open("ab", buffering=0) as log:
        _log_to(LossyText(log.fileno()))
        try:
            asyncio.run(agent.run(settings, on_event))
        except StartError as error:
            return str(error)
        except asyncio.CancelledError:
            raise KeyboardInterrupt from None
    return ""


def _log_to(file: LossyText) -> None:
    """Sends the node's log to a file: the terminal has the events."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper("iso"),
            structlog.dev.ConsoleRenderer(colors=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger("info"),
        logger_factory=structlog.WriteLoggerFactory(cast("TextIO", file)),
    )
