"""How long the compiler takes for a large mesh: from nothing, and after one route has changed. On one core, in one process."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from bench.spread import spread
from mizzen.compile.compiler import Compiler
from mizzen.control.views import Inputs, Running, build_snapshot, running
from mizzen.mesh.model import Snapshot
from mizzen.registry.addresses import allocate
from mizzen.registry.reports import Instance, OutboundPort, Report
from mizzen.registry.services import host_of, services_in
from mizzen.resources.key import Key
from mizzen.resources.loading import load
from mizzen.resources.resource import Resource

_PORT = 8080
_NODE_PROXY = "node.mizzen-system"
_KINDS = ("sidecar, transparent", "sidecar, explicit", "node proxy")


@dataclass(frozen=True)
class Plan:
    """``services`` have a VirtualService each; ``starts`` compilers begin with nothing, the last sees ``changes``."""

    services: int = 1000
    starts: int = 5
    changes: int = 50


QUICK = Plan(services=10, starts=1, changes=2)


def measure(plan: Plan) -> dict[str, Any]:
    """Returns for each kind of proxy how many milliseconds it takes to compile one: ``nothing``, ``changed``, and
    ``snapshot``, the time that the change takes before the compiler sees it.
    """
    text = "---".join(_service(number, plan.services) for number in range(plan.services))
    resources = {one.key: one.stamped(age) for age, one in enumerate(load(text, "mesh.yaml").resources)}
    gc.collect()
    gc.freeze()  # as the control plane does
    return {"plan": asdict(plan), "kinds": {kind: _measure(plan, resources, kind) for kind in _KINDS}}


def _measure(plan: Plan, resources: Mapping[Key, Resource[Any]], kind: str) -> dict[str, Any]:
    hosts = [host_of(one) for one in services_in(resources.values())]
    report = Report(node="node", instances=(_client(hosts, kind),))
    addresses = allocate({}, hosts)

    def inputs(written: Mapping[Key, Resource[Any]]) -> Inputs:
        return Inputs("cluster.local", written, report, addresses)

    found = running(inputs(resources))
    first = build_snapshot(inputs(resources), 1, found)
    proxy = _NODE_PROXY if kind == "node proxy" else "client.default"
    nothing = []
    for _ in range(plan.starts):
        compiler = Compiler()
        nothing.append(_timed(compiler, first, proxy))
    changed, snapshots = [], []
    for version, written in enumerate(_changes(plan, resources), start=2):
        began = time.perf_counter()
        snapshot = _next(inputs(written), version, found)
        snapshots.append((time.perf_counter() - began) * 1000)
        changed.append(_timed(compiler, snapshot, proxy))
    return {
        "nothing": asdict(spread(nothing)),
        "changed": asdict(spread(changed)),
        "snapshot": asdict(spread(snapshots)),
    }


def _next(inputs: Inputs, version: int, before: Running) -> Snapshot:
    return build_snapshot(inputs, version, running(inputs, before))


def _timed(compiler: Compiler, snapshot: Snapshot, proxy: str) -> float:
    began = time.perf_counter()
    compiler.compile(snapshot.proxies[proxy], snapshot)
    return (time.perf_counter() - began) * 1000


def _changes(plan: Plan, resources: Mapping[Key, Resource[Any]]) -> Iterator[Mapping[Key, Resource[Any]]]:
    """Yields the resources with another weight in one VirtualService, not the same one each time."""
    now = dict(resources)
    for change in range(plan.changes):
        (new,) = load(_virtual_service(change * 7 % plan.services, plan.services, change % 99 + 1), "").resources
        now = {**now, new.key: new.stamped(now[new.key].created)}
        yield now


def _client(hosts: list[str], kind: str) -> Instance:
    explicit = kind == "sidecar, explicit"
    outbound = (OutboundPort(host=host, port=_PORT, local=20000 + number) for number, host in enumerate(hosts))
    return Instance(
        name="client",
        namespace="default",
        workload="client",
        digest="bench",
        phase="Running",
        ready=True,
        capture="explicit" if explicit else "transparent",
        outbound=tuple(outbound) if explicit else (),
        http_proxy=19999 if explicit else 0,
        proxies=(_NODE_PROXY,) if kind == "node proxy" else (),
        netns="/run/netns/client",
    )


def _service(number: int, count: int) -> str:
    return f"""
apiVersion: v1
kind: Service
metadata: {{name: s{number}}}
spec:
  selector: {{app: s{number}}}
  ports: [{{name: http, port: {_PORT}}}]
---{_virtual_service(number, count, 90)}"""


def _virtual_service(number: int, count: int, weight: int) -> str:
    return f"""
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: s{number}}}
spec:
  hosts: [s{number}]
  http:
  - match: [{{headers: {{end-user: {{exact: jason}}}}}}]
    route: [{{destination: {{host: s{number}}}}}]
  - timeout: 5s
    route:
    - {{destination: {{host: s{number}}}, weight: {weight}}}
    - {{destination: {{host: s{(number + 1) % count}}}, weight: {100 - weight}}}
"""
