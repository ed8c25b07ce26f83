"""Whether transparent capture may be used here, and which capture a mesh gets.

The answer is found by doing it: a namespace is made, the rules are loaded in it, and it is dropped. Lists of kernel
options and capabilities would miss what a container, a security module or an old nft forbids.
"""

from __future__ import annotations

import importlib.util
import shutil
import sys
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

from mizzen.node.capture import nft, rules, sysctls
from mizzen.node.capture.entering import in_namespace, new_namespace
from mizzen.node.capturing import CaptureError

_NEEDED = {12: "CAP_NET_ADMIN", 21: "CAP_SYS_ADMIN"}  # their bits in linux/capability.h
_OTHERWISE = "or use --capture explicit"


@dataclass(frozen=True)
class Availability:
    """Whether transparent capture may be used; ``reason`` says why not and what to do, and is "" where it may."""

    reason: str = ""

    @property
    def usable(self) -> bool:
        return not self.reason


def choose_capture(wanted: str) -> tuple[str, str]:
    """Returns the capture mode for ``auto``, ``explicit`` or ``transparent``, and why ``auto`` is not transparent.

    Raises :class:`CaptureError` if transparent is wanted and may not be used, ValueError for any other word. Blocks for
    some 10 ms.
    """
    if wanted == "explicit":
        return "explicit", ""
    if wanted not in ("auto", "transparent"):
        raise ValueError(f"unknown capture mode {wanted!r}: one of auto, explicit, transparent")
    found = availability()
    if found.usable:
        return "transparent", ""
    if wanted == "transparent":
        raise CaptureError(found.reason)
    return "explicit", found.reason


def availability() -> Availability:
    """Finds out whether transparent capture may be used by this process; blocks for some 10 ms."""
    return Availability(_platform() or _privileges() or _packages() or _trial())


def _platform() -> str:
    if sys.platform == "linux":
        return ""
    return f"--capture transparent needs Linux, this is {sys.platform}: use --capture explicit"  # type: ignore[unreachable,unused-ignore]


def _privileges() -> str:
    status = Path("/proc/self/status").read_text()
    held = next(int(line.split()[1], 16) for line in status.splitlines() if line.startswith("CapEff:"))
    missing = missing_capabilities(held)
    if len(missing) == len(_NEEDED):
        return f"--capture transparent needs root: run with sudo, {_OTHERWISE}"
    if missing:
        return f"--capture transparent needs {' and '.join(missing)}, which this process has not: add it, {_OTHERWISE}"
    return ""


def missing_capabilities(held: int) -> list[str]:
    """Returns the names of the capabilities that are needed and not in the mask ``held``."""
    return [name for bit, name in _NEEDED.items() if not held >> bit & 1]


def _packages() -> str:
    if shutil.which("nft") is None:
        return f"--capture transparent needs the nft command: install the package nftables, {_OTHERWISE}"
    missing = [
        package
        for module, package in (("dns", "dnspython"), ("pyroute2", "pyroute2"))
        if importlib.util.find_spec(module) is None
    ]
    if missing:
        return f"--capture transparent needs {' and '.join(missing)}: pip install 'mizzen[capture]', {_OTHERWISE}"
    return ""


def _trial() -> str:
    try:
        namespace = new_namespace(sysctls.disable_ipv6_for_new_links)
        with open(namespace, "rb"):  # noqa: PTH123 - it is a descriptor; this closes it
            in_namespace(namespace, lambda: nft.apply(rules.namespace_rules(IPv4Address("10.0.0.1"))))
    except OSError as error:
        return f"--capture transparent is not possible on this system ({error}): use --capture explicit"
    return ""
