"""The most requests a second that a way carries: a closed loop with wrk, in turns.

On a machine with few processors this measures how much of them a request costs, wrk's and the backend's share included.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from bench.paths import AUTHORITY, HAND, CallPath, call_paths
from bench.spread import spread
from mizzen.node.launching import launch_command


@dataclass(frozen=True)
class Plan:
    """``seconds`` is how long each way is driven in each round."""

    rounds: int = 8
    seconds: int = 2
    connections: int = 16


QUICK = Plan(rounds=1, seconds=1)


def available() -> bool:
    return shutil.which("wrk") is not None


def measure(plan: Plan, *, transparent: bool) -> dict[str, Any]:
    """Returns requests a second by way, and the ratio to the hand-configured Envoys of the same round."""
    found: dict[str, list[float]] = {}
    with call_paths(transparent=transparent) as ways:
        for number in range(plan.rounds):
            first = number % len(ways)
            for way in [*ways[first:], *ways[:first]]:
                found.setdefault(way.name, []).append(_drive(way, plan))
        order = [way.name for way in ways]
    return {
        "plan": asdict(plan),
        "ways": {
            name: {"rate": asdict(spread(found[name])), "ratio": _ratio(found[name], found[HAND])} for name in order
        },
    }


def _ratio(rates: Sequence[float], to: Sequence[float]) -> dict[str, float]:
    return asdict(spread([one / other for one, other in zip(rates, to, strict=True)]))


def _drive(way: CallPath, plan: Plan) -> float:
    url = f"http://{way.target.host}:{way.target.port}/"
    line = ["wrk", "-t1", f"-c{plan.connections}", f"-d{plan.seconds}s", "-H", f"Host: {AUTHORITY}", url]
    if way.target.netns:
        line = launch_command(line, netns=way.target.netns)
    out = subprocess.run(line, stdout=subprocess.PIPE, text=True, check=True).stdout
    found = re.search(r"Requests/sec:\s*([\d.]+)", out)
    if not found or "Non-2xx" in out or "Socket errors" in out:
        raise RuntimeError(f"wrk did not get its answers from {way.name}:\n{out}")
    return float(found[1])
