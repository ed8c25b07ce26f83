"""Which tests can run here: those that need more than Python say so with a mark, and are skipped where it is not there.

In CI nothing of the kind may be missing, so there a skip is a failure.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from pathlib import Path

import pytest
from tests.support import systemd


def pytest_configure() -> None:
    # pytest-asyncio asks for the current event loop to put it back later; where there is none Python 3.11 makes one,
    # which nobody closes.
    asyncio.set_event_loop(None)


def _missing_privileges() -> str:
    """Returns what a test of network namespaces lacks on this machine, or nothing."""
    if sys.platform != "linux":
        return "network namespaces and nftables are Linux's"
    if os.geteuid() != 0:
        return "needs root, for network namespaces and nftables"
    absent = [command for command in ("nft", "ip") if not shutil.which(command)]
    return f"needs the commands {' and '.join(absent)} (Debian: nftables, iproute2)" if absent else ""


def _missing_containers() -> str:
    """Returns what a test of containers lacks on this machine, or nothing."""
    commands = ("podman", "runc", "iptables", "busybox")
    helpers = (Path("/usr/lib/podman/netavark"), Path("/usr/lib/podman/aardvark-dns"))
    absent = [command for command in commands if not shutil.which(command)]
    absent += [helper.name for helper in helpers if not helper.exists() and not shutil.which(helper.name)]
    if not absent:
        return _missing_privileges()
    return f"needs {' and '.join(absent)} (Debian: podman, runc, netavark, aardvark-dns, iptables, busybox-static)"


def _missing_compose() -> str:
    return "" if shutil.which("docker-compose") else "needs the command docker-compose (Debian: docker-compose)"


MARKS = {
    "privileged": _missing_privileges,
    "containers": _missing_containers,
    "compose": _missing_compose,
    "systemd": systemd.missing,
}


# Modules are handed out whole, to whichever worker is free: the longest first, or one worker ends minutes after the other.
LONGEST = ("e2e/containers/test_churn", "e2e/test_isolation", "e2e", "envoy", "feature")


def _length(item: pytest.Item) -> int:
    path = item.path.relative_to(Path(__file__).parent).as_posix()
    return next((place for place, start in enumerate(LONGEST) if path.startswith(start)), len(LONGEST))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=_length)
    for mark, find in MARKS.items():
        if missing := find():
            for item in items:
                if item.get_closest_marker(mark):
                    _leave_out(item, missing)


def _leave_out(item: pytest.Item, missing: str) -> None:
    if os.environ.get("CI"):
        item.user_properties.append(("missing", missing))
    else:
        item.add_marker(pytest.mark.skip(reason=missing))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    for name, missing in item.user_properties:
        if name == "missing":
            pytest.fail(f"cannot be skipped in CI: {missing}", pytrace=False)
