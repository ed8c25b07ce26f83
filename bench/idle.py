"""What Bookinfo's mesh costs while nobody calls anything: the control plane, the node agent, and a sidecar."""

from __future__ import annotations

import statistics
import time
from dataclasses import asdict, dataclass
from typing import Any

from bench.mesh import BOOKINFO, running
from bench.paths import EXPLICIT
from bench.usage import cpu_seconds, memory


@dataclass(frozen=True)
class Plan:
    """In seconds: how long to wait after the start, and how long to look."""

    settle: float = 10.0
    seconds: float = 30.0


QUICK = Plan(settle=0.5, seconds=1.0)


def measure(plan: Plan) -> dict[str, Any]:
    """Returns, for each kind of process, the share of one processor that it used, and its memory in bytes."""
    with running([BOOKINFO], EXPLICIT) as mesh:
        time.sleep(plan.settle)
        processes = {"control plane": [mesh.control_pid], "node agent": [mesh.node_pid]}
        processes["sidecar"] = [one["proxyPid"] for one in mesh.instances().values()]
        before = {pid: cpu_seconds(pid) for pids in processes.values() for pid in pids}
        time.sleep(plan.seconds)
        found = {kind: [_used(pid, before[pid], plan.seconds) for pid in pids] for kind, pids in processes.items()}
    return {"plan": asdict(plan), "processes": {kind: _mean(used) for kind, used in found.items()}}


def _used(pid: int, before: float, seconds: float) -> dict[str, float]:
    used = memory(pid)
    return {"cpu": (cpu_seconds(pid) - before) / seconds, "private": used.private, "pss": used.pss}


def _mean(used: list[dict[str, float]]) -> dict[str, float]:
    return {name: statistics.mean(one[name] for one in used) for name in ("cpu", "private", "pss")}
