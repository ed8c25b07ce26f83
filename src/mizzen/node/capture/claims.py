"""Says in a network namespace which mesh is attached to it, for the other meshes of the host to read.

It is said by the name of an abstract Unix socket. Such a socket is no file: it belongs to a network namespace, is listed
there, and goes with the process that has it, however that ends (unix(7)). It is a word for people and no lock, since
whatever runs in the namespace could say the same: who has a namespace is decided by the ports of its DNS server.
"""

from __future__ import annotations

import contextlib
import os
import socket
from pathlib import Path

from mizzen.settings import Settings

_PREFIX = "mizzen.dev/mesh "
# sun_path holds 108 bytes, and the first is what makes a name abstract.
_LONGEST = 107
# What /proc/net/unix says of a socket before its name; names may have blanks.
_FIELDS_BEFORE_NAME = 7


def name_of(settings: Settings) -> str:
    """Returns what is claimed for a mesh: its name, and where its state is, shortened if that is too long to be said."""
    beginning, end = f"{settings.name} (state directory ", ")"
    room = _LONGEST - len(os.fsencode(_PREFIX + beginning + end))
    folder = os.fsencode(settings.state_dir)
    if len(folder) > room:
        folder = b"..." + folder[len(folder) - room + 3 :]
    return f"{beginning}{folder.decode(errors='ignore')}{end}"


def claim(mesh: str) -> socket.socket:
    """Says in the namespace of the calling thread that it is a mesh's, until the socket that is returned is closed."""
    said = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    # An application that has the name already is no reason to leave it without a proxy.
    with contextlib.suppress(OSError):
        said.bind(b"\0" + (_PREFIX + mesh).encode(errors="replace")[:_LONGEST])
    return said


def claimed() -> str:
    """Returns which mesh says that it has the namespace of the calling thread, or ""."""
    for line in Path("/proc/thread-self/net/unix").read_text(errors="replace").splitlines():
        name = line.split(maxsplit=_FIELDS_BEFORE_NAME)[_FIELDS_BEFORE_NAME:]
        if name and (said := name[0].removeprefix("@")).startswith(_PREFIX):
            mesh = said.removeprefix(_PREFIX)
            return mesh if mesh.isprintable() else ""
    return ""
