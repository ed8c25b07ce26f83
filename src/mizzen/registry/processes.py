"""Turns a node's report into the model's endpoints and proxies: the replicas that run, and those that are ready. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from ipaddress import ip_address
from typing import Any

from mizzen.mesh.localities import parse_locality
from mizzen.mesh.model import (
    Capture,
    Endpoint,
    GatewaySocket,
    InboundPort,
    Instance,
    OutboundPort,
    Proxy,
    Service,
    ServiceId,
    ServicePort,
    Surroundings,
    labels_of,
)
from mizzen.mesh.proxy_kind import ProxyKind
from mizzen.mesh.spiffe import SpiffeId
from mizzen.registry import reports
from mizzen.registry.membership import OUTSIDE
from mizzen.registry.selecting import Labelled, Services
from mizzen.registry.services import id_of, services_in, target_of, workloads_in
from mizzen.registry.written import behind_service, written_addresses
from mizzen.resources.key import Key
from mizzen.resources.protocols import protocol_of
from mizzen.resources.resource import Resource
from mizzen.resources.service import ServiceSpec
from mizzen.resources.workload import WorkloadSpec

RUNNING = "Running"
STOPPED = "Stopped"
DRAINING = "Draining"


def build_endpoints(
    resources: Iterable[Resource[Any]], instances: Iterable[reports.Instance], trust_domain: str
) -> dict[tuple[ServiceId, int], tuple[Endpoint, ...]]:
    """Returns the ready endpoints by service and port; a port that none serves has none."""
    resources = list(resources)
    ready = Labelled((one.namespace, one.labels, one) for one in instances if is_endpoint(one))
    addresses = written_addresses(resources)
    found: dict[tuple[ServiceId, int], tuple[Endpoint, ...]] = {}
    for service in services_in(resources):
        known = id_of(service)
        members, written = ready.picked(service), addresses.picked(service)
        for port in service.spec.ports:
            target = target_of(port)
            endpoints = [
                endpoint for member in members for endpoint in endpoints_at(member, port.port, target, trust_domain)
            ]
            endpoints += behind_service(written, port, trust_domain)
            found[known, port.port] = tuple(sorted(endpoints))
    return found


def is_endpoint(instance: reports.Instance) -> bool:
    """Tells whether calls may go to an instance."""
    return (instance.ready and instance.phase == RUNNING) or instance.bypassed


def endpoints_at(instance: reports.Instance, port: int, target: int | str, trust_domain: str) -> Iterator[Endpoint]:
    """Yields where a port of a Service leads at an instance: to what its target means there, by number or by name (Kubernetes).

    At a gateway it leads to the servers of Gateways for that port, else for its target. In Istio a Gateway's port is one of the
    Service before the gateway, which listens on that port's target (2.18). Here it listens where its host lets it. What it takes
    is what its servers say: no mutual TLS but by a DestinationRule.
    """
    meant = next((one for one in instance.ports if target in {one.number, one.name}), None)
    if meant:
        mesh = instance.capture != OUTSIDE and not instance.bypassed
        yield _endpoint(instance, instance.address, meant.inbound, trust_domain, tls=mesh, published=meant.published)
    with_port = [one for one in instance.sockets if one.number == port and one.local]
    for socket in with_port or [one for one in instance.sockets if one.number == target and one.local]:
        own = socket.bind if socket.bind and not ip_address(socket.bind).is_unspecified else ""
        address = own or instance.mesh_address or instance.address
        yield _endpoint(instance, address, socket.local, trust_domain, tls=False)


def _endpoint(
    instance: reports.Instance, address: str, port: int, trust_domain: str, *, tls: bool, published: bool = False
) -> Endpoint:
    return Endpoint(
        address=address,
        port=port,
        namespace=instance.namespace,
        workload=instance.workload,
        labels=labels_of(instance.labels),
        tls=tls,
        instance=_id(instance),
        identity=_identity(instance, trust_domain),
        published=published,
        locality=parse_locality(instance.locality),
    )


def build_proxies(
    resources: Iterable[Resource[Any]],
    instances: Iterable[reports.Instance],
    services: Mapping[ServiceId, Service],
    trust_domain: str,
    node_proxy: str = "",
) -> dict[str, Proxy]:
    """Returns the proxies of all replicas that have not stopped, by id, in order: sidecars, and those of nodes.

    ``node_proxy`` is one of the latter that there is whether or not it serves anybody.
    """
    resources = list(resources)
    written = {(workload.namespace, workload.name): workload for workload in workloads_in(resources)}
    chosen = Services(services_in(resources))
    served: defaultdict[str, list[Instance]] = defaultdict(list)
    kinds = {}
    if node_proxy:
        served[node_proxy], kinds[node_proxy] = [], ProxyKind.NODE
    for instance in instances:
        if instance.phase == STOPPED:
            continue
        behind = chosen.picking(instance.namespace, instance.labels)
        workload = written.get((instance.namespace, instance.workload))
        inbound = tuple(_inbound(port, behind, services, workload) for port in instance.ports)
        for proxy in proxies_of(instance):
            kinds[proxy] = _kind(instance, proxy)
            made = _instance(instance, kinds[proxy], inbound, trust_domain)
            served[proxy].append(replace(made, closing=proxy == instance.closing or _leaves(instance)))
    return {
        proxy: Proxy(
            id=proxy,
            namespace=proxy.rpartition(".")[2],
            kind=kinds[proxy],
            instances=tuple(sorted(served[proxy], key=lambda one: one.id)),
        )
        for proxy in sorted(served)
    }


def proxies_of(instance: reports.Instance) -> tuple[str, ...]:
    """Returns the ids of the proxies that serve an instance: its own sidecar unless it names others; none outside."""
    if instance.capture == OUTSIDE:
        return ()
    return instance.proxies or (_id(instance),)


def _leaves(instance: reports.Instance) -> bool:
    """Tells whether a gateway is to take no more connections: other replicas listen on the same ports."""
    return instance.gateway and instance.phase == DRAINING


def _kind(instance: reports.Instance, proxy: str) -> ProxyKind:
    if instance.gateway:
        return ProxyKind.GATEWAY
    return ProxyKind.SIDECAR if proxy == _id(instance) else ProxyKind.NODE


def _id(instance: reports.Instance) -> str:
    return f"{instance.name}.{instance.namespace}"


def _identity(instance: reports.Instance, trust_domain: str) -> str:
    return str(SpiffeId(trust_domain, instance.namespace, instance.service_account))


def _instance(
    instance: reports.Instance, kind: ProxyKind, inbound: tuple[InboundPort, ...], trust_domain: str
) -> Instance:
    return Instance(
        id=_id(instance),
        uid=instance.uid,
        namespace=instance.namespace,
        labels=labels_of(instance.labels),
        identity=_identity(instance, trust_domain),
        address=instance.address,
        capture=Capture(instance.capture),
        inbound=inbound,
        outbound=tuple(OutboundPort(port.host, port.port, port.local) for port in instance.outbound),
        http_proxy=instance.http_proxy,
        # A sidecar is inside; a path in its configuration would only change when its node starts anew.
        netns=instance.netns if kind is ProxyKind.NODE else "",
        around=Surroundings(instance.networks, instance.gateways),
        sockets=tuple(GatewaySocket(one.bind, one.number, one.local) for one in instance.sockets if one.local),
        locality=parse_locality(instance.locality),
        mesh_address=instance.mesh_address,
        origin=Key("Workload", instance.namespace, instance.workload),
    )


def _inbound(
    port: reports.InstancePort,
    behind: Iterable[Resource[ServiceSpec]],
    services: Mapping[ServiceId, Service],
    workload: Resource[WorkloadSpec] | None,
) -> InboundPort:
    """Returns how a proxy serves a port: in the protocol of the service that leads there, else as it is declared."""
    for resource in behind:
        service = services[id_of(resource)]
        for written in resource.spec.ports:
            target = target_of(written)
            if target in {port.number, port.name} and (served := service.port(written.port)):
                return _served(port, service, served)
    declared = (
        next((one for one in workload.spec.ports if one.container_port == port.number), None) if workload else None
    )
    name, app_protocol = (declared.name, declared.app_protocol) if declared else (port.name, port.app_protocol)
    protocol = protocol_of(port.number, name, app_protocol)
    return InboundPort(port.number, port.inbound, port.application, protocol, published=port.published)


def _served(port: reports.InstancePort, service: Service, served: ServicePort) -> InboundPort:
    return InboundPort(
        number=port.number,
        listen=port.inbound,
        application=port.application,
        protocol=served.protocol,
        host=service.host,
        service_port=served.number,
        published=port.published,
    )
