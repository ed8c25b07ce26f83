"""Turns ServiceEntry resources into the model's services and endpoints. Pure.

Each host is a service. Where the proxies find what stands behind it is the entry's ``resolution``: addresses that they are
told, names that they look up, or wherever the client wanted to go.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeAlias

from mizzen.mesh.model import Endpoint, Host, Resolution, Service, ServiceId, ServicePort
from mizzen.mesh.spiffe import SpiffeId
from mizzen.registry import reports
from mizzen.registry.processes import endpoints_at, is_endpoint
from mizzen.registry.selecting import Labelled
from mizzen.registry.written import written_addresses, written_endpoint
from mizzen.resources.hosts import comparable, is_ip_address, is_wildcard
from mizzen.resources.resource import Resource
from mizzen.resources.service_entry import AUTO_ADDRESS_LABEL, EntryPort, ServiceEntrySpec
from mizzen.resources.visibility import service_id
from mizzen.resources.workload_entry import WorkloadEntrySpec

Entry: TypeAlias = Resource[ServiceEntrySpec]

_RESOLUTIONS = {
    "NONE": Resolution.DIALLED,
    "STATIC": Resolution.TOLD,
    "DNS": Resolution.DNS,
    "DNS_ROUND_ROBIN": Resolution.DNS_ROUND_ROBIN,
    "DYNAMIC_DNS": Resolution.ASKED,
}


def entries_in(resources: Iterable[Resource[Any]]) -> list[Entry]:
    """Returns the ServiceEntries, the oldest first."""
    found = (resource for resource in resources if isinstance(resource.spec, ServiceEntrySpec))
    return sorted(found, key=lambda entry: entry.age)


def hosts_in(entry: Entry) -> list[Host]:
    return list(dict.fromkeys(map(comparable, entry.spec.hosts)))


def _owned(entry: Entry) -> list[tuple[ServiceId, Host]]:
    return [(service_id(host, entry.namespace, entry.spec.export_to), host) for host in hosts_in(entry)]


def automatic_hosts(resources: Iterable[Resource[Any]]) -> Iterator[Host]:
    """Yields the hosts that get a virtual address: those that have none, but a name that clients look up (Istio 2.17)."""
    for entry in entries_in(resources):
        wanted = entry.labels.get(AUTO_ADDRESS_LABEL) != "false"
        if wanted and not entry.spec.addresses and entry.spec.resolution != "NONE":
            yield from (host for host in hosts_in(entry) if not is_wildcard(host))


def _port(port: EntryPort, spec: ServiceEntrySpec) -> ServicePort:
    asked = spec.resolution == "DYNAMIC_DNS"
    return ServicePort(port.number, port.speaks, port.name, (port.target_port or port.number) if asked else 0)


class Entries:
    """The ServiceEntries of a mesh, and what they find among its instances and WorkloadEntries."""

    def __init__(
        self, resources: Iterable[Resource[Any]], instances: Iterable[reports.Instance], trust_domain: str
    ) -> None:
        resources = list(resources)
        self._entries = entries_in(resources)
        self._addresses = written_addresses(resources)
        self._trust_domain = trust_domain
        selecting = any(entry.spec.workload_selector for entry in self._entries)
        self._instances = Labelled(((one.namespace, one.labels, one) for one in instances) if selecting else ())

    def services(self, addresses: Mapping[Host, str], taken: Iterable[ServiceId] = ()) -> dict[ServiceId, Service]:
        """Returns the services by id; those that are ``taken`` have another owner (Istio 2.7)."""
        found: dict[ServiceId, Service] = {}
        owned = set(taken)
        for entry in self._entries:
            made = [self._service(entry, host, addresses) for name, host in _owned(entry) if name not in owned]
            found |= {one.id: one for one in made}
            owned |= found.keys()
        return found

    def endpoints(self, services: Mapping[ServiceId, Service]) -> dict[tuple[ServiceId, int], tuple[Endpoint, ...]]:
        """Returns the endpoints that proxies are told, by service and port."""
        return {
            (name, port.number): tuple(sorted(self._endpoints(entry, port)))
            for entry in self._entries
            if entry.spec.resolution == "STATIC"
            for name, _ in _owned(entry)
            if name in services and services[name].origin == entry.key
            for port in entry.spec.ports
        }

    def _service(self, entry: Entry, host: Host, addresses: Mapping[Host, str]) -> Service:
        spec = entry.spec
        own = [address for address in spec.addresses if "/" not in address]
        named = [(port.number, one) for port in spec.ports for one in self._named(entry, host, port)]
        return Service(
            host=host,
            name=host,
            namespace=entry.namespace,
            ports=tuple(_port(port, spec) for port in spec.ports),
            address=own[0] if own else "" if spec.addresses else addresses.get(host, ""),
            addresses=spec.addresses,
            identities=self._identities(entry),
            origin=entry.key,
            entry=True,
            external=spec.location == "MESH_EXTERNAL",
            resolution=_RESOLUTIONS[spec.resolution],
            named=tuple(named),
            sans=spec.subject_alt_names,
            export_to=spec.export_to,
        )

    def _identities(self, entry: Entry) -> tuple[SpiffeId, ...]:
        if entry.spec.location == "MESH_EXTERNAL":
            return ()
        accounts = {one.service_account for _, one in self._written(entry) if one.service_account}
        accounts |= {one.service_account for one in self._selected(entry)}
        return tuple(sorted(SpiffeId(self._trust_domain, entry.namespace, account) for account in accounts))

    def _named(self, entry: Entry, host: Host, port: EntryPort) -> list[Endpoint]:
        """Returns what proxies look up themselves: the endpoints, or without any the host."""
        if not entry.spec.by_name:
            return []
        if not entry.spec.endpoints and not entry.spec.workload_selector:
            return [Endpoint(host, port.target_port or port.number, entry.namespace, tls=False)]
        return sorted(self._endpoints(entry, port))

    def _endpoints(self, entry: Entry, port: EntryPort) -> Iterator[Endpoint]:
        target = port.target_port or port.number
        for namespace, written in self._written(entry):
            if entry.spec.by_name or is_ip_address(written.address):
                number = written.ports.get(port.name, target)
                yield written_endpoint(written, namespace, number, self._trust_domain)
        for instance in filter(is_endpoint, self._selected(entry)):
            yield from endpoints_at(instance, port.number, target, self._trust_domain)

    def _written(self, entry: Entry) -> Iterator[tuple[str, WorkloadEntrySpec]]:
        """Yields the addresses that users wrote, each with the namespace of what is there."""
        yield from ((entry.namespace, one) for one in entry.spec.endpoints)
        if selector := entry.spec.workload_selector:
            found = self._addresses.with_labels(entry.namespace, selector.labels)
            yield from ((one.namespace, one.spec) for one in found)

    def _selected(self, entry: Entry) -> list[reports.Instance]:
        selector = entry.spec.workload_selector
        return self._instances.with_labels(entry.namespace, selector.labels) if selector else []
