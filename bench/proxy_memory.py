"""Memory of all proxies of a host: one for all workloads against a sidecar each, by the number of workloads.

There is a service for each workload, and any workload may call any service. What is counted is what the proxies have for
themselves, and beside that also the program that they have in common, once: together that is what the machine would have
more without them. (PSS says the same, but only as long as no other Envoys run.)
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.support import small

from bench.load import Connection, Target
from bench.mesh import Mesh, running
from bench.paths import MODES, TRANSPARENT
from bench.usage import Memory, memory

_PORT = 80


@dataclass(frozen=True)
class Plan:
    """``sizes`` are numbers of workloads; each calls ``called`` others, ``requests`` times each, after ``settle`` seconds."""

    sizes: tuple[int, ...] = (5, 20, 50)
    called: int = 5
    requests: int = 20
    settle: float = 5.0


QUICK = Plan(sizes=(2,), called=1, requests=1, settle=0.1)


def measure(plan: Plan) -> dict[str, Any]:
    """Returns bytes, by number of workloads and mode: while nobody has called, and after calls; and their ratios."""
    return {"plan": asdict(plan), "sizes": {str(size): _of_size(plan, size) for size in plan.sizes}}


def _of_size(plan: Plan, size: int) -> dict[str, Any]:
    sidecar, node = (_of_mode(plan, size, mode) for mode in MODES)
    ratios = {
        when: {kind: node[when][kind] / sidecar[when][kind] for kind in ("own", "total")} for when in ("idle", "used")
    }
    return {"modes": dict(zip(MODES, (sidecar, node), strict=True)), "ratio": ratios}


def _of_mode(plan: Plan, size: int, mode: str) -> dict[str, dict[str, int]]:
    names = [f"s{number:02}" for number in range(size)]
    with tempfile.TemporaryDirectory(prefix="mizzen-bench-") as folder:
        documents = [made(name) for name in names for made in (small.service, small.workload)]
        Path(folder, "mesh.yaml").write_text(small.joined(*documents))
        with running([Path(folder)], TRANSPARENT, "--proxy", mode) as mesh:
            time.sleep(plan.settle)
            proxies = sorted({one["proxyPid"] for one in mesh.instances().values()})
            idle = _sum(proxies)
            _call(plan, mesh, names)
            time.sleep(plan.settle)
            return {"idle": idle, "used": _sum(proxies)}


def _sum(proxies: Sequence[int]) -> dict[str, int]:
    used: list[Memory] = [memory(pid) for pid in proxies]
    own = sum(one.own for one in used)
    total = own + max(one.mapped for one in used)
    return {"proxies": len(proxies), "own": own, "total": total, "pss": sum(one.pss for one in used)}


def _call(plan: Plan, mesh: Mesh, names: Sequence[str]) -> None:
    services = mesh.get("/v1/resources?kind=Service&namespace=default")["items"]
    addresses = {one["metadata"]["name"]: one["status"]["address"] for one in services}
    instances = mesh.instances()
    for number, name in enumerate(names):
        for step in range(1, plan.called + 1):
            called = names[(number + step) % len(names)]
            _send(Target(called, addresses[called], _PORT, instances[f"{name}-0"]["netns"]), plan.requests)


def _send(target: Target, requests: int) -> None:
    connection = Connection(target)
    with connection.socket:
        for _ in range(requests):
            connection.send(f"GET / HTTP/1.1\r\nhost: {target.name}\r\n\r\n".encode(), 0, counts=False)
            while not (answer := connection.receive()):
                pass
            if not answer.startswith(b"HTTP/1.1 200 "):
                raise RuntimeError(f"{target.name} answers {answer[:100].decode(errors='replace')}")
