"""What the world is made of at one moment, and what follows from it: the snapshot, and what nodes should run. Pure."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from operator import attrgetter
from pathlib import PurePath
from typing import Any, TypeVar

import msgspec

from mizzen.control.attachments import Attachments
from mizzen.mesh.model import Endpoint, Proxy, Service, ServiceId, Snapshot, labels_of
from mizzen.registry.credentials import Credentials
from mizzen.registry.egress import egress_names
from mizzen.registry.entries import Entries, automatic_hosts
from mizzen.registry.gateways import wanted_sockets
from mizzen.registry.inside_names import InsideNames
from mizzen.registry.processes import build_endpoints, build_proxies
from mizzen.registry.proxy_policy import StartPolicy, start_resources
from mizzen.registry.proxy_settings import ProxySettings
from mizzen.registry.reports import Desired, DesiredWorkload, Report, ServiceName, WrittenResource
from mizzen.registry.secrets import instance_secrets
from mizzen.registry.services import build_services, host_of, in_order, services_in
from mizzen.resources.destination_rule import DestinationRuleSpec
from mizzen.resources.envoy_filter import EnvoyFilterSpec
from mizzen.resources.gateway import GatewaySpec
from mizzen.resources.key import Key
from mizzen.resources.mesh_config import MeshConfigSpec
from mizzen.resources.mesh_config_references import with_export_defaults
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
_POLICY = frozenset(
    {
        VirtualServiceSpec,
        DestinationRuleSpec,
        GatewaySpec,
        SidecarSpec,
        EnvoyFilterSpec,
        ProxyConfigSpec,
        MeshConfigSpec,
        RateLimitSpec,
        SecretSpec,
    }
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

    @cached_property
    def by_type(self) -> Mapping[type[Model], tuple[Resource[Any], ...]]:
        """The resources by the type of what they say, the oldest first; who sees them is the mesh's default where they do not say
        it.
        """
        found: dict[type[Model], list[Resource[Any]]] = {}
        for one in with_export_defaults(self.resources.values()):
            found.setdefault(type(one.spec), []).append(one)
        # By name: the order of what follows must not depend on that in which resources came.
        kinds = sorted(found, key=attrgetter("__name__"))
        return {kind: tuple(sorted(found[kind], key=attrgetter("age"))) for kind in kinds}

    def of(self, kind: type[SpecT]) -> tuple[Resource[SpecT], ...]:
        """Returns the resources that say something of this type, the oldest first."""
        return self.by_type.get(kind, ())


@dataclass(frozen=True)
class Running:
    """What follows from what runs, and from no policy: the part of a snapshot that a change of a route leaves alone.

    ``basis`` is all that it was made from.
    """

    basis: tuple[Any, ...]
    services: Mapping[ServiceId, Service]
    endpoints: Mapping[tuple[ServiceId, int], tuple[Endpoint, ...]]
    proxies: Mapping[str, Proxy]


def running(inputs: Inputs, before: Running | None = None) -> Running:
    """Returns what runs: the very objects of ``before`` if that was made from the same."""
    resources = [one for kind, group in inputs.by_type.items() if kind not in _POLICY for one in group]
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
    ready = build_endpoints(resources, instances, trust_domain)
    inside = InsideNames(services.values())
    return Running(
        basis,
        in_order((services | inside.told(outside)).values()),
        ready | entries.endpoints(outside) | inside.endpoints(outside, ready),
        build_proxies(resources, instances, services, trust_domain, report.node_proxy),
    )


def build_snapshot(inputs: Inputs, version: int, found: Running | None = None) -> Snapshot:
    """Returns the mesh's view of the inputs; ``found`` is what runs (see :func:`running`), if that is known already."""
    found = found or running(inputs)
    mesh = next(iter(inputs.of(MeshConfigSpec)), None)
    return Snapshot(
        version=version,
        trust_domain=inputs.trust_domain,
        services=found.services,
        endpoints=found.endpoints,
        virtual_services=inputs.of(VirtualServiceSpec),
        destination_rules=inputs.of(DestinationRuleSpec),
        gateways=tuple(map(_placed, inputs.of(GatewaySpec))),
        sidecars=inputs.of(SidecarSpec),
        envoy_filters=inputs.of(EnvoyFilterSpec),
        proxy_configs=inputs.of(ProxyConfigSpec),
        rate_limits=inputs.of(RateLimitSpec),
        proxies=found.proxies,
        registry_only=bool(mesh and mesh.spec.registry_only),
        mesh_config=mesh,
    )


def _placed(gateway: Resource[GatewaySpec]) -> Resource[GatewaySpec]:
    """Returns a Gateway that is another one in another folder: the files that it names are others there."""
    text = f"{gateway.digest} {PurePath(gateway.source.file).parent}"
    return dataclasses.replace(gateway, digest=hashlib.sha256(text.encode()).hexdigest()[:16])


def build_desired(
    inputs: Inputs, snapshot: Snapshot, problems: Iterable[Problem] = (), contents: Contents | None = None
) -> Desired:
    """Returns what a node should run, and the names that applications may call; ``snapshot`` is made from the same inputs."""
    policy = StartPolicy.in_force(snapshot)
    workloads = sorted(inputs.of(WorkloadSpec), key=lambda workload: workload.key)
    credentials = Credentials.of(inputs.of(SecretSpec), inputs.secrets)
    instances = inputs.report.instances if inputs.report else ()
    return Desired(
        version=snapshot.version,
        trust_domain=inputs.trust_domain,
        workloads=tuple(_desired(workload, inputs, snapshot, policy) for workload in workloads),
        services=tuple(_name(service) for service in snapshot.services.values() if service.callable_by_name),
        egress=egress_names(snapshot.sidecars, instances, snapshot.root_namespace),
        secrets=instance_secrets(
            snapshot.gateways,
            snapshot.destination_rules,
            instances,
            credentials,
            snapshot.mesh_config.spec.outward_tls if snapshot.mesh_config else None,
        ),
        problems=tuple(str(problem) for problem in problems),
        written=_written(contents) if contents else (),
        attachments=inputs.attachments.told(),
        attachments_version=inputs.attachments.version,
        look=inputs.look,
        dismissed=tuple(sorted(inputs.dismissed)),
        starts=start_resources(snapshot.proxy_configs, snapshot.envoy_filters),
        root_namespace=snapshot.root_namespace,
    )


def _written(contents: Contents) -> tuple[WrittenResource, ...]:
    return tuple(
        WrittenResource(resource=str(key), digest=one.digest, file=one.source.file if key in contents.watched else "")
        for key, one in contents.resources.items()
    )


def _desired(
    workload: Resource[WorkloadSpec], inputs: Inputs, snapshot: Snapshot, policy: StartPolicy
) -> DesiredWorkload:
    spec = workload.spec.to_document()
    spec["workingDir"] = str(working_folder(workload.spec, workload.source.file))
    settings = policy.start(
        workload.namespace,
        workload.name,
        workload.spec.service_account,
        labels_of(workload.labels),
        is_gateway=workload.spec.gateway is not None,
    ).settings
    gateways = snapshot.gateways if workload.spec.gateway else ()
    return DesiredWorkload(
        namespace=workload.namespace,
        name=workload.name,
        digest=template_digest(spec, workload.labels, settings),
        spec=spec,
        labels=dict(workload.labels),
        restarts=inputs.restarts.get((workload.namespace, workload.name), 0),
        sockets=wanted_sockets(gateways, workload.labels),
        proxy=settings,
    )


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
