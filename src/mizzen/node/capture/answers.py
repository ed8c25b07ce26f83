"""What DNS answers inside the mesh: names of services, in the forms that Kubernetes allows. Pure.

``nameserver.py`` brings the questions and sends the answers. The rules are those of Istio's DNS proxy: a known name
that has no record of the wanted type is NOERROR and empty, so that a resolver which asks for AAAA first does not take
the service for missing; an unknown name goes to the host's resolvers, except under the cluster's own domain.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from types import MappingProxyType
from typing import NamedTuple

import dns.exception
import dns.flags
import dns.message
import dns.opcode
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset

from mizzen.registry.reports import EgressNames, ServiceName
from mizzen.resources.egress_hosts import egress_hosts
from mizzen.resources.hosts import DEFAULT_DOMAIN, comparable

TTL = 30  # seconds, as Istio's

# Nobody else knows the services' virtual addresses, and a question about one should not wait for a time-out.
_VIRTUAL_REVERSE = "240.240.in-addr.arpa"

_SMALLEST_UDP_ANSWER = 512  # RFC 1035 4.2.1; more only if the client says so with EDNS


class Asker(NamedTuple):
    """Who asks: an instance, in a namespace of the mesh."""

    namespace: str
    instance: str = ""


@dataclass(frozen=True)
class NameTable:
    """The names to answer: ``services`` are whose a full lower-case name is, of which the first that a client sees is meant.

    ``branches`` are the names under ``domain`` that have names below them and are none themselves. ``egress`` is what instances
    may call that may not call everything, by namespace and name.
    """

    services: Mapping[str, tuple[ServiceName, ...]] = field(default_factory=lambda: MappingProxyType({}))
    branches: frozenset[str] = frozenset()
    domain: str = DEFAULT_DOMAIN
    egress: Mapping[Asker, EgressNames] = field(default_factory=lambda: MappingProxyType({}))

    def address(self, name: str, client: Asker) -> str | None:
        """Returns the IPv4 address of a name in full, "" for a service that has none, None if the client does not know it."""
        for service in self.services.get(name, ()):
            if not service.export_to or client.namespace in service.export_to:
                limits = self.egress.get(client)
                return service.address if limits is None or _may_call(limits, service) else None
        return None


@dataclass(frozen=True)
class Forward:
    """The question is for the host's resolvers; the client takes answers of up to ``limit`` bytes over UDP."""

    limit: int = _SMALLEST_UDP_ANSWER


class MalformedQueryError(Exception):
    """The packet is no question that could be answered."""


def _may_call(limits: EgressNames, service: ServiceName) -> bool:
    """Tells whether an egress listener selects a service, with the port that the listener is for (Istio 2.6)."""
    return any(
        egress_hosts(hosts, limits.namespace).service(_full_name(service), service.namespace)
        for port, hosts in limits.hosts
        if not port or port in service.ports
    )


def name_table(
    services: Iterable[ServiceName], egress: Iterable[EgressNames] = (), domain: str = DEFAULT_DOMAIN
) -> NameTable:
    """Builds the table of all services that a node knows."""
    services = list(services)
    # A service that has a name comes before one that is only called so.
    names = [(_full_name(service), service) for service in services]
    names += [
        (f"{alias}.{service.namespace}.svc.{domain}".lower(), service)
        for service in services
        for alias in service.aliases
    ]
    named: dict[str, tuple[ServiceName, ...]] = {}
    for name, service in names:
        named[name] = (*named.get(name, ()), service)
    branches = {branch for name in named for branch in _branches(name) if _inside(branch, domain)}
    return NameTable(
        MappingProxyType(named),
        frozenset(branches - named.keys()),
        domain,
        MappingProxyType({Asker(one.namespace, name): one for one in egress for name in one.instances}),
    )


def answer(query: bytes, table: NameTable, client: Asker, searched: Sequence[str] = ()) -> bytes | Forward:
    """Answers a question of an instance, both as on the wire.

    ``searched`` are domains that the workload's resolver appends before the mesh has a say in it, as in a container: a
    name of the mesh below one of them is answered as the name itself.

    Raises :class:`MalformedQueryError` for what must be ignored. An answer has no SOA record, so that nobody remembers
    a name as missing (RFC 2308, 5): the service may be applied a moment later.
    """
    question = _parse(query)
    if question.opcode() != dns.opcode.QUERY:
        return _response(question, dns.rcode.NOTIMP)
    if len(question.question) != 1:
        raise MalformedQueryError(f"{len(question.question)} questions")
    asked = question.question[0]
    if asked.rdclass not in (dns.rdataclass.IN, dns.rdataclass.ANY):
        return _response(question, dns.rcode.REFUSED)
    name = asked.name.to_text(omit_final_dot=True).lower()
    address = _find(name, table, client, searched)
    if address is not None:
        wanted = asked.rdtype in (dns.rdatatype.A, dns.rdatatype.ANY)
        return _response(question, dns.rcode.NOERROR, address if wanted else "")
    if name in table.branches:
        return _response(question, dns.rcode.NOERROR)
    if _inside(name, table.domain) or _inside(name, _VIRTUAL_REVERSE):
        return _response(question, dns.rcode.NXDOMAIN)
    return Forward(max(_SMALLEST_UDP_ANSWER, question.payload if question.edns >= 0 else 0))


def failure(query: bytes) -> bytes:
    """Returns the answer that says that no resolver could be asked (SERVFAIL)."""
    return _response(_parse(query), dns.rcode.SERVFAIL)


def truncated(query: bytes) -> bytes:
    """Returns the answer that makes the client ask again over TCP."""
    response = dns.message.make_response(_parse(query), recursion_available=True)
    response.flags |= dns.flags.TC
    return response.to_wire()


def is_truncated(response: bytes) -> bool:
    return bool(int.from_bytes(response[2:4], "big") & dns.flags.TC)


def resolv_conf(client_namespace: str, nameserver: IPv4Address, searched: Sequence[str] = ()) -> str:
    """Returns the file for a workload's resolver, as Kubernetes writes it; ``searched`` are the host's own domains."""
    domains = [f"{client_namespace}.svc.{DEFAULT_DOMAIN}", f"svc.{DEFAULT_DOMAIN}", DEFAULT_DOMAIN, *searched]
    return f"nameserver {nameserver}\nsearch {' '.join(dict.fromkeys(domains))}\noptions ndots:5\n"


def _full_name(service: ServiceName) -> str:
    return comparable(service.host)


def _find(name: str, table: NameTable, client: Asker, searched: Sequence[str]) -> str | None:
    """Returns the address of a name in any of its forms, None if it is unknown; the full name wins."""
    for candidate in (name, *_without_domains(name, searched)):
        for full in _full_names(candidate, table.domain, client.namespace):
            if (address := table.address(full, client)) is not None:
                return address
    return None


def _without_domains(name: str, domains: Sequence[str]) -> list[str]:
    endings = [f".{domain.lower()}" for domain in domains if domain]
    return [name.removesuffix(ending) for ending in endings if name.endswith(ending)]


def _full_names(name: str, domain: str, client_namespace: str) -> tuple[str, ...]:
    labels = name.split(".")
    if len(labels) == 1:
        return (name, f"{name}.{client_namespace}.svc.{domain}")
    if len(labels) == 2:
        return (name, f"{name}.svc.{domain}")
    if len(labels) == 3 and labels[2] == "svc":
        return (name, f"{name}.{domain}")
    return (name,)


def _branches(name: str) -> list[str]:
    labels = name.split(".")
    return [".".join(labels[start:]) for start in range(1, len(labels))]


def _inside(name: str, domain: str) -> bool:
    return name == domain or name.endswith("." + domain)


def _parse(query: bytes) -> dns.message.Message:
    try:
        message = dns.message.from_wire(query)
    except (dns.exception.DNSException, ValueError) as error:
        raise MalformedQueryError(str(error)) from error
    if message.flags & dns.flags.QR:
        raise MalformedQueryError("it is an answer")
    return message


def _response(question: dns.message.Message, code: dns.rcode.Rcode, address: str = "") -> bytes:
    response = dns.message.make_response(question, recursion_available=True)
    response.set_rcode(code)
    if address:
        name = question.question[0].name
        response.answer.append(dns.rrset.from_text(name, TTL, dns.rdataclass.IN, dns.rdatatype.A, address))
    return response.to_wire()
