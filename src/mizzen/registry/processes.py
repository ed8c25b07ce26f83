"""Turns a node's report into the model's endpoints and proxies: the replicas that run, and those that are ready. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from mizzen.mesh.model import Capture, Endpoint, InboundPort, OutboundPort, Proxy, Service, ServicePort, labels_of
from mizzen.registry.reports import Instance, InstancePort
from mizzen.registry.selecting import Labelled, Services
from mizzen.registry.services import host_of, services_in, target_of, workloads_in
from mizzen.resources.key import Key
from mizzen.resources.protocols import Protocol, declared_protocol
from mizzen.resources.resource import Resource
from mizzen.resources.service import ServiceSpec
from mizzen.resources.workload import WorkloadSpec

RUNNING = "Running"
STOPPED = "Stopped"


def build_endpoints(
    resources: Iterable[Resource[Any]], instances: Iterable[Instance]
) -> dict[tuple[str, int], tuple[Endpoint, ...]]:
    """Returns the ready endpoints by host and service port; a port that none serves has none."""
    ready = Labelled(
        (instance.namespace, instance.labels, instance)
        for instance in instances
        if instance.ready and instance.phase == RUNNING
    )
    found: dict[tuple[str, int], tuple[Endpoint, ...]] = {}
    for service in services_in(resources):
        members = ready.picked(service)
        for port in service.spec.ports:
            target = target_of(port)
            endpoints = [
                _endpoint(instance, served) for instance in members for served in _serving(instance.ports, target)
            ]
            found[host_of(service), port.port] = tuple(sorted(endpoints))
    return found


def _serving(ports: Iterable[InstancePort], target: int | str) -> list[InstancePort]:
    """Returns the ports that a Service's target means, by number or by name (Kubernetes)."""
    return [port for port in ports if target in {port.number, port.name}][:1]


def _endpoint(instance: Instance, port: InstancePort) -> Endpoint:
    return Endpoint(
        address=instance.address,
        port=port.inbound,
        namespace=instance.namespace,
        workload=instance.workload,
        labels=labels_of(instance.labels),
    )


def build_proxies(
    resources: Iterable[Resource[Any]], instances: Iterable[Instance], services: Mapping[str, Service]
) -> dict[str, Proxy]:
    """Returns the sidecars of all replicas that have not stopped, by id, in order."""
    resources = list(resources)
    written = {(workload.namespace, workload.name): workload for workload in workloads_in(resources)}
    chosen = Services(services_in(resources))
    proxies = {}
    for instance in instances:
        if instance.phase == STOPPED:
            continue
        behind = chosen.picking(instance.namespace, instance.labels)
        workload = written.get((instance.namespace, instance.workload))
        proxy_id = f"{instance.name}.{instance.namespace}"
        proxies[proxy_id] = Proxy(
            id=proxy_id,
            namespace=instance.namespace,
            labels=labels_of(instance.labels),
            address=instance.address,
            capture=Capture(instance.capture),
            inbound=tuple(_inbound(port, behind, services, workload) for port in instance.ports),
            outbound=tuple(OutboundPort(port.host, port.port, port.local) for port in instance.outbound),
            http_proxy=instance.http_proxy,
            origin=Key("Workload", instance.namespace, instance.workload),
        )
    return dict(sorted(proxies.items()))


def _inbound(
    port: InstancePort,
    behind: Iterable[Resource[ServiceSpec]],
    services: Mapping[str, Service],
    workload: Resource[WorkloadSpec] | None,
) -> InboundPort:
    """Returns how a sidecar serves a port: in the protocol of the service that leads there, else as it is declared."""
    for resource in behind:
        service = services[host_of(resource)]
        for written in resource.spec.ports:
            target = target_of(written)
            if target in {port.number, port.name} and (served := service.port(written.port)):
                return _served(port, service, served)
    declared = (
        next((one for one in workload.spec.ports if one.container_port == port.number), None) if workload else None
    )
    protocol = declared_protocol(declared.name, declared.app_protocol) if declared else None
    return InboundPort(port.number, port.inbound, port.application, protocol or Protocol.TCP)


def _served(port: InstancePort, service: Service, served: ServicePort) -> InboundPort:
    return InboundPort(
        number=port.number,
        listen=port.inbound,
        application=port.application,
        protocol=served.protocol,
        host=service.host,
        service_port=served.number,
    )
