"""What the world is made of at one moment, and what follows from it: the snapshot, and what nodes should run. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mizzen.mesh.model import Service, Snapshot
from mizzen.registry.processes import build_endpoints, build_proxies
from mizzen.registry.reports import Desired, DesiredWorkload, Instance, Report, ServiceName
from mizzen.registry.services import build_services, workloads_in
from mizzen.resources.destination_rule import DestinationRuleSpec
from mizzen.resources.key import Key
from mizzen.resources.problems import Problem
from mizzen.resources.resource import Resource
from mizzen.resources.virtual_service import VirtualServiceSpec
from mizzen.resources.workload import WorkloadSpec


@dataclass(frozen=True)
class Inputs:
    """Everything that a snapshot is made from.

    ``resources`` are those in force: where Envoy rejected a resource, its last good generation stands in its place.
    ``restarts`` count the restarts of workloads that users asked for, by namespace and name.
    """

    trust_domain: str
    resources: Mapping[Key, Resource[Any]] = field(default_factory=dict)
    report: Report | None = None
    addresses: Mapping[str, str] = field(default_factory=dict)
    restarts: Mapping[tuple[str, str], int] = field(default_factory=dict)

    @property
    def instances(self) -> tuple[Instance, ...]:
        return self.report.instances if self.report else ()


def build_snapshot(inputs: Inputs, version: int) -> Snapshot:
    """Returns the mesh's view of the inputs."""
    resources = sorted(inputs.resources.values(), key=lambda resource: (resource.key.kind, resource.age))
    services = build_services(resources, inputs.instances, inputs.addresses, inputs.trust_domain)
    return Snapshot(
        version=version,
        trust_domain=inputs.trust_domain,
        services=services,
        endpoints=build_endpoints(resources, inputs.instances),
        virtual_services=tuple(one for one in resources if isinstance(one.spec, VirtualServiceSpec)),
        destination_rules=tuple(one for one in resources if isinstance(one.spec, DestinationRuleSpec)),
        proxies=build_proxies(resources, inputs.instances, services),
    )


def build_desired(
    inputs: Inputs, services: Mapping[str, Service], version: int, problems: Iterable[Problem] = ()
) -> Desired:
    """Returns what a node should run, and the names that applications may call."""
    workloads = sorted(workloads_in(inputs.resources.values()), key=lambda workload: workload.key)
    return Desired(
        version=version,
        trust_domain=inputs.trust_domain,
        workloads=tuple(_desired(workload, inputs.restarts) for workload in workloads),
        services=tuple(_name(service) for service in services.values()),
        problems=tuple(str(problem) for problem in problems),
    )


def _desired(workload: Resource[WorkloadSpec], restarts: Mapping[tuple[str, str], int]) -> DesiredWorkload:
    spec = workload.spec.to_document()
    # Relative to the file, so that a mesh can be started from anywhere.
    spec["workingDir"] = str((Path(workload.source.file).parent / workload.spec.working_dir).resolve())
    return DesiredWorkload(
        namespace=workload.namespace,
        name=workload.name,
        digest=template_digest(spec, workload.labels),
        spec=spec,
        labels=dict(workload.labels),
        restarts=restarts.get((workload.namespace, workload.name), 0),
    )


# Changing these changes how many replicas there are or how they are stopped, not what a running one is.
_NOT_IN_TEMPLATE = frozenset({"replicas", "terminationGracePeriodSeconds"})


def template_digest(spec: Mapping[str, Any], labels: Mapping[str, str]) -> str:
    """Returns a hash that changes exactly when a running replica must be replaced by a new one."""
    template = {name: value for name, value in spec.items() if name not in _NOT_IN_TEMPLATE}
    text = json.dumps([template, dict(labels)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _name(service: Service) -> ServiceName:
    return ServiceName(
        host=service.host,
        name=service.name,
        namespace=service.namespace,
        address=service.address,
        ports=tuple(port.number for port in service.ports),
    )


def hosts_of(resources: Iterable[Resource[Any]]) -> list[str]:
    """Returns the hosts of all Service resources."""
    return list(build_services(resources, (), {}, "none"))
