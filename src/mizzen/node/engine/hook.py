"""What the engine runs between making a container's network and starting its first process, while a mesh holds hooks.

Run as ``python -I -S hook.py SOCKET`` with the container's state (OCI runtime specification) as its input. It passes that
on to the node and waits for an answer, so that the container starts when its connections are held. It uses the standard
library alone, and whatever happens it ends well and soon: a container must start without the mesh as well.
"""

from __future__ import annotations

import contextlib
import socket
import sys
import time

# How long a container may be kept from starting, in seconds.
_PATIENCE = 1.0


def main(path: str) -> None:
    end = time.monotonic() + _PATIENCE
    state = sys.stdin.buffer.read()
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as node:
        for step in (
            lambda: node.connect(path),
            lambda: node.sendall(state),
            lambda: node.shutdown(socket.SHUT_WR),
            lambda: node.recv(1),
        ):
            node.settimeout(max(end - time.monotonic(), 0.001))
            step()


if __name__ == "__main__":
    main(sys.argv[1])
