"""Tells systemd how far a unit of ``Type=notify`` is (sd_notify(3)); does nothing where nobody has asked for it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable

from mizzen.node.events import ControlStarted, Event, MeshReady, Stopping

VARIABLE = "NOTIFY_SOCKET"
# A workload that never becomes ready must not keep those units waiting for ever that are ordered after this one.
_LONGEST_START = 30.0


def notify(address: str, *said: str) -> None:
    """Sends assignments such as ``READY=1`` to the socket of this address, which is "" where there is none."""
    if not address:
        return
    name = f"\0{address[1:]}" if address.startswith("@") else address
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as made:
        made.setblocking(False)
        made.sendto("\n".join(said).encode(), name)


def telling_systemd(on_event: Callable[[Event], None]) -> Callable[[Event], None]:
    """Returns what passes events on and tells systemd of them: that the mesh is ready, or has had the time, that it
    stops, and the latest line as its status. Takes the variable away, as children are not the unit's main process.
    """
    address = os.environ.pop(VARIABLE, "")
    if not address:
        return on_event

    def tell(event: Event) -> None:
        on_event(event)
        line, _, _ = event.line.partition("\n")
        said = [f"STATUS={line}"]
        if isinstance(event, ControlStarted):
            asyncio.get_running_loop().call_later(_LONGEST_START, notify, address, "READY=1")
        elif isinstance(event, MeshReady):
            said.append("READY=1")
        elif isinstance(event, Stopping):
            said.append("STOPPING=1")
        notify(address, *said)

    return tell
