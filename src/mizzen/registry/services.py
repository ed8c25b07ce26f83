"""Turns Service and Workload resources into the model's services. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from mizzen.mesh.model import Service, ServiceId, ServicePort
from mizzen.mesh.spiffe import SpiffeId
from mizzen.registry.reports import FoundService, Instance
from mizzen.registry.selecting import Labelled
from mizzen.resources.hosts import resolve
from mizzen.resources.resource import Resource
from mizzen.resources.service import ServicePort as ServicePortSpec
from mizzen.resources.service import ServiceSpec, exported_to
from mizzen.resources.visibility import service_id
from mizzen.resources.workload import WorkloadSpec
from mizzen.resources.workload_entry import WorkloadEntrySpec, labelled


def host_of(service: Resource[ServiceSpec]) -> str:
    """Returns the host (FQDN) of a Service resource."""
    return resolve(service.name, service.namespace)


def id_of(service: Resource[ServiceSpec]) -> ServiceId:
    """Returns the id of the service that is made from a Service resource."""
    return service_id(host_of(service), service.namespace, exported_to(service.annotations))


def services_in(resources: Iterable[Resource[Any]]) -> Iterator[Resource[ServiceSpec]]:
    return (resource for resource in resources if isinstance(resource.spec, ServiceSpec))


def workloads_in(resources: Iterable[Resource[Any]]) -> Iterator[Resource[WorkloadSpec]]:
    return (resource for resource in resources if isinstance(resource.spec, WorkloadSpec))


def _addresses(resources: Iterable[Resource[Any]]) -> Iterator[Resource[WorkloadEntrySpec]]:
    """Yields the WorkloadEntries that say who is there."""
    found = (one for one in resources if isinstance(one.spec, WorkloadEntrySpec))
    return (labelled(one) for one in found if one.spec.service_account)


def target_of(port: ServicePortSpec) -> int | str:
    """Returns the port of the workload that a Service's port leads to, by number or by name (Kubernetes)."""
    return port.port if port.target_port is None else port.target_port


def build_services(
    resources: Iterable[Resource[Any]],
    instances: Iterable[Instance],
    addresses: Mapping[str, str],
    trust_domain: str,
    found: Iterable[FoundService] = (),
) -> dict[ServiceId, Service]:
    """Returns the services by id, in the order of their hosts.

    Their identities are those of the Workloads and WorkloadEntries that they pick, of replicas that still run with an earlier
    one, and of the containers that were ``found`` behind what they pick, running or not.
    """
    resources, found = list(resources), list(found)
    accounts = Labelled(
        [
            *((one.namespace, one.labels, one.spec.service_account) for one in workloads_in(resources)),
            *((one.namespace, one.labels, one.service_account) for one in instances),
            *((one.namespace, one.labels, one.spec.service_account) for one in _addresses(resources)),
            *((one.namespace, one.selector, account) for one in found for account in one.accounts),
        ]
    )
    aliases = {(one.namespace, one.name): one.aliases for one in found}
    services = {}
    for resource in services_in(resources):
        identities = {SpiffeId(trust_domain, resource.namespace, account) for account in set(accounts.picked(resource))}
        host = host_of(resource)
        services[id_of(resource)] = Service(
            host=host,
            name=resource.name,
            namespace=resource.namespace,
            ports=tuple(ServicePort(port.port, port.speaks, port.name) for port in resource.spec.ports),
            address=addresses.get(host, ""),
            identities=tuple(sorted(identities)),
            aliases=aliases.get((resource.namespace, resource.name), ()),
            origin=resource.key,
            export_to=exported_to(resource.annotations),
        )
    return in_order(services.values())


def in_order(services: Iterable[Service]) -> dict[ServiceId, Service]:
    """Returns services by id, sorted by host; of those with one host the first that a namespace sees is what it calls.

    That is a Service before a ServiceEntry (as in Istio, so that nobody takes a Service's name by writing an entry), and a
    namespace's own before one that others see, too.
    """
    return {one.id: one for one in sorted(services, key=lambda one: (one.host, one.entry, one.id == one.host, one.id))}
