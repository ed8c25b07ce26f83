"""Starts a node as a process of its own, with another that starts it again if it is killed, and listens to its events
until the mesh is ready or has failed.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mizzen.node import supervise
from mizzen.node.node_log import open_log
from mizzen.settings import Settings

if TYPE_CHECKING:
    from mizzen.cli.progress import Show


def start(settings: Settings, show: Show, timeout: float) -> str:
    """Returns "" when the mesh is ready, or why it is not: then nothing is left running, unless the text says so."""
    settings.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    settings.log_dir.mkdir(exist_ok=True)
    log = settings.node_log
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb", buffering=0) as events, open_log(log) as output:
        try:
            node = subprocess.Popen(
                _command(settings, writer),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=(writer,),
                start_new_session=True,
            )
        finally:
            os.close(writer)
        try:
            return _listen(node, events, show, time.monotonic() + timeout) or ""
        except KeyboardInterrupt:
            _end(node)
            raise
        except _EndedError:
            return f"the node ended with code {node.wait()} before the mesh was ready; its output is in {log}"


def _command(settings: Settings, events: int) -> list[str]:
    node = ["-m", "mizzen.node", "--settings", settings.to_json(), "--events-fd", str(events), "--supervised"]
    return [sys.executable, "-I", "-S", str(Path(supervise.__file__)), sys.executable, *node]


def _end(node: subprocess.Popen[bytes]) -> None:
    """Ends the node in order, and at once where the user asks again."""
    node.send_signal(signal.SIGTERM)
    try:
        node.wait()
    except KeyboardInterrupt:
        node.send_signal(signal.SIGTERM)
        node.wait()


class _EndedError(Exception):
    """The node has closed its side of the pipe: it has ended."""


def _listen(node: subprocess.Popen[bytes], events: Any, show: Show, deadline: float) -> str | None:
    trouble = ""
    for event in _events(events, deadline):
        show(event)
        if event["event"] == "MeshReady":
            return None
        if event["event"] == "Failed":
            node.wait()
            return str(event["line"])
        if event["level"] != "info":
            trouble = str(event["line"])
    what = f"; last: {trouble}" if trouble else ""
    return f"the mesh is not ready in time, and goes on starting (see: mizzen status; stop it with: mizzen down){what}"


def _events(pipe: Any, deadline: float) -> Iterator[dict[str, Any]]:
    """Reads lines of JSON until the deadline; raises :class:`_EndedError` at the end of the pipe."""
    buffer = b""
    while select.select([pipe], [], [], max(deadline - time.monotonic(), 0))[0]:
        chunk = pipe.read(65536)
        if not chunk:
            raise _EndedError
        *lines, buffer = (buffer + chunk).split(b"\n")
        yield from (json.loads(line) for line in lines if line.strip())
