"""What the world is made of at one moment, and what follows from it: the snapshot, and what nodes should run. Pure."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any, TypeVar

import msgspec

from mizzen.control.attachments import Attachments
from mizzen.mesh.model import Endpoint, Proxy, Service, Snapshot, labels_of, root_namespace
from mizzen.registry.credentials import Credentials
from mizzen.registry.egress import egress_names
from mizzen.registry.entries import Entries, automatic_hosts
from mizzen.registry.gateways import wanted_secrets, wanted_sockets
from mizzen.registry.processes import build_endpoints, build_proxies
from mizzen.registry.proxy_policy import proxy_settings
from mizzen.registry.proxy_settings import ProxySettings
from mizzen.registry.reports import Desired, DesiredWorkload, FileSecret, Report, ServiceName, WrittenResource
from mizzen.registry.services import build_services, host_of, services_in, workloads_in
from mizzen.resources.destination_rule import DestinationRuleSpec
from mizzen.resources.envoy_filter import EnvoyFilterSpec
from mizzen.resources.gateway import GatewaySpec
from mizzen.resources.key import Key
from mizzen.resources.mesh_config import MeshConfigSpec
from mizzen.resources.mesh_config_references import mesh_configs, with_export_defaults
from mizzen.resources.model import Model
from mizzen.resources.problems import Problem
from mizzen.resources.proxy_config import ProxyConfigSpec
from mizzen.resources.rate_limit import RateLimitSpec
from mizzen.resources.resource import Resource
from mizzen.resources.secret import SecretSpec
from mizzen.resources.sidecar import SidecarSpec
from mizzen.resources.virtual_service import VirtualServiceSpec
from mizzen.resources.visibility import PRIVATE, PUBLIC
from mizzen.resources.workload import WorkloadSpec, working_folder
from mizzen.store.contents import Contents

SpecT = TypeVar("SpecT", bound=Model)

# What says how proxies behave, and nothing of what runs.
_POLICY = (
    VirtualServiceSpec,
    DestinationRuleSpec,
    GatewaySpec,
    SidecarSpec,
    EnvoyFilterSpec,
    ProxyConfigSpec,
    MeshConfigSpec,
    RateLimitSpec,
    SecretSpec,
)


@dataclass(frozen=True)
class Inputs:
    """Everything that a snapshot is made from.

    ``resources`` are those in force: where Envoy rejected a resource, its last good generation stands in its place; a
    service that was found among containers is one of them unless somebody wrote a Service of its name.
    ``restarts`` count the restarts of workloads that users asked for, by namespace and name. ``look`` is the number of the
    latest question which containers there are, ``dismissed`` are the services of ended runs that are to be forgotten.
    ``secrets`` is the folder below which the contents of Secrets are.
    """

    trust_domain: str
    resources: Mapping[Key, Resource[Any]] = field(default_factory=dict)
    report: Report | None = None
    addresses: Mapping[str, str] = field(default_factory=dict)
    restarts: Mapping[tuple[str, str], int] = field(default_factory=dict)
    attachments: Attachments = field(default_factory=Attachments)
    look: int = 0
    dismissed: frozenset[tuple[str, str]] = frozenset()
    secrets: str = ""


@dataclass(frozen=True)
class Running:
    """What follows from what runs, and from no policy: the part of a snapshot that a change of a route leaves alone.

    ``basis`` is all that it was made from.
    """

    basis: tuple[Any, ...]
    services: Mapping[str, Service]
    endpoints: Mapping[tuple[str, int], tuple[Endpoint, ...]]
    proxies: Mapping[str, Proxy]


def running(inputs: Inputs, before: Running | None = None) -> Running:
    """Returns what runs: the very objects of ``before`` if that was made from the same."""
    resources = [one for one in _in_order(inputs) if not isinstance(one.spec, _POLICY)]
    report = inputs.report or Report(node="")
    basis = (
        resources,
        report.instances,
        report.services,
        report.node_proxy,
        dict(inputs.addresses),
        inputs.trust_domain,
    )
    if before and before.basis == basis:
        return before
    trust_domain, instances = inputs.trust_domain, report.instances
    services = build_services(resources, instances, inputs.addresses, trust_domain, report.services)
    entries = Entries(resources, instances, trust_domain)
    outside = entries.services(inputs.addresses, services)
    return Running(
        basis,
        dict(sorted((services | outside).items())),
        build_endpoints(resources, instances, trust_domain) | entries.endpoints(outside),
        build_proxies(resources, instances, services, trust_domain, report.node_proxy),
    )


def build_snapshot(inputs: Inputs, version: int, found: Running | None = None) -> Snapshot:
    """Returns the mesh's view of the inputs; ``found`` is what runs (see :func:`running`), if that is known already."""
    found = found or running(inputs)
    resources = _in_order(inputs)
    mesh = next(iter(mesh_configs(resources)), None)
    return Snapshot(
        version=version,
        trust_domain=inputs.trust_domain,
        services=found.services,
        endpoints=found.endpoints,
        virtual_services=tuple(one for one in resources if isinstance(one.spec, VirtualServiceSpec)),
        destination_rules=tuple(one for one in resources if isinstance(one.spec, DestinationRuleSpec)),
        gateways=tuple(_placed(one) for one in resources if isinstance(one.spec, GatewaySpec)),
        sidecars=_sidecars(inputs),
        envoy_filters=tuple(one for one in resources if isinstance(one.spec, EnvoyFilterSpec)),
        proxy_configs=tuple(one for one in resources if isinstance(one.spec, ProxyConfigSpec)),
        rate_limits=tuple(one for one in resources if isinstance(one.spec, RateLimitSpec)),
        proxies=found.proxies,
        registry_only=bool(mesh and mesh.spec.registry_only),
        mesh_config=mesh,
    )


def _placed(gateway: Resource[GatewaySpec]) -> Resource[GatewaySpec]:
    """Returns a Gateway that is another one in another folder: the files that it names are others there."""
    text = f"{gateway.digest} {PurePath(gateway.source.file).parent}"
    return dataclasses.replace(gateway, digest=hashlib.sha256(text.encode()).hexdigest()[:16])


def _sidecars(inputs: Inputs) -> tuple[Resource[SidecarSpec], ...]:
    found = (one for one in inputs.resources.values() if isinstance(one.spec, SidecarSpec))
    return tuple(sorted(found, key=lambda one: one.age))


def _in_order(inputs: Inputs) -> list[Resource[Any]]:
    ordered = sorted(inputs.resources.values(), key=lambda resource: (resource.key.kind, resource.age))
    return with_export_defaults(ordered)


def build_desired(
    inputs: Inputs,
    services: Mapping[str, Service],
    version: int,
    problems: Iterable[Problem] = (),
    contents: Contents | None = None,
) -> Desired:
    """Returns what a node should run, and the names that applications may call."""
    workloads = sorted(workloads_in(inputs.resources.values()), key=lambda workload: workload.key)
    found = _PolicyOfNodes.of(inputs.resources.values())
    return Desired(
        version=version,
        trust_domain=inputs.trust_domain,
        workloads=tuple(_desired(workload, inputs, found) for workload in workloads),
        services=tuple(_name(service) for service in services.values() if service.callable_by_name),
        egress=egress_names(_sidecars(inputs), inputs.report.instances if inputs.report else (), found.root),
        problems=tuple(str(problem) for problem in problems),
        written=_written(contents) if contents else (),
        attachments=inputs.attachments.told(),
        attachments_version=inputs.attachments.version,
        look=inputs.look,
        dismissed=tuple(sorted(inputs.dismissed)),
    )


def _written(contents: Contents) -> tuple[WrittenResource, ...]:
    return tuple(
        WrittenResource(resource=str(key), digest=one.digest, file=one.source.file if key in contents.watched else "")
        for key, one in contents.resources.items()
    )


@dataclass(frozen=True)
class _PolicyOfNodes:
    """Policy that nodes have to know, because it is about what they start and open."""

    gateways: tuple[Resource[GatewaySpec], ...]
    filters: tuple[Resource[EnvoyFilterSpec], ...]
    configs: tuple[Resource[ProxyConfigSpec], ...]
    root: str

    @classmethod
    def of(cls, resources: Iterable[Resource[Any]]) -> _PolicyOfNodes:
        every = list(resources)
        return cls(
            tuple(one for one in every if isinstance(one.spec, GatewaySpec)),
            tuple(one for one in every if isinstance(one.spec, EnvoyFilterSpec)),
            tuple(one for one in every if isinstance(one.spec, ProxyConfigSpec)),
            root_namespace(next(iter(mesh_configs(every)), None)),
        )

    def settings(self, workload: Resource[WorkloadSpec]) -> ProxySettings:
        metadata = {
            "NAMESPACE": workload.namespace,
            "WORKLOAD_NAME": workload.name,
            "SERVICE_ACCOUNT": workload.spec.service_account,
        }
        labels, is_gateway = labels_of(workload.labels), workload.spec.gateway is not None
        return proxy_settings(self.configs, self.filters, metadata, labels, is_gateway=is_gateway, root=self.root)


def _desired(workload: Resource[WorkloadSpec], inputs: Inputs, policy: _PolicyOfNodes) -> DesiredWorkload:
    spec = workload.spec.to_document()
    spec["workingDir"] = str(working_folder(workload.spec, workload.source.file))
    settings = policy.settings(workload)
    return DesiredWorkload(
        namespace=workload.namespace,
        name=workload.name,
        digest=template_digest(spec, workload.labels, settings),
        spec=spec,
        labels=dict(workload.labels),
        restarts=inputs.restarts.get((workload.namespace, workload.name), 0),
        sockets=wanted_sockets(policy.gateways, workload.labels) if workload.spec.gateway else (),
        secrets=_secrets(workload, inputs) if workload.spec.gateway else (),
        proxy=settings,
    )


def _secrets(workload: Resource[WorkloadSpec], inputs: Inputs) -> tuple[FileSecret, ...]:
    credentials = Credentials.of(inputs.resources.values(), inputs.secrets)
    rules = _of_kind(inputs, DestinationRuleSpec)
    return wanted_secrets(_of_kind(inputs, GatewaySpec), rules, workload, credentials)


def _of_kind(inputs: Inputs, kind: type[SpecT]) -> list[Resource[SpecT]]:
    return [one for one in inputs.resources.values() if isinstance(one.spec, kind)]


# Changing these changes how many replicas there are, how they are stopped or who serves them, not what a running one is.
_NOT_IN_TEMPLATE = frozenset({"replicas", "terminationGracePeriodSeconds", "proxy"})


def template_digest(
    spec: Mapping[str, Any],
    labels: Mapping[str, str],
    settings: ProxySettings = ProxySettings(),  # noqa: B008 - frozen
) -> str:
    """Returns a hash that changes exactly when a running replica must be replaced by a new one."""
    template = {name: value for name, value in spec.items() if name not in _NOT_IN_TEMPLATE}
    said = [template, dict(labels)]
    if settings != ProxySettings():  # without any it is what it was before there were some
        said.append(msgspec.to_builtins(settings))
    text = json.dumps(said, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _name(service: Service) -> ServiceName:
    return ServiceName(
        host=service.host,
        name=service.name,
        namespace=service.namespace,
        address=service.address,
        ports=tuple(port.number for port in service.ports),
        port_names=tuple(port.name for port in service.ports),
        aliases=service.aliases,
        export_to=tuple(service.namespace if one == PRIVATE else one for one in service.export_to if one != PUBLIC),
    )


def hosts_of(resources: Iterable[Resource[Any]]) -> list[str]:
    """Returns the hosts of all services that have a virtual address, in order."""
    resources = list(resources)
    return sorted({*(host_of(service) for service in services_in(resources)), *automatic_hosts(resources)})
