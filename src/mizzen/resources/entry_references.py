"""Checks ServiceEntries against Services and each other. Pure; a part of :mod:`mizzen.resources.references`.

A host has one owner, and a connection must say which service it is for: Istio lets the older one win and tells nobody.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any, TypeAlias

from mizzen.resources.hosts import comparable, is_ip_address, is_wildcard
from mizzen.resources.key import Key
from mizzen.resources.owners import viewers
from mizzen.resources.paths import join
from mizzen.resources.problems import NOT_FOUND, Level, Problem
from mizzen.resources.protocols import DETECTION_TIMEOUT
from mizzen.resources.resource import Resource
from mizzen.resources.service import EXPORT_ANNOTATION, ServicePort, ServiceSpec
from mizzen.resources.service_entry import AUTO_ADDRESS_LABEL, EntryPort, ServiceEntrySpec
from mizzen.resources.visibility import seen_by, service_id
from mizzen.resources.workload_entry import WorkloadEntrySpec

HOST_OWNED = "HostOwned"
PORT_TAKEN = "PortTaken"
ADDRESS_REQUIRED = "IST0134"

Entry: TypeAlias = Resource[ServiceEntrySpec]


def as_services(entry: Entry) -> dict[str, Resource[ServiceSpec]]:
    """Returns the services of an entry by host, in the form of a Service, for whoever looks at hosts, ports and who sees them."""
    selector = entry.spec.workload_selector.labels if entry.spec.workload_selector else {}
    ports = tuple(
        ServicePort(
            name=port.name, port=port.number, target_port=port.target_port or None, app_protocol=str(port.speaks)
        )
        for port in entry.spec.ports
    )
    spec = ServiceSpec(selector=selector, ports=ports)
    made: Resource[ServiceSpec] = Resource(
        entry.key,
        entry.api_version,
        entry.digest,
        spec,
        entry.labels,
        {EXPORT_ANNOTATION: ",".join(entry.spec.export_to)},
        entry.created,
        entry.source,
    )
    return {comparable(host): made for host in entry.spec.hosts}


def entry_problems(
    entries: Iterable[Entry],
    services: Mapping[str, Resource[ServiceSpec]],
    selected: Callable[[Resource[ServiceSpec]], Iterable[Resource[Any]]],
) -> Iterator[Problem]:
    """Yields what is wrong with ServiceEntries among ``services`` (by host) and each other.

    ``selected`` returns the Workloads and WorkloadEntries behind a service.
    """
    ordered = sorted(entries, key=lambda entry: entry.age)
    yield from _owners(ordered, services)
    yield from _addresses(ordered)
    http = _http_ports(ordered, services.values())
    takers: dict[int, Entry] = {}
    for entry in ordered:
        behind = list(selected(next(iter(as_services(entry).values())))) if entry.spec.workload_selector else []
        yield from _unselected(entry, behind)
        if entry.spec.by_name:
            yield from _inside_names(entry, services)
        else:
            yield from unreachable_names(entry, behind)
        for index, port in enumerate(entry.spec.ports):
            if not is_told_apart(entry, port):
                yield from _taker(entry, join("spec.ports", index), port, http, takers)


def _owners(entries: Iterable[Entry], services: Mapping[str, Resource[ServiceSpec]]) -> Iterator[Problem]:
    owners: dict[str, Resource[Any]] = {}
    for entry in entries:
        for index, written in enumerate(entry.spec.hosts):
            host = comparable(written)
            owner: Resource[Any] = owners.setdefault(service_id(host, entry.namespace, entry.spec.export_to), entry)
            if (service := services.get(host)) and _hides(service, entry):
                owner = service
            if owner is not entry:
                message = f"{written} is another resource's: {owner.key} at {owner.source.position()} has it too"
                hint = "a host has one owner: put them into one, delete one of them, or let each namespace see but one (exportTo)"
                yield entry.problem(HOST_OWNED, join("spec.hosts", index), message, hint)


def _hides(service: Resource[ServiceSpec], entry: Entry) -> bool:
    """Tells whether an entry has no effect, or not where it should, because a Service has its host: where both are seen that
    counts, and where only its own namespace sees it it is a namespace's own.
    """
    own, wanted = viewers(service), seen_by(entry.spec.export_to, entry.namespace)
    if own is None or not own <= {service.namespace}:
        return True
    return wanted is not None and wanted <= own


def _addresses(entries: Iterable[Entry]) -> Iterator[Problem]:
    """Yields an error for each address and port that two entries have, if one of them takes bytes there: TLS is told apart
    by server names, requests by their host.
    """
    taken: dict[tuple[str, int], tuple[Entry, bool]] = {}
    for entry in entries:
        ports = [(index, port) for index, port in enumerate(entry.spec.ports) if not port.speaks.is_http]
        for index, port in ports:
            for address in entry.spec.addresses:
                other, tls = taken.setdefault((address, port.number), (entry, port.speaks.is_tls))
                if other is not entry and not (tls and port.speaks.is_tls):
                    message = (
                        f"nothing says which connections to {address}, port {port.number}, are for {entry.spec.hosts[0]}: "
                        f"{other.key} at {other.source.position()} has them too"
                    )
                    yield entry.problem(PORT_TAKEN, join("spec.ports", index), message, "write other addresses")


def _http_ports(entries: Iterable[Entry], services: Iterable[Resource[Any]]) -> dict[int, Resource[Any]]:
    """Returns the ports on which requests are read, each with a resource that has it."""
    found: dict[int, Resource[Any]] = {}
    for entry in entries:
        found |= {port.number: entry for port in entry.spec.ports if port.speaks.is_http}
    for service in services:
        found |= {port.port: service for port in service.spec.ports if port.speaks.is_http}
    return found


def is_told_apart(entry: Entry, port: EntryPort) -> bool:
    """Tells whether something says which connections to a port are for this service: requests, server names, addresses."""
    if port.speaks.is_http or port.speaks.is_tls or entry.spec.addresses:
        return True
    automatic = entry.spec.resolution != "NONE" and entry.labels.get(AUTO_ADDRESS_LABEL) != "false"
    return automatic and not all(is_wildcard(host) for host in entry.spec.hosts)


def _taker(
    entry: Entry, path: str, port: EntryPort, http: Mapping[int, Resource[Any]], takers: dict[int, Entry]
) -> Iterator[Problem]:
    """Yields what is wrong with a port that takes all connections; only one may (Istio 2.7).

    Where others speak HTTP on such a port, requests are told from other bytes by their beginning (Istio 2.14).
    """
    other = takers.setdefault(port.number, entry)
    if other is not entry:
        message = (
            f"nothing says which connections to port {port.number} are for {entry.spec.hosts[0]}: {other.key} at "
            f"{other.source.position()} has the port too"
        )
        yield entry.problem(PORT_TAKEN, path, message, "write `addresses`, or another resolution than NONE")
    else:
        message = f"connections to any address with port {port.number} are taken for {entry.spec.hosts[0]}"
        if mixed := http.get(port.number):
            message += (
                f" unless they begin with a request, for {mixed.key} at {mixed.source.position('spec.ports')} has the port too; where "
                f"the server speaks first, clients wait {DETECTION_TIMEOUT:g} s for it"
            )
        yield entry.problem(ADDRESS_REQUIRED, path, message, "write `addresses`", Level.WARNING)


def _unselected(entry: Entry, behind: Collection[object]) -> Iterator[Problem]:
    if entry.spec.workload_selector and not behind:
        message = f"the selector matches no workload in namespace {entry.namespace}"
        hint = "compare it with the labels in the metadata of the workloads"
        yield entry.problem("NoWorkload", "spec.workloadSelector", message, hint, Level.WARNING)


def _inside_names(entry: Entry, services: Mapping[str, Resource[ServiceSpec]]) -> Iterator[Problem]:
    """Yields what is wrong with names that are those of Services (:mod:`mizzen.registry.inside_names`)."""
    if entry.spec.endpoints:
        named = [
            (join("spec.endpoints", index), one.address, one.ports) for index, one in enumerate(entry.spec.endpoints)
        ]
    elif entry.spec.workload_selector:
        return
    else:
        # One that a Service hides is told to be another resource's.
        named = [
            (join("spec.hosts", index), host, {})
            for index, host in enumerate(entry.spec.hosts)
            if not ((service := services.get(comparable(host))) and _hides(service, entry))
        ]
    names = [(path, comparable(name), ports) for path, name, ports in named if not is_ip_address(name)]
    found = [(path, services[name], ports) for path, name, ports in names if name in services]
    for path, service, ports in found:
        if entry.spec.endpoints and len(found) < len(names):
            message = f"{service.key} at {service.source.position()} is not looked up beside names outside the mesh"
            yield entry.problem("NamedService", path, message, "write it into a ServiceEntry of its own", Level.WARNING)
            continue
        known = [port.port for port in service.spec.ports]
        for port in entry.spec.ports:
            target = ports.get(port.name, port.target_port or port.number)
            if target not in known:
                listed = ", ".join(map(str, known))
                message = (
                    f"{service.key} at {service.source.position('spec.ports')} has no port {target}; it has {listed}"
                )
                hint = f"write `targetPort` in port {port.number}, or use one of its ports"
                yield entry.problem(NOT_FOUND, path, message, hint, Level.WARNING)


def unreachable_names(service: Resource[Any], behind: Iterable[Resource[Any]]) -> Iterator[Problem]:
    """Yields an error for each WorkloadEntry behind a service that has a name, where proxies are told addresses."""
    for one in behind:
        if isinstance(one.spec, WorkloadEntrySpec) and not is_ip_address(one.spec.address):
            message = f"{one.spec.address!r} is no IP address, and names are not looked up for {service.key}"
            hint = "write its address, or use a ServiceEntry with `resolution: DNS`"
            yield one.problem("NamedAddress", "spec.address", message, hint)


def written_labels(entries: Iterable[Entry], key: Key) -> list[Mapping[str, str]]:
    """Returns the labels of the endpoints that are written in the entry of this key."""
    return [endpoint.labels for entry in entries if entry.key == key for endpoint in entry.spec.endpoints]
