"""What a sidecar's listeners depend on: its own ports, and where each of its namespace's services is called."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from mizzen.compile import names
from mizzen.compile.branches import Branch
from mizzen.compile.clusters import policy_for
from mizzen.compile.http_connections import USUAL, Manners, manners_of
from mizzen.compile.listeners import ANY_ADDRESS, InboundView, InsideView, OutboundView
from mizzen.compile.seats import ALONE, Seat
from mizzen.compile.serving import pool_of
from mizzen.mesh.model import (
    NOWHERE,
    Capture,
    DestinationRule,
    Host,
    Instance,
    MeshConfig,
    Service,
    ServicePort,
    Sidecar,
)
from mizzen.mesh.scope import ScopedService
from mizzen.resources.key import Key
from mizzen.resources.protocols import Protocol


class Target(NamedTuple):
    """What a listener for one port of a service depends on.

    ``addresses`` are those at which it is called, which may be subnets; where they are not its own, clients ask for
    ``server_name``.
    """

    addresses: tuple[str, ...]
    protocol: Protocol
    origin: Key
    server_name: str = ""


def targets_of(services: Iterable[ScopedService]) -> dict[tuple[Host, int], Target]:
    """Returns where services are called, by host and port."""
    found = {
        (scoped.service.host, port.number): _target(scoped.service, port)
        for scoped in services
        for port in scoped.service.ports
    }
    # ServiceEntries may have written the same address for several hosts.
    uses = Counter(
        (address, number) for (_, number), one in found.items() if one.protocol.is_tls for address in one.addresses
    )
    for (host, number), one in found.items():
        if one.protocol.is_tls and any(uses[address, number] > 1 for address in one.addresses):
            found[host, number] = one._replace(server_name=host)
    return found


def _target(service: Service, port: ServicePort) -> Target:
    """Returns where a port of a service is called. A ServiceEntry without addresses is called at any (Istio 2.7)."""
    addresses = service.called_at
    anywhere = service.entry and not addresses
    name = service.host if anywhere and port.protocol.is_tls else ""
    return Target(addresses or ((ANY_ADDRESS,) if anywhere else ()), port.protocol, service.origin, name)


def served_by(instance: Instance, sidecar: Sidecar | None, mesh: MeshConfig | None) -> tuple[Key, ...]:
    """Returns what users wrote that shapes the listeners of an instance's own ports."""
    # Of most that a mesh is told there is nothing in a listener.
    shaping = mesh if manners_of(mesh) != USUAL else None
    return (instance.origin, *(one.key for one in (sidecar, shaping) if one))


def inbound(
    instance: Instance, trust_domain: str, origins: tuple[Key, ...], seat: Seat = ALONE, manners: Manners = USUAL
) -> Iterator[InboundView]:
    """Yields the inbound listeners: one for all ports where capture is transparent, else one for each; and one for each port
    that a Sidecar has its proxies open.
    """
    if not instance.inbound:  # a listener needs at least one filter chain
        return
    explicit = instance.capture is Capture.EXPLICIT
    # What no node has given a port of its own is called where a Sidecar opens it, and nowhere else.
    given = [port for port in instance.inbound if not (port.bind and port.listen == port.number)]
    groups = [(port,) for port in given] if explicit else [instance.inbound]
    for ports in groups:
        around = instance.around if any(port.published for port in ports) else NOWHERE
        yield InboundView(
            instance.address, ports, trust_domain, instance.capture, origins, around, seat, manners=manners
        )
    for port in instance.inbound:
        own = replace(port, listen=port.number, published=False)
        if port.bind:  # where capture is explicit it is on its host, which it shares with others
            yield InboundView(
                port.bind, (own,), trust_domain, Capture.EXPLICIT, origins, NOWHERE, seat, explicit, manners
            )


def inside(
    instance: Instance,
    rules: Mapping[Host, tuple[DestinationRule, ...]],
    origins: tuple[Key, ...],
    seat: Seat,
    sidecar: Sidecar | None = None,
    read: bool = False,
    *,
    mesh: MeshConfig | None = None,
    manners: Manners = USUAL,
) -> Iterator[InsideView]:
    """Yields the internal listeners through which neighbours call an instance (see :mod:`mizzen.compile.seats`).

    ``read`` says that requests have to be read there.
    """
    for port in instance.inbound:
        pool = pool_of(port, policy_for(rules.get(port.host, ()), "", port.service_port, mesh), sidecar)
        own_pass = read or port.protocol is Protocol.GRPC_WEB or bool(pool and pool.http)
        yield InsideView(instance.id, port, seat, own_pass, origins, manners)


def is_shared(address: str) -> bool:
    """Tells whether services with such an address have no listener of their own: it is any, or a subnet."""
    return address == ANY_ADDRESS or "/" in address


def transparent(
    targets: Mapping[tuple[Host, int], Target],
    seat: Seat = ALONE,
    manners: Manners = USUAL,
    taken: Iterable[tuple[int, Branch]] = (),
) -> Iterator[OutboundView]:
    """Yields where 15001 hands connections to: one for each port that services share, because they are told apart by what
    is said there, and one for each address of a TCP service. ``taken`` are server names that no service has, by port.
    """
    http = sorted({number for (_, number), target in targets.items() if target.protocol.is_http})
    shared: dict[int, list[Branch]] = {number: [] for number in http}
    own: list[OutboundView] = []
    for (host, number), target in targets.items():
        undeclared = target.protocol is Protocol.UNDECLARED
        for address in () if target.protocol.is_http else target.addresses:
            route = seat.named(names.service_route(host, number))
            if is_shared(address) or target.server_name:
                subnet = "" if address == ANY_ADDRESS else address
                requests = seat.named(str(number)) if undeclared else ""
                branch = Branch(route, subnet, target.server_name, requests, target.origin)
                shared.setdefault(number, []).append(branch)
            else:
                own.append(_alone(address, number, target, route, manners, bound=False))
    for number, branch in taken:
        if all(one.subnet or one.server_name != branch.server_name for one in shared.setdefault(number, [])):
            shared[number].append(branch)
    for number, branches in shared.items():
        if number not in names.RESERVED_PORTS:
            yield _shared(number, branches, seat, manners, http=number in http)
    yield from own


def _alone(address: str, port: int, target: Target, route: str, manners: Manners, *, bound: bool) -> OutboundView:
    """Returns what takes connections to one port of one service and to no other."""
    return OutboundView(
        address,
        port,
        target.protocol,
        route,
        bound=bound,
        requests=route if target.protocol is Protocol.UNDECLARED else "",
        origins=(target.origin,),
        manners=manners,
    )


def _shared(number: int, branches: Sequence[Branch], seat: Seat, manners: Manners, *, http: bool) -> OutboundView:
    # It does not depend on which services speak HTTP there, so that a new one leaves it alone.
    told_apart = tuple(one for one in branches if one.subnet or one.server_name)
    rest = [one for one in branches if not (one.subnet or one.server_name)]
    # Of several that want all connections the first has them; `resources.entry_references` refuses the others.
    others = rest[0].route if rest else ""
    only_http = http and not others
    return OutboundView(
        ANY_ADDRESS,
        number,
        Protocol.HTTP if only_http else Protocol.TCP,
        seat.named(str(number)) if only_http else others,
        bound=False,
        # Where some want requests and some want bytes, they are told apart (Istio 2.14).
        requests=seat.named(str(number)) if others and (http or any(one.requests for one in rest)) else "",
        origins=tuple(one.origin for one in branches),
        branches=told_apart,
        manners=manners,
    )


def explicit(
    instance: Instance, targets: Mapping[tuple[Host, int], Target], manners: Manners = USUAL
) -> Iterator[OutboundView]:
    """Yields the listeners on a sidecar's loopback ports: one for each service port, and the forward proxy."""
    if instance.http_proxy:
        yield OutboundView(
            instance.address,
            instance.http_proxy,
            Protocol.HTTP,
            names.HTTP_PROXY,
            bound=True,
            forward_proxy=True,
            manners=manners,
        )
    for host, number, local in instance.outbound:
        target = targets.get((host, number))
        if target is None:  # the service is gone, the node has not heard of it yet
            continue
        route = names.service_route(host, number)
        yield _alone(instance.address, local, target, route, manners, bound=True)
