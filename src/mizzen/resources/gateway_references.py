"""Checks Gateways against the gateways that run, the VirtualServices bound to them, and each other. Pure; a part of
:mod:`mizzen.resources.references`. Codes are those of ``istioctl analyze``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from mizzen.resources import hosts
from mizzen.resources.gateway import GatewaySpec
from mizzen.resources.gateway_names import MESH, for_mesh, gateway_name
from mizzen.resources.gateway_servers import BoundServer, Conflict, merged, selecting
from mizzen.resources.paths import join
from mizzen.resources.problems import NOT_FOUND, Level, Problem
from mizzen.resources.protocols import Protocol
from mizzen.resources.resource import Resource
from mizzen.resources.suggesting import nearest
from mizzen.resources.virtual_service import VirtualServiceSpec
from mizzen.resources.workload import WorkloadSpec

HOST_NOT_IN_GATEWAY = "IST0132"
CONFLICTING_GATEWAYS = "IST0145"
ROUTES_WITHOUT_SERVER = "RoutesWithoutServer"
_SERVERS = {
    "http": "they are for servers of HTTP, and of HTTPS with `mode: SIMPLE` or a mutual one",
    "tls": "they are for servers of TLS or HTTPS with `mode: PASSTHROUGH`",
    "tcp": "they are for servers of TCP, and of TLS with `mode: SIMPLE` or a mutual one",
}


def check_gateways(
    gateways: Sequence[Resource[GatewaySpec]],
    routes: Iterable[Resource[VirtualServiceSpec]],
    workloads: Iterable[Resource[WorkloadSpec]],
) -> Iterator[Problem]:
    running = [one for one in workloads if one.spec.gateway]
    for gateway in gateways:
        yield from _unselecting(gateway, running)
    told = set()
    for workload in running:
        _, conflicts = merged(selecting(gateways, workload.labels))
        for conflict in conflicts:
            if (place := (conflict.server.gateway.key, conflict.server.index)) not in told:
                told.add(place)
                yield _conflicting(conflict)
    by_name = {f"{one.namespace}/{one.name}": one for one in gateways}
    for route in routes:
        yield from _bindings(route, by_name)


def _unselecting(gateway: Resource[GatewaySpec], running: Sequence[Resource[WorkloadSpec]]) -> Iterator[Problem]:
    if any(gateway.spec.selector.items() <= one.labels.items() for one in running):
        return
    labels = ", ".join(f"{key}: {value}" for key, value in gateway.spec.selector.items())
    which = f"with the labels {labels}" if labels else "in the mesh"
    if running:
        hint = f"there is {', '.join(f'{one.key} at {one.source.position()}' for one in running)}: compare its labels"
    else:
        hint = f"write one: kind Workload, `metadata: {{labels: {{{labels}}}}}`, `spec: {{gateway: {{}}}}`"
    yield gateway.problem(NOT_FOUND, "spec.selector", f"no gateway {which} runs", hint, Level.WARNING)


def _conflicting(conflict: Conflict) -> Problem:
    server, earlier = conflict.server, conflict.earlier
    path = join("spec.servers", server.index)
    where = earlier.gateway.source.position(join("spec.servers", earlier.index))
    message = f"{earlier.gateway.key} at {where} has port {server.spec.number}, and {conflict.why}"
    hint = "give it another port, or make one Gateway of the two"
    return server.gateway.problem(CONFLICTING_GATEWAYS, path, message, hint)


def _bindings(route: Resource[VirtualServiceSpec], by_name: Mapping[str, Resource[GatewaySpec]]) -> Iterator[Problem]:
    bound = []
    for index, written in enumerate(route.spec.gateways):
        name = gateway_name(written, route.namespace)
        if name in by_name:
            bound.append(by_name[name])
        elif name != MESH:
            near = nearest(name, by_name)
            hint = f"did you mean `{near}`?" if near else "it takes effect when there is such a Gateway"
            path = join("spec.gateways", index)
            yield route.problem(NOT_FOUND, path, f"gateway not found: {name}", hint, Level.WARNING)
    if not bound or for_mesh(route.spec.gateways):
        return
    servers = [BoundServer(one, index) for one in bound for index in range(len(one.spec.servers))]
    yield from _useless(route, servers)
    for index, host in enumerate(route.spec.hosts):
        if not any(_serves(server, host, route.namespace) for server in servers):
            message = f"no server of {', '.join(str(one.key) for one in bound)} has the host {host}"
            hint = f"its hosts are {', '.join(sorted({name for server in servers for name in server.spec.hosts}))}"
            yield route.problem(HOST_NOT_IN_GATEWAY, join("spec.hosts", index), message, hint, Level.WARNING)


def _useless(route: Resource[VirtualServiceSpec], servers: Sequence[BoundServer]) -> Iterator[Problem]:
    """Yields a warning for each kind of routes that no server of the gateways reads."""
    read = {_reads(server) for server in servers}
    for kind, hint in _SERVERS.items():
        if getattr(route.spec, kind) and kind not in read:
            message = f"no server of its gateways is for `{kind}` routes, so they have no effect"
            yield route.problem(ROUTES_WITHOUT_SERVER, f"spec.{kind}", message, hint, Level.WARNING)


def _reads(server: BoundServer) -> str:
    """Returns which routes are for a server (Istio 2.18)."""
    protocol = server.spec.protocol
    if protocol.is_http or (protocol is Protocol.HTTPS and server.spec.ends_tls):
        return "http"
    return "tls" if protocol.is_tls and not server.spec.ends_tls else "tcp"


def _serves(server: BoundServer, host: str, namespace: str) -> bool:
    full = hosts.resolve(host, namespace)
    return any(where in ("*", namespace) and hosts.matches(full, name) for where, name in server.hosts)
