"""Runs a node in this process, in the foreground of a terminal."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from mizzen.node import agent
from mizzen.node.host import StartError
from mizzen.node.node_log import log_to, open_log
from mizzen.settings import Settings

if TYPE_CHECKING:
    from mizzen.cli.progress import Show
    from mizzen.node.events import Event


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
    with open_log(settings.node_log) as log:
        log_to(log.fileno(), settings.log_format)
        try:
            asyncio.run(agent.run(settings, on_event))
        except StartError as error:
            return str(error)
        except asyncio.CancelledError:
            raise KeyboardInterrupt from None
    return ""
