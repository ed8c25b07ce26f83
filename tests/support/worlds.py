"""Worlds for tests: YAML in, and a snapshot in which every Workload runs, on ports that are always the same."""

from __future__ import annotations

from typing import Any

import msgspec

from mizzen.control.views import Inputs, Running, build_snapshot, hosts_of, running
from mizzen.mesh.gateway_addresses import address_in_mesh
from mizzen.mesh.localities import locality_of
from mizzen.mesh.model import Snapshot
from mizzen.registry.addresses import allocate
from mizzen.registry.entries import automatic_hosts, entries_in, hosts_in
from mizzen.registry.gateways import wanted_sockets
from mizzen.registry.reports import Instance, InstancePort, OutboundPort, Report
from mizzen.registry.services import host_of, services_in, workloads_in
from mizzen.resources.gateway import GatewaySpec
from mizzen.resources.loading import load
from mizzen.resources.problems import errors
from mizzen.resources.resource import Resource
from mizzen.resources.workload import WorkloadSpec

TRUST_DOMAIN = "cluster.local"
NODE_PROXY = "host.mizzen-system"


def read(*texts: str) -> list[Resource[Any]]:
    """Loads texts that must have no errors; resources are as old as their order says."""
    loaded = [load(text, f"test-{number}.yaml") for number, text in enumerate(texts)]
    wrong = errors(problem for one in loaded for problem in one.problems)
    assert not wrong, "\n".join(map(str, wrong))
    resources = [resource for one in loaded for resource in one.resources]
    return [resource.stamped(created) for created, resource in enumerate(resources, start=1)]


def instances_of(resources: list[Resource[Any]], capture: str = "explicit") -> tuple[Instance, ...]:
    """Returns a ready instance for each replica of each Workload; ``capture`` may be ``node``, too: one proxy for all."""
    made = []
    callable_ports = [
        (host_of(service), port.port) for service in services_in(resources) for port in service.spec.ports
    ]
    named = set(automatic_hosts(resources))
    callable_ports += [
        (host, port.number)
        for entry in entries_in(resources)
        for host in hosts_in(entry)
        if host in named
        for port in entry.spec.ports
    ]
    for number, workload in enumerate(workloads_in(resources)):
        if workload.spec.gateway:
            made.append(_gateway(workload, workload.spec.gateway.address, resources, capture))
            continue
        for replica in range(workload.spec.replicas):
            base = 20000 + 100 * number + 1000 * replica
            transparent = capture != "explicit"
            instance = f"{workload.name}-{replica}"
            made.append(
                Instance(
                    name=instance,
                    namespace=workload.namespace,
                    workload=workload.name,
                    digest=workload.digest,
                    phase="Running",
                    ready=True,
                    labels=dict(workload.labels),
                    service_account=workload.spec.service_account,
                    capture="transparent" if transparent else "explicit",
                    proxies=(NODE_PROXY,) if capture == "node" else (),
                    netns=f"/run/netns/{instance}" if transparent else "",
                    locality=str(locality_of(workload.labels)),
                    address=f"10.99.{replica}.{number + 2}" if transparent else "127.0.0.1",
                    ports=tuple(
                        InstancePort(
                            number=port.container_port,
                            name=port.name,
                            application=port.container_port if transparent else base + 2 * at,
                            inbound=port.container_port if transparent else base + 2 * at + 1,
                        )
                        for at, port in enumerate(workload.spec.ports)
                    ),
                    outbound=()
                    if transparent
                    else tuple(
                        OutboundPort(host=host, port=port, local=base + 20 + at)
                        for at, (host, port) in enumerate(callable_ports)
                    ),
                    http_proxy=0 if transparent else base + 99,
                )
            )
    return tuple(made)


def _gateway(workload: Resource[WorkloadSpec], address: str, resources: list[Resource[Any]], capture: str) -> Instance:
    """A gateway that listens on the ports that Gateways ask for; instead of those below 1024 on ones above 8000."""
    gateways = [one for one in resources if isinstance(one.spec, GatewaySpec)]
    sockets = wanted_sockets(gateways, workload.labels)
    return Instance(
        name=f"{workload.name}-0",
        namespace=workload.namespace,
        workload=workload.name,
        digest=workload.digest,
        phase="Running",
        ready=True,
        labels=dict(workload.labels),
        service_account=workload.spec.service_account,
        address=address,
        locality=str(locality_of(workload.labels)),
        gateway=True,
        mesh_address=address_in_mesh(address, "127.0.0.1" if capture == "explicit" else "10.99.255.1"),
        sockets=tuple(
            msgspec.structs.replace(one, local=one.number + (8000 if one.number < 1024 else 0)) for one in sockets
        ),
    )


def inputs_of(resources: list[Resource[Any]], capture: str = "explicit") -> Inputs:
    report = Report(node="test", instances=instances_of(resources, capture))
    addresses = allocate({}, hosts_of(resources))
    return Inputs(TRUST_DOMAIN, {resource.key: resource for resource in resources}, report, addresses)


def snapshot_of(resources: list[Resource[Any]], capture: str = "explicit", version: int = 1) -> Snapshot:
    return build_snapshot(inputs_of(resources, capture), version)


class Snapshots:
    """Makes one snapshot after the other, as a control plane does: what runs is the same objects until it changes."""

    def __init__(self, capture: str) -> None:
        self._capture = capture
        self._running: Running | None = None
        self._version = 0

    def next(self, resources: list[Resource[Any]]) -> Snapshot:
        inputs = inputs_of(resources, self._capture)
        self._running = running(inputs, self._running)
        self._version += 1
        return build_snapshot(inputs, self._version, self._running)
