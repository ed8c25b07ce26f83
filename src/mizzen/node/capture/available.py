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


@dataclass(frozen=True)
class Availability:
    """Whether transparent capture may be used: ``reason`` says why not, and is "" where it may; ``advice`` what to do."""

    reason: str = ""
    advice: str = ""

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
        otherwise = "or use --capture explicit" if found.advice else "use --capture explicit"
        raise CaptureError(f"--capture {found.reason}: {', '.join(filter(None, (found.advice, otherwise)))}")
    return "explicit", found.reason


def availability() -> Availability:
    """Finds out whether transparent capture may be used by this process; blocks for some 10 ms."""
    return _platform() or _privileges() or _packages() or _trial() or Availability()


def _platform() -> Availability | None:
    if sys.platform == "linux":
        return None
    return Availability(f"transparent needs Linux, this is {sys.platform}")  # type: ignore[unreachable,unused-ignore]


def _privileges() -> Availability | None:
    status = Path("/proc/self/status").read_text()
    held = next(int(line.split()[1], 16) for line in status.splitlines() if line.startswith("CapEff:"))
    missing = missing_capabilities(held)
    if len(missing) == len(_NEEDED):
        return Availability("transparent needs root", "run with sudo")
    if missing:
        return Availability(f"transparent needs {' and '.join(missing)}, which this process has not", "add it")
    return None


def missing_capabilities(held: int) -> list[str]:
    """Returns the names of the capabilities that are needed and not in the mask ``held``."""
    return [name for bit, name in _NEEDED.items() if not held >> bit & 1]


def _packages() -> Availability | None:
    if shutil.which("nft") is None:
        return Availability("transparent needs the nft command", "install the package nftables")
    missing = [
        package
        for module, package in (("dns", "dnspython"), ("pyroute2", "pyroute2"))
        if importlib.util.find_spec(module) is None
    ]
    if missing:
        return Availability(f"transparent needs {' and '.join(missing)}", "pip install 'mizzen[capture]'")
    return None


def _trial() -> Availability | None:
    try:
        namespace = new_namespace(sysctls.disable_ipv6_for_new_links)
        with open(namespace, "rb"):  # noqa: PTH123 - it is a descriptor; this closes it
            in_namespace(namespace, lambda: nft.apply(rules.namespace_rules(IPv4Address("10.0.0.1"))))
    except OSError as error:
        return Availability(f"transparent is not possible on this system ({error})")
    return None
