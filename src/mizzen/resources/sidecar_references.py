"""Checks Sidecars against the rest of a mesh: what they select, and whether two select the same. Pure; a part of
:mod:`mizzen.resources.references`.

All of it are warnings. A Sidecar may name what comes later, or a namespace in which nothing lives; and of two for one workload
Istio takes the older.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mizzen.resources import hosts
from mizzen.resources.egress_hosts import NONE, egress_hosts
from mizzen.resources.mesh_config import DEFAULT_ROOT_NAMESPACE
from mizzen.resources.mesh_config_references import mesh_configs
from mizzen.resources.owners import Owners, sees, viewers
from mizzen.resources.paths import join
from mizzen.resources.problems import NOT_FOUND, Level, Problem
from mizzen.resources.resource import Resource
from mizzen.resources.service import ServiceSpec
from mizzen.resources.sidecar import SidecarSpec
from mizzen.resources.virtual_service import VirtualServiceSpec
from mizzen.resources.workload import WorkloadSpec

SAME_WORKLOAD = "IST0110"
SAME_NAMESPACE = "IST0111"
SEVERAL_TAKERS = "SeveralServicesForBytes"


@dataclass(frozen=True)
class _World:
    """The owners of hosts; the hosts of VirtualServices; and what is meant by a host that is not there."""

    owners: Owners
    routed: frozenset[str]
    meant: Callable[[str], str | None]
    root: str

    def client(self, sidecar: Resource[SidecarSpec]) -> str | None:
        """Returns the namespace of the workloads that obey a Sidecar, or None where they may be in any."""
        everywhere = sidecar.namespace == self.root and sidecar.spec.workload_selector is None
        return None if everywhere else sidecar.namespace


def check_sidecars(
    resources: Sequence[Resource[Any]],
    workloads: Iterable[Resource[WorkloadSpec]],
    routes: Iterable[Resource[VirtualServiceSpec]],
    owners: Owners,
    meant: Callable[[str], str | None],
) -> list[Problem]:
    """Returns what is worth knowing of the Sidecars among all resources.

    ``meant`` returns what is most likely meant by a host that is not there.
    """
    sidecars = sorted((one for one in resources if isinstance(one.spec, SidecarSpec)), key=lambda one: one.age)
    if not sidecars:
        return []
    mesh = next(iter(mesh_configs(resources)), None)
    root = mesh.spec.root_namespace if mesh else DEFAULT_ROOT_NAMESPACE
    routed = frozenset(hosts.resolve(host, one.namespace) for one in routes for host in one.spec.hosts)
    world = _World(owners, routed, meant, root)
    workloads = [one for one in workloads if not one.spec.gateway]
    problems = [*_same_workload(sidecars, workloads), *_same_namespace(sidecars)]
    for sidecar in sidecars:
        problems += _ports(sidecar, _selected(sidecar, workloads))
        problems += _egress(sidecar, world)
    return problems


def _selected(sidecar: Resource[SidecarSpec], workloads: Iterable[Resource[WorkloadSpec]]) -> list[Resource[Any]]:
    selector = sidecar.spec.workload_selector
    wanted: Mapping[str, str] = selector.labels if selector else {}
    return [one for one in workloads if one.namespace == sidecar.namespace and wanted.items() <= one.labels.items()]


def _same_workload(
    sidecars: Iterable[Resource[SidecarSpec]], workloads: Sequence[Resource[WorkloadSpec]]
) -> Iterator[Problem]:
    path = "spec.workloadSelector"
    obeyed: dict[tuple[str, str], Resource[SidecarSpec]] = {}
    for sidecar in sidecars:
        if sidecar.spec.workload_selector is None:
            continue
        selected = _selected(sidecar, workloads)
        if not selected:
            message = f"the selector matches no Workload in namespace {sidecar.namespace}"
            hint = "compare it with the labels in the metadata of the workloads"
            yield sidecar.problem(NOT_FOUND, path, message, hint, Level.WARNING)
        told: set[str] = set()
        for workload in selected:
            older = obeyed.setdefault((workload.namespace, workload.name), sidecar)
            if older is not sidecar and older.name not in told:
                told.add(older.name)
                where = older.source.position(path)
                message = f"{workload.key} is selected by {older.key} at {where} as well, which is older and counts"
                yield sidecar.problem(
                    SAME_WORKLOAD, path, message, "have each workload selected by one of them", Level.WARNING
                )


def _same_namespace(sidecars: Iterable[Resource[SidecarSpec]]) -> Iterator[Problem]:
    found: dict[str, Resource[SidecarSpec]] = {}
    for sidecar in sidecars:
        if sidecar.spec.workload_selector is None:
            older = found.setdefault(sidecar.namespace, sidecar)
            if older is not sidecar:
                where = older.source.position()
                message = (
                    f"namespace {sidecar.namespace} has one Sidecar without a selector, and {older.key} at {where} is "
                    "older and counts"
                )
                hint = "delete one of them, or give it a `workloadSelector`"
                yield sidecar.problem(SAME_NAMESPACE, "metadata.name", message, hint, Level.WARNING)


def _ports(sidecar: Resource[SidecarSpec], selected: Sequence[Resource[WorkloadSpec]]) -> Iterator[Problem]:
    declared = {port.container_port for one in selected for port in one.spec.ports}
    for index, listener in enumerate(sidecar.spec.ingress):
        if selected and listener.port and listener.port.number not in declared:
            message = f"no Workload that it selects declares port {listener.port.number}, so no service leads there"
            yield sidecar.problem(
                NOT_FOUND,
                f"{join('spec.ingress', index)}.port.number",
                message,
                f"add `{{containerPort: {listener.port.number}}}` to the `ports` of the workload",
                Level.WARNING,
            )


def _egress(sidecar: Resource[SidecarSpec], world: _World) -> Iterator[Problem]:
    for index, listener in enumerate(sidecar.spec.egress):
        path = join("spec.egress", index)
        for position, written in enumerate(listener.hosts):
            home, _, host = written.partition("/")
            if not home.startswith(NONE) and not hosts.is_wildcard(host):
                yield from _host(sidecar, join(f"{path}.hosts", position), written, hosts.comparable(host), world)
        port = listener.port
        if port is None or port.is_forward_proxy or port.speaks.is_http:
            continue
        if listener.bind or listener.capture_mode == "NONE":
            takers = _takers(sidecar, listener.hosts, port.number, world)
            if len(takers) > 1:
                message = f"bytes do not say which service they are for: {takers[0]} has them all, not {takers[1]}"
                yield sidecar.problem(SEVERAL_TAKERS, f"{path}.hosts", message, "select one service", Level.WARNING)
    policy = sidecar.spec.outbound_traffic_policy
    if policy and policy.egress_proxy:
        full = hosts.resolve(policy.egress_proxy.host, sidecar.namespace)
        where = "spec.outboundTrafficPolicy.egressProxy.host"
        found = world.owners.of(full, world.client(sidecar))
        if found is None:
            yield sidecar.problem(
                NOT_FOUND, where, f"host not found: no service is {full}", _meant(full, world), Level.WARNING
            )
        elif not _seen(found, world.client(sidecar)):
            yield _hidden(sidecar, where, full, found)


def _takers(sidecar: Resource[SidecarSpec], written: tuple[str, ...], port: int, world: _World) -> list[str]:
    """Returns the hosts that are selected and have the port, of services that all who obey the Sidecar see."""
    selected = egress_hosts(written, sidecar.namespace)
    client = world.client(sidecar)
    return sorted(
        host
        for host, service in world.owners.every(client).items()
        if any(one.port == port for one in service.spec.ports)
        and selected.service(host, service.namespace)
        and (_seen(service, client) if client else viewers(service) is None)
    )


def _host(sidecar: Resource[SidecarSpec], path: str, written: str, host: str, world: _World) -> Iterator[Problem]:
    client = world.client(sidecar)
    found = world.owners.of(host, client)
    if found is None:
        if not any(hosts.matches(host, routed) for routed in world.routed):
            yield sidecar.problem(
                NOT_FOUND, path, f"host not found: {written!r} selects no service", _meant(host, world), Level.WARNING
            )
    elif not egress_hosts((written,), client or found.namespace).service(host, found.namespace):
        hint = f"it is in namespace {found.namespace}: write `{found.namespace}/{host}`"
        message = f"{written!r} selects nothing: {host} is not in that namespace"
        yield sidecar.problem(NOT_FOUND, path, message, hint, Level.WARNING)
    elif not _seen(found, client):
        yield _hidden(sidecar, path, host, found)


def _seen(service: Resource[ServiceSpec], client: str | None) -> bool:
    """Tells whether a namespace, or any at all, sees a service."""
    if client is None:
        return viewers(service) != frozenset()
    return sees(client, service)


def _hidden(sidecar: Resource[SidecarSpec], path: str, host: str, service: Resource[ServiceSpec]) -> Problem:
    message = f"{host} is not exported to namespace {sidecar.namespace}, so it cannot be called from there"
    hint = f"see `exportTo` of {service.key} at {service.source.position()}"
    return sidecar.problem(NOT_FOUND, path, message, hint, Level.WARNING)


def _meant(host: str, world: _World) -> str:
    near = world.meant(host)
    return f"did you mean `{near}`? A host is written in full" if near else "a host is written in full"
