"""Lists what is on an engine's host and in its containers, all that a mesh could leave behind, to compare before and after."""

from __future__ import annotations

import subprocess
from collections import Counter
from pathlib import Path
from typing import TypeAlias

from tests.e2e.capture.played_host import names_in, state_of_the_host
from tests.support.containers import Engine
from tests.support.polling import eventually

# What a mesh keeps in its state directory when it does not run (docs/operations.md).
KEPT = {"ca", "children", "lock", "logs", "mizzen.db"}
_CLOSED = {"TIME-WAIT", "FIN-WAIT-1", "FIN-WAIT-2", "CLOSING", "LAST-ACK"}


Inventory: TypeAlias = dict[str, list[str]]
"""What there is, in lines, by where and what it is."""


def inventory(engine: Engine, *containers: str) -> Inventory:
    """Returns all that there is on the host, and in the network namespaces of containers that run."""
    found: dict[str, dict[str, list[str]]] = {name: _network(f"--net={engine.netns(name)}") for name in containers}
    with engine.host.entered():
        found["host"] = _network() | {
            "capture": [f"{what}: {value}" for what, value in state_of_the_host().items() if what != "rules"],
            "named namespaces": names_in(Path("/run/netns")),
            "mounts": [line.split()[4] for line in _lines("/proc/thread-self/mountinfo")],
            # The folder itself stays, empty: it is the lock of all meshes of the host.
            "files": [*(set(names_in(Path("/run"))) - {"mizzen"}), *names_in(Path("/run/mizzen"))],
            "processes": [_command(process) for process in engine.processes()],
        }
    return {f"{what} of {where}": sorted(lines) for where, part in found.items() for what, lines in part.items()}


def settled(engine: Engine, *containers: str) -> Inventory:
    """Returns what there is when the kernel has found out for each address of IPv6 whether it is another's, too."""

    def found() -> Inventory:
        what = inventory(engine, *containers)
        return {} if "tentative" in str(what) else what

    return eventually(found, "no address is tentative")


def difference(before: Inventory, after: Inventory) -> Inventory:
    """Returns what has been added (+) and what is missing (-)."""
    changed: Inventory = {}
    for what, lines in after.items():
        added, missing = Counter(lines) - Counter(before[what]), Counter(before[what]) - Counter(lines)
        if added or missing:
            changed[what] = [*(f"+ {line}" for line in added), *(f"- {line}" for line in missing)]
    return changed


def _network(netns: str = "") -> dict[str, list[str]]:
    return {
        "rules": _listed(netns, "nft", "--stateless", "list", "ruleset"),
        "addresses": _listed(netns, "ip", "-o", "address"),
        "routes": _listed(netns, "ip", "route", "show", "table", "all"),
        "policies": _listed(netns, "ip", "rule"),
        "listening": sorted(_listed(netns, "ss", "--no-header", "--listening", "--tcp", "--udp", "--numeric")),
        "named sockets": sorted(
            line.split()[4] for line in _listed(netns, "ss", "--no-header", "--listening", "--unix")
        ),
        "connections": sorted({line.split()[0] for line in _listed(netns, "ss", "--no-header", "--tcp")} - _CLOSED),
    }


def _listed(netns: str, *command: str) -> list[str]:
    entering = ["nsenter", netns] if netns else []
    done = subprocess.run([*entering, *command], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def _command(process: int) -> str:
    """Returns the command line of a process; "" if it has ended."""
    return " ".join(_lines(f"/proc/{process}/cmdline")).replace("\0", " ")


def _lines(file: str) -> list[str]:
    try:
        return Path(file).read_text().splitlines()
    except OSError:
        return []


def held_by(process: int, kind: str) -> int:
    """Returns how many descriptors of a kind ("net:", "socket:") a process has open."""
    links = [_target(link) for link in Path(f"/proc/{process}/fd").iterdir()]
    return sum(link.startswith(kind) for link in links)


def _target(link: Path) -> str:
    try:
        return str(link.readlink())
    except OSError:
        return ""
