"""Runs a node on its own: ``python -m mizzen.node --settings JSON [--events-fd N] [--supervised]``; see agent.py.

Events go to the descriptor as JSON lines, and their lines to the log on standard error. The exit code is 0 after a
signal and 1 for what the user must fix; the last event then is ``Failed``.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import sys

import structlog

from mizzen.node.agent import run
from mizzen.node.events import Event, Failed
from mizzen.node.host import StartError
from mizzen.node.node_log import log_to
from mizzen.settings import Settings


class _EventWriter:
    """Writes events to a descriptor until its reader has gone, and to the log."""

    def __init__(self, descriptor: int | None) -> None:
        self._descriptor = descriptor
        self._log = structlog.get_logger("mizzen.node")

    def __call__(self, event: Event) -> None:
        self._log.log(logging.getLevelNamesMapping()[event.level.upper()], event.line)
        if self._descriptor is None:
            return
        try:
            os.write(self._descriptor, json.dumps(event.to_dict()).encode() + b"\n")
        except OSError:  # whoever started the mesh has seen enough
            os.close(self._descriptor)
            self._descriptor = None


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m mizzen.node")
    parser.add_argument("--settings", type=Settings.from_json, required=True)
    parser.add_argument("--events-fd", type=int)
    parser.add_argument("--supervised", action="store_true", help="the parent is supervise.py")
    options = parser.parse_args(arguments)
    log_to(sys.stderr.fileno(), options.settings.log_format)
    emit = _EventWriter(options.events_fd)
    try:
        asyncio.run(run(options.settings, emit, supervisor=os.getppid() if options.supervised else 0))
    except StartError as error:
        emit(Failed(str(error)))
        return 1
    except asyncio.CancelledError:  # by a second signal
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
