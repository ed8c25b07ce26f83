"""Endpoints at addresses that users wrote: in WorkloadEntries, and inside ServiceEntries. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import ip_address
from typing import Any

from mizzen.mesh.localities import locality_of, parse_locality
from mizzen.mesh.model import Endpoint, labels_of
from mizzen.mesh.spiffe import SpiffeId
from mizzen.registry.selecting import Labelled
from mizzen.resources.hosts import is_ip_address
from mizzen.resources.resource import Resource
from mizzen.resources.service import ServicePort
from mizzen.resources.workload_entry import TLS_MODE_LABEL, WorkloadEntrySpec, labelled


def written_addresses(resources: Iterable[Resource[Any]]) -> Labelled[Resource[WorkloadEntrySpec]]:
    """Returns the WorkloadEntries, by their labels."""
    found = [labelled(one) for one in resources if isinstance(one.spec, WorkloadEntrySpec)]
    return Labelled((one.namespace, one.labels, one) for one in found)


def written_endpoint(written: WorkloadEntrySpec, namespace: str, port: int, trust_domain: str) -> Endpoint:
    """Returns the endpoint of an address that a user wrote; it speaks the mesh's TLS if its labels say so."""
    account = written.service_account
    return Endpoint(
        address=str(ip_address(written.address)) if is_ip_address(written.address) else written.address.lower(),
        port=port,
        namespace=namespace,
        labels=labels_of(written.labels),
        tls=written.labels.get(TLS_MODE_LABEL) == "istio",
        identity=str(SpiffeId(trust_domain, namespace, account)) if account else "",
        weight=written.weight or 1,
        locality=parse_locality(written.locality) if written.locality else locality_of(written.labels),
    )


def behind_service(
    picked: Iterable[Resource[WorkloadEntrySpec]], port: ServicePort, trust_domain: str
) -> Iterator[Endpoint]:
    """Yields the endpoints of a Service's port among the WorkloadEntries that it picks: those with addresses, for names
    are not looked up for a Service.
    """
    for one in picked:
        number = _number(one.spec, port)
        if number and is_ip_address(one.spec.address):
            yield written_endpoint(one.spec, one.namespace, number, trust_domain)


def _number(written: WorkloadEntrySpec, port: ServicePort) -> int:
    """Returns the port of an address, by the name of the service's port or of its target; 0 if it has none."""
    target = port.port if port.target_port is None else port.target_port
    fallback = target if isinstance(target, int) else written.ports.get(target, 0)
    return written.ports.get(port.name, fallback)
