"""Switches of the kernel under /proc/sys/net, of the network namespace of the thread that calls."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path

_NET = Path("/proc/sys/net")


def disable_ipv6_for_new_links() -> None:
    """Links that this namespace gets from now on have no IPv6; loopback keeps ::1, which applications may listen on."""
    _write_if_there(_NET / "ipv6/conf/default/disable_ipv6", "1")
    _write_if_there(_NET / "ipv6/conf/lo/disable_ipv6", "0")


def disable_ipv6(link: str) -> None:
    _write_if_there(_NET / "ipv6/conf" / link / "disable_ipv6", "1")


def forwarding(link: str) -> bool:
    """Says whether packets that arrive on ``link`` may be forwarded; ``all`` is the switch of the whole host."""
    return _forwarding(link).read_text().strip() == "1"


def set_forwarding(link: str, *, allowed: bool) -> None:
    """Raises OSError, FileNotFoundError if there is no such link."""
    _forwarding(link).write_text("1" if allowed else "0")


def without_forwarding(links: Iterable[str]) -> list[str]:
    """Returns those of ``links`` that may not forward; links that have gone are left out."""
    found = []
    for link in links:
        with contextlib.suppress(FileNotFoundError):
            if not forwarding(link):
                found.append(link)
    return found


def keep_waiting_connections(*, wanted: bool = True) -> bool:
    """Says what becomes of connections that a listening socket has not accepted when it is closed: others at the same port
    get them (``wanted``), or they are reset, as is usual. Returns whether that is new; a kernel before 5.14 resets them.
    """
    file, text = _NET / "ipv4/tcp_migrate_req", "1" if wanted else "0"
    try:
        if file.read_text().strip() == text:
            return False
        file.write_text(text)
    except FileNotFoundError:
        return False
    return True


def tracked_flows() -> int:
    """Returns how many flows the kernel tracks in this namespace; 0 where it tracks none at all."""
    with contextlib.suppress(FileNotFoundError):
        return int((_NET / "netfilter/nf_conntrack_count").read_text())
    return 0


def has_ipv6() -> bool:
    """Says whether the kernel has IPv6; links may have no address of it nevertheless."""
    return (_NET / "ipv6").is_dir()


def _forwarding(link: str) -> Path:
    return _NET / "ipv4/conf" / link / "forwarding"


def _write_if_there(file: Path, text: str) -> None:
    # A kernel without IPv6 has no such file.
    with contextlib.suppress(FileNotFoundError):
        file.write_text(text)
