"""By which names a host is called, and which of several that have the same name gets it: Envoy refuses two of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from operator import attrgetter

from mizzen.compile.routes import VirtualHostView
from mizzen.mesh.model import Host, Service
from mizzen.mesh.scope import DEFAULT_HTTP_PORT
from mizzen.resources.hosts import is_ip_address, is_wildcard
from mizzen.resources.key import Key


def domains_of(service: Service, client: str) -> tuple[str, ...]:
    """Returns the names by which a service may be called from the namespace of a client, without ports (Istio 2.1)."""
    if service.entry:
        addresses = [address for address in (service.address, *service.addresses) if address and "/" not in address]
        return (service.host, f"{service.host}.", *dict.fromkeys(addresses))
    name, namespace = service.name, service.namespace
    domains = [service.host, f"{service.host}.", f"{name}.{namespace}.svc", f"{name}.{namespace}"]
    if namespace == client:
        domains.append(name)
    if service.address:
        domains.append(service.address)
    if namespace == client:
        domains += service.aliases
    return tuple(domain.lower() for domain in domains)


def literal(host: Host) -> tuple[str, ...]:
    """Returns the names of a host that is no service: as those of a service, a name may end with the root's dot."""
    return (host,) if is_wildcard(host) or is_ip_address(host) else (host, f"{host}.")


def at_port(domains: tuple[str, ...], port: int) -> tuple[str, ...]:
    """Returns the names as a forward proxy sees them: with their port, and for port 80 without as well (Istio 2.16)."""
    # Envoy takes a wildcard at the beginning of a domain and a port at its end together: `*.example.com:80`.
    named = tuple(f"{domain}:{port}" for domain in domains)
    return (*domains, *named) if port == DEFAULT_HTTP_PORT else named


def in_order_of_claim(hosts: Iterable[VirtualHostView], claims: Sequence[Key]) -> list[VirtualHostView]:
    """Returns the hosts in the order in which Istio gives out domains: by VirtualService, then those without one.

    ``claims`` are the VirtualServices in their order.
    """
    ranks = {key: rank for rank, key in enumerate(claims)}

    def claim(view: VirtualHostView) -> tuple[int, bool, Host, int]:
        rules = view.virtual_services
        rank = ranks[rules[0].key] if rules else len(ranks)
        return (rank, view.origin is not None, view.host, view.port)

    return sorted(hosts, key=claim)


def settled(hosts: Iterable[VirtualHostView]) -> tuple[VirtualHostView, ...]:
    """Returns the hosts by name, each with the domains that no earlier one has; one that has none left is not served.

    Of equal domains the first keeps it, as in Istio.
    """
    return tuple(sorted(_left(hosts), key=attrgetter("name")))


def _left(hosts: Iterable[VirtualHostView]) -> Iterator[VirtualHostView]:
    taken: set[str] = set()
    for host in hosts:
        if taken.isdisjoint(host.domains):
            yield host
        elif left := tuple(domain for domain in host.domains if domain not in taken):
            yield replace(host, domains=left)
        taken.update(host.domains)
