"""Checks resources against each other: what one names must be there in another.

Pure, and made for the whole set of a mesh after each change: everything is looked up in an index that is built once.
Codes are those of ``istioctl analyze`` where it has one. An unknown subset or port is an error, for requests would fail;
what takes effect as soon as another resource or workload appears is a warning.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from mizzen.resources import hosts
from mizzen.resources.credential_references import check_credentials
from mizzen.resources.delegate_references import check_delegates
from mizzen.resources.destination_rule import DestinationRuleSpec
from mizzen.resources.entry_references import as_services, entry_problems, unreachable_names, written_labels
from mizzen.resources.gateway import GatewaySpec
from mizzen.resources.gateway_names import for_mesh
from mizzen.resources.gateway_references import check_gateways
from mizzen.resources.host_references import conflicting_hosts
from mizzen.resources.mesh_config_references import several, with_export_defaults
from mizzen.resources.owners import Owners, viewers
from mizzen.resources.paths import join
from mizzen.resources.problems import NOT_FOUND, Level, Problem
from mizzen.resources.protocol_references import undeclared_ports, unfit_policies, useless_routes
from mizzen.resources.rate_limit_references import check_rate_limits
from mizzen.resources.resource import Resource
from mizzen.resources.service import ServicePort, ServiceSpec
from mizzen.resources.service_entry import ServiceEntrySpec
from mizzen.resources.sidecar_references import check_sidecars
from mizzen.resources.suggesting import Guesses, nearest
from mizzen.resources.tls_references import unfit_tls
from mizzen.resources.tunnel_references import check_tunnels
from mizzen.resources.virtual_service import Destination, VirtualServiceSpec, all_destinations
from mizzen.resources.visibility import meet, seen_by, visibility
from mizzen.resources.workload import WorkloadSpec
from mizzen.resources.workload_entry import WorkloadEntrySpec, labelled

PORT_REQUIRED = "IST0112"
SUBSET_SELECTS_NONE = "IST0173"
UNKNOWN_RULE_HOST = "IST0174"


@dataclass
class _World:
    """The resources of a mesh by what refers to them."""

    owners: Owners = field(default_factory=Owners)
    names: dict[str, Resource[ServiceSpec]] = field(default_factory=dict)
    meant: Guesses = field(default_factory=Guesses)
    meant_outside: Guesses = field(default_factory=Guesses)
    workloads: dict[tuple[str, str, str], list[Resource[Any]]] = field(default_factory=lambda: defaultdict(list))
    rules: dict[str, list[Resource[DestinationRuleSpec]]] = field(default_factory=lambda: defaultdict(list))
    wildcard_rules: list[tuple[str, Resource[DestinationRuleSpec]]] = field(default_factory=list)
    routes: list[Resource[VirtualServiceSpec]] = field(default_factory=list)
    entries: list[Resource[ServiceEntrySpec]] = field(default_factory=list)
    gateways: list[Resource[GatewaySpec]] = field(default_factory=list)
    running: list[Resource[WorkloadSpec]] = field(default_factory=list)

    def add(self, resource: Resource[Any]) -> None:
        match resource.spec:
            case ServiceSpec():
                self.owners.add_service(resource)
                self.names[resource.name] = resource
            case GatewaySpec():
                self.gateways.append(resource)
            case WorkloadEntrySpec() | WorkloadSpec() as spec:
                one = labelled(resource) if isinstance(spec, WorkloadEntrySpec) else resource
                if isinstance(spec, WorkloadSpec):
                    self.running.append(resource)
                for key, value in one.labels.items():
                    self.workloads[one.namespace, key, value].append(one)
            case VirtualServiceSpec():
                self.routes.append(resource)
            case ServiceEntrySpec():
                self.entries.append(resource)
                self.owners.add_entry(as_services(resource))
            case DestinationRuleSpec(host=host):
                full = hosts.resolve(host, resource.namespace)
                if hosts.is_wildcard(full):
                    self.wildcard_rules.append((full, resource))
                self.rules[full].append(resource)
            case _:
                pass

    def nearest_service(self, name: str) -> Resource[ServiceSpec] | None:
        """Returns the service of any namespace whose name is most like ``name``; each name is looked for once."""
        found = name if name in self.names else self.meant.nearest(name, self.names)
        return self.names[found] if found is not None else None

    def nearest_host(self, host: str) -> str | None:
        """Returns the host in full of what is meant by one that is not there: by its first name, or else, outside, by all."""
        name, _, rest = host.partition(".")
        if name not in self.names and rest and not rest.endswith(f".svc.{hosts.DEFAULT_DOMAIN}"):
            return self.meant_outside.nearest(host, self.owners.outside)
        found = self.nearest_service(name)
        return hosts.resolve(found.name, found.namespace) if found else None

    def services_of(self, host: str, client: str) -> list[Resource[ServiceSpec]]:
        """Returns the services that a VirtualService's host means in the namespace ``client``."""
        if not hosts.is_wildcard(host):
            return [found] if (found := self.owners.of(host, client)) else []
        return [service for name, service in self.owners.every(client).items() if hosts.subset_of(name, host)]

    def rules_for(self, host: str, client: str) -> list[Resource[DestinationRuleSpec]]:
        """Returns the rules for a host that a client's namespace may see, wherever they stand."""
        found = list(self.rules.get(host, ()))
        found += [
            rule for wildcard, rule in self.wildcard_rules if wildcard != host and hosts.subset_of(host, wildcard)
        ]
        return [rule for rule in found if visibility(rule.spec.export_to, rule.namespace, client) is not None]

    def selected(self, service: Resource[ServiceSpec]) -> list[Resource[Any]]:
        """Returns the Workloads and WorkloadEntries behind a service: of its namespace, with the labels of its selector."""
        selector = service.spec.selector
        candidates = [self.workloads.get((service.namespace, key, value), []) for key, value in selector.items()]
        fewest = min(candidates, key=len, default=[])
        return [workload for workload in fewest if selector.items() <= workload.labels.items()]


def check_references(resources: Iterable[Resource[Any]]) -> list[Problem]:
    """Returns what is wrong among resources that are right by themselves, ordered by where it stands."""
    resources, world = with_export_defaults(resources), _World()
    for resource in resources:
        world.add(resource)
    problems = [
        *(problem for route in world.routes for problem in _virtual_service(route, world)),
        *check_delegates(world.routes),
        *conflicting_hosts(world.routes),
        *check_tunnels(world.routes, world.rules_for),
        *check_gateways(world.gateways, world.routes, world.running),
        *(problem for rules in world.rules.values() for rule in rules for problem in _destination_rule(rule, world)),
        *(problem for service in world.owners.services.values() for problem in _service(service, world)),
        *entry_problems(world.entries, world.owners.services, world.selected),
        *check_credentials(resources),
        *several(resources),
        *check_sidecars(resources, world.running, world.routes, world.owners, world.nearest_host),
        *check_rate_limits(resources, world.running, world.routes, world.owners.of),
    ]
    return sorted(problems, key=_order)


def _order(problem: Problem) -> tuple[str, int, int, str]:
    position = problem.position
    return (position.file, position.line, position.column, problem.code) if position else ("", 0, 0, problem.code)


def _virtual_service(resource: Resource[VirtualServiceSpec], world: _World) -> Iterator[Problem]:
    for index, host in enumerate(resource.spec.hosts if for_mesh(resource.spec.gateways) else ()):
        services = world.services_of(hosts.resolve(host, resource.namespace), resource.namespace)
        yield from useless_routes(resource, index, services)
    for path, destination in all_destinations(resource.spec):
        yield from _destination(resource, f"spec.{path}", destination, world)


def _destination(
    resource: Resource[VirtualServiceSpec], path: str, destination: Destination, world: _World
) -> Iterator[Problem]:
    host = hosts.resolve(destination.host, resource.namespace)
    service = world.owners.of(host, resource.namespace)
    if service is None:
        yield _unknown_host(resource, f"{path}.host", host, world)
    else:
        yield from _hidden(resource, f"{path}.host", service)
        yield from _destination_port(resource, path, destination, service)
    if destination.subset:
        yield from _destination_subset(resource, path, destination.subset, host, world)


def _hidden(resource: Resource[VirtualServiceSpec], path: str, service: Resource[ServiceSpec]) -> Iterator[Problem]:
    """Yields a warning for a service that the callers whose requests are led there do not see (Istio 2.5)."""
    seen = viewers(service)
    if seen is None or (resource.namespace in seen and for_mesh(resource.spec.gateways)):
        return
    reached = meet(seen, seen_by(resource.spec.export_to, resource.namespace))
    if reached and not for_mesh(resource.spec.gateways):
        return
    who = f"requests from namespace {resource.namespace} get 503" if reached else "all requests get 503"
    shown = f"exported to {_listed(sorted(seen))} alone" if seen else "exported to nobody"
    message = f"{service.key} at {service.source.position()} is {shown}: {who}"
    problem = resource.problem(NOT_FOUND, path, message, "change its `exportTo`, or lead elsewhere", Level.WARNING)
    yield replace(problem, in_vain=not reached)


def _unknown_host(resource: Resource[Any], path: str, host: str, world: _World, code: str = NOT_FOUND) -> Problem:
    name = host.partition(".")[0]
    near = world.nearest_service(name)
    hint = ""
    if near is not None:
        same = near.namespace == resource.namespace
        shown = near.name if same else hosts.resolve(near.name, near.namespace)
        elsewhere = f"`{name}` is in namespace {near.namespace}: write `{shown}`"
        hint = elsewhere if near.name == name and not same else f"did you mean `{shown}`?"
    problem = resource.problem(code, path, f"host not found: no Service is {host}", hint, Level.WARNING)
    return replace(problem, in_vain=True)


def _destination_port(
    resource: Resource[Any], path: str, destination: Destination, service: Resource[ServiceSpec]
) -> Iterator[Problem]:
    ports = [port.port for port in service.spec.ports]
    where = service.source.position("spec.ports")
    if destination.port is None:
        if len(ports) > 1:
            message = f"{service.key} has several ports ({_listed(ports)}, {where}) and the route names none"
            hint = "add `port: {number: ...}`; without it the port that was called is used"
            yield resource.problem(PORT_REQUIRED, path, message, hint, Level.WARNING)
    elif destination.port.number not in ports:
        message = f"{service.key} has no port {destination.port.number}; it has {_listed(ports)} ({where})"
        yield resource.problem(NOT_FOUND, f"{path}.port.number", message, "use one of its ports")


def _destination_subset(resource: Resource[Any], path: str, subset: str, host: str, world: _World) -> Iterator[Problem]:
    rules = world.rules_for(host, resource.namespace)
    known = {known.name: rule for rule in rules for known in rule.spec.subsets}
    if subset in known:
        return
    if not rules:
        message = f"subset {subset!r} of {host} is not defined: there is no DestinationRule for that host"
        hint = f"apply a DestinationRule with the subset `{subset}`, together with this or before it"
    else:
        where = ", ".join(f"{rule.key} at {rule.source.position('spec.subsets')}" for rule in rules)
        message = f"subset {subset!r} of {host} is not defined in {where}"
        near = nearest(subset, known)
        listed = f"its subsets are {_listed(known)}" if known else "it has no subsets"
        hint = f"did you mean `{near}`? {listed}" if near else listed
    yield resource.problem(NOT_FOUND, f"{path}.subset", message, hint)


def _destination_rule(resource: Resource[DestinationRuleSpec], world: _World) -> Iterator[Problem]:
    host = hosts.resolve(resource.spec.host, resource.namespace)
    if hosts.is_wildcard(host):
        return
    service = world.owners.of(host, resource.namespace)
    if service is None:
        yield _unknown_host(resource, "spec.host", host, world, UNKNOWN_RULE_HOST)
        return
    yield from unfit_policies(resource, service)
    workloads = world.selected(service)
    # What a gateway takes, its servers say.
    if service is world.owners.services.get(host) and any(
        isinstance(one.spec, WorkloadSpec) and not one.spec.gateway for one in workloads
    ):
        yield from unfit_tls(resource)
    behind = [*(workload.labels for workload in workloads), *written_labels(world.entries, service.key)]
    for index, subset in enumerate(resource.spec.subsets):
        if not any(subset.labels.items() <= labels.items() for labels in behind):
            shown = ", ".join(f"{key}: {value}" for key, value in subset.labels.items())
            message = f"subset {subset.name!r} selects no workload of {service.key} (labels {shown})"
            hint = "requests to it will fail until a workload has these labels"
            path = join("spec.subsets", index)
            yield resource.problem(SUBSET_SELECTS_NONE, path, message, hint, Level.WARNING)


def _service(resource: Resource[ServiceSpec], world: _World) -> Iterator[Problem]:
    yield from undeclared_ports(resource)
    if not resource.spec.selector:
        message = "the service has no selector, so no workload is behind it"
        hint = "write `selector` with the labels of its workloads"
        yield resource.problem("NoWorkload", "spec", message, hint, Level.WARNING)
        return
    workloads = world.selected(resource)
    if not workloads:
        message = f"the selector matches no Workload in namespace {resource.namespace}"
        hint = "compare it with the labels in the metadata of the workloads"
        yield resource.problem("NoWorkload", "spec.selector", message, hint, Level.WARNING)
    yield from unreachable_names(resource, workloads)
    for index, port in enumerate(resource.spec.ports):
        for workload in (one for one in workloads if isinstance(one.spec, WorkloadSpec)):
            yield from _target_port(resource, join("spec.ports", index), port, workload)


def _target_port(
    resource: Resource[ServiceSpec], path: str, port: ServicePort, workload: Resource[WorkloadSpec]
) -> Iterator[Problem]:
    target = port.port if port.target_port is None else port.target_port
    declared = workload.spec.ports
    # On which ports a gateway listens, Gateways say.
    if workload.spec.gateway or any(target in (one.container_port, one.name) for one in declared):
        return
    where = workload.source.position("spec.ports")
    shown = _listed([one.name or one.container_port for one in declared])
    message = f"{workload.key} at {where} has no port {target!r}, which the service sends requests to"
    hint = f"its ports are {shown}" if declared else f"add `ports: [{{containerPort: {target}}}]` to the workload"
    field_path = path if port.target_port is None else f"{path}.targetPort"
    yield resource.problem("NoTargetPort", field_path, message, hint)


def _listed(values: Iterable[object]) -> str:
    return ", ".join(str(value) for value in values)
