"""What the engine runs between making a container's network and starting its first process, while a mesh holds hooks.

Run as ``python -I -S hook.py SOCKET`` with the container's state (OCI runtime specification) as its input. It passes that
on to the node and waits for an answer, so that the container starts when its connections are held. It uses the standard
library alone, and whatever happens it ends well and soon: a container must start without the mesh as well.
"""

from __future__ import annotations

import contextlib
import socket
import sys

# How long a container may be kept from starting, in seconds.
_PATIENCE = 1.0


def main(path: str) -> None:
    state = sys.stdin.buffer.read()
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as node:
        node.settimeout(_PATIENCE)
        node.connect(path)
        node.sendall(state)
        node.shutdown(socket.SHUT_WR)
        node.recv(1)


if __name__ == "__main__":
    main(sys.argv[1])
