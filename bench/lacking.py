"""What this machine lacks for a measure that needs more than Python and Envoy; nothing of that is an error."""

from __future__ import annotations

import shutil

from mizzen.node.capture.available import availability

# The engine's programs, and what the image of the small containers is made of (tests/support/images.py).
_COMMANDS = ("podman", "runc", "iptables", "busybox")


def transparent_lacks() -> str:
    """Returns why capture cannot be transparent here, or ""."""
    return availability().reason


def containers_lack() -> str:
    """Returns why containers cannot be measured here, or ""."""
    absent = [command for command in _COMMANDS if not shutil.which(command)]
    return f"needs {' and '.join(absent)}" if absent else transparent_lacks()
