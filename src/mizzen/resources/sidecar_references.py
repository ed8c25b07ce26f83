"""Checks Sidecars against the rest of a mesh: what they select, and whether two select the same. Pure; a part of
:mod:`mizzen.resources.references`.

All of it are warnings. A Sidecar may name what comes later, or a namespace in which nothing lives; and of two for one workload
Istio takes the older.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from mizzen.resources import hosts
from mizzen.resources.egress_hosts import NONE, egress_hosts
from mizzen.resources.paths import join
from mizzen.resources.problems import Level, Problem
from mizzen.resources.resource import Resource
from mizzen.resources.service import ServiceSpec
from mizzen.resources.service_entry import ServiceEntrySpec
from mizzen.resources.sidecar import SidecarSpec
from mizzen.resources.suggesting import nearest
from mizzen.resources.virtual_service import VirtualServiceSpec
from mizzen.resources.workload import WorkloadSpec

NOT_FOUND = "IST0101"
SAME_WORKLOAD = "IST0110"
SAME_NAMESPACE = "IST0111"
SEVERAL_TAKERS = "SeveralServicesForBytes"


def check_sidecars(resources: Sequence[Resource[Any]], domain: str = hosts.DEFAULT_DOMAIN) -> list[Problem]:
    """Returns what is worth knowing of the Sidecars among all resources."""
    sidecars = sorted((one for one in resources if isinstance(one.spec, SidecarSpec)), key=lambda one: one.age)
    if not sidecars:
        return []
    workloads = [one for one in resources if isinstance(one.spec, WorkloadSpec) and not one.spec.gateway]
    known = _Known(resources, domain)
    problems = [*_same_workload(sidecars, workloads), *_same_namespace(sidecars)]
    for sidecar in sidecars:
        problems += _ports(sidecar, _selected(sidecar, workloads))
        problems += _egress(sidecar, known)
    return problems


class _Known:
    """What may be selected: services by host, each with its namespace and ports, and hosts of VirtualServices."""

    def __init__(self, resources: Iterable[Resource[Any]], domain: str) -> None:
        self.domain = domain
        self.services: dict[str, tuple[str, frozenset[int]]] = {}
        self.routed: set[str] = set()
        for one in resources:
            match one.spec:
                case ServiceSpec(ports=ports):
                    host = hosts.resolve(one.name, one.namespace, domain)
                    self.services[host] = (one.namespace, frozenset(port.port for port in ports))
                case ServiceEntrySpec(ports=ports):
                    numbers = frozenset(port.number for port in ports)
                    self.services |= {host.lower(): (one.namespace, numbers) for host in one.spec.hosts}
                case VirtualServiceSpec():
                    self.routed |= {hosts.resolve(host, one.namespace, domain) for host in one.spec.hosts}
                case _:
                    pass


def _warn(resource: Resource[Any], code: str, path: str, message: str, hint: str) -> Problem:
    return Problem(code, message, Level.WARNING, resource.source.position(path), resource.key, path, hint)


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
            yield _warn(sidecar, NOT_FOUND, path, message, hint)
        told: set[str] = set()
        for workload in selected:
            older = obeyed.setdefault((workload.namespace, workload.name), sidecar)
            if older is not sidecar and older.name not in told:
                told.add(older.name)
                where = older.source.position(path)
                message = f"{workload.key} is selected by {older.key} at {where} as well, which is older and counts"
                yield _warn(sidecar, SAME_WORKLOAD, path, message, "have each workload selected by one of them")


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
                yield _warn(sidecar, SAME_NAMESPACE, "metadata.name", message, hint)


def _ports(sidecar: Resource[SidecarSpec], selected: Sequence[Resource[WorkloadSpec]]) -> Iterator[Problem]:
    declared = {port.container_port for one in selected for port in one.spec.ports}
    for index, listener in enumerate(sidecar.spec.ingress):
        if selected and listener.port and listener.port.number not in declared:
            message = f"no Workload that it selects declares port {listener.port.number}, so no service leads there"
            yield _warn(
                sidecar,
                NOT_FOUND,
                f"{join('spec.ingress', index)}.port.number",
                message,
                f"add `{{containerPort: {listener.port.number}}}` to the `ports` of the workload",
            )


def _egress(sidecar: Resource[SidecarSpec], known: _Known) -> Iterator[Problem]:
    for index, listener in enumerate(sidecar.spec.egress):
        path = join("spec.egress", index)
        for position, written in enumerate(listener.hosts):
            home, _, host = written.partition("/")
            if not home.startswith(NONE) and not hosts.is_wildcard(host):
                yield from _host(sidecar, join(f"{path}.hosts", position), written, host, known)
        port = listener.port
        if port is None or port.is_forward_proxy or port.speaks.is_http:
            continue
        if listener.bind or listener.capture_mode == "NONE":
            selected = egress_hosts(listener.hosts, sidecar.namespace)
            takers = sorted(
                one
                for one, (where, numbers) in known.services.items()
                if port.number in numbers and selected.service(one, where)
            )
            if len(takers) > 1:
                message = f"bytes do not say which service they are for: {takers[0]} has them all, not {takers[1]}"
                yield _warn(sidecar, SEVERAL_TAKERS, f"{path}.hosts", message, "select one service")
    policy = sidecar.spec.outbound_traffic_policy
    if policy and policy.egress_proxy:
        full = hosts.resolve(policy.egress_proxy.host, sidecar.namespace, known.domain)
        if full not in known.services:
            where = "spec.outboundTrafficPolicy.egressProxy.host"
            yield _warn(sidecar, NOT_FOUND, where, f"host not found: no service is {full}", _meant(full, known))


def _host(sidecar: Resource[SidecarSpec], path: str, written: str, host: str, known: _Known) -> Iterator[Problem]:
    own = egress_hosts((written,), sidecar.namespace)
    found = known.services.get(host.lower())
    if found and own.service(host.lower(), found[0]):
        return
    if not found and any(hosts.matches(host.lower(), routed) for routed in known.routed):
        return
    if found:
        hint = f"it is in namespace {found[0]}: write `{found[0]}/{host}`"
        message = f"{written!r} selects nothing: {host} is not in that namespace"
    else:
        hint = _meant(host.lower(), known)
        message = f"host not found: {written!r} selects no service"
    yield _warn(sidecar, NOT_FOUND, path, message, hint)


def _meant(host: str, known: _Known) -> str:
    names: dict[str, list[str]] = defaultdict(list)
    for one in sorted(known.services):
        names[one.partition(".")[0]].append(one)
    near = nearest(host, known.services) or next(iter(names.get(host.partition(".")[0], ())), None)
    return f"did you mean `{near}`? A host is written in full" if near else "a host is written in full"
