"""Ports on which a Sidecar has an egress listener: their routes, and the listeners that no service has an address for.

Such a port is a scope by itself (:class:`mizzen.mesh.scope.PortScope`). Where its listener is called at the addresses of
services it is one of those that services have anyway; where it has an address of its own, or opens a socket, it is made here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from mizzen.compile import names
from mizzen.compile.http_connections import Manners
from mizzen.compile.listeners import ANY_ADDRESS, OutboundView
from mizzen.compile.route_views import RouteViews
from mizzen.compile.routes import RoutesView, Source
from mizzen.compile.seats import Seat
from mizzen.compile.tcp_routes import TcpRoutes
from mizzen.mesh.model import Capture, Host, Service
from mizzen.mesh.scope import PortScope, Scope, ScopedService
from mizzen.resources.protocols import Protocol

_LOOPBACK = "127.0.0.1"


class PortEgress:
    """One such port, at one seat; ``before`` is what was made of a scope that differs in VirtualServices alone."""

    def __init__(self, port: PortScope, seat: Seat, before: PortEgress | None = None) -> None:
        self.port = port
        if before and before.port is port:
            self.scope: Scope = before.scope
        else:
            self.scope = port.scope if port.forward_proxy else _spoken(port.scope, port.protocol)
        self.views: RouteViews = RouteViews(self.scope, seat, before.views if before else None)
        self.tcp: TcpRoutes = (
            before.tcp.rerouted(self.scope, self.views.rerouted)
            if before
            else TcpRoutes(self.scope, self.views.ports, seat)
        )
        self._seat = seat

    @property
    def at_services(self) -> bool:
        """Whether it is called where services are."""
        return not (self.port.forward_proxy or self.port.bind or self.port.bound)

    @property
    def services(self) -> tuple[ScopedService, ...]:
        """The services that may be called there."""
        return self.scope.services

    @property
    def _reads(self) -> bool:
        return self.port.forward_proxy or self.port.protocol.is_http

    def routes(self, source: Source) -> Iterator[RoutesView]:
        """Yields the routes of requests there, if there are services for any."""
        if not self.scope.services:
            return
        if self.port.forward_proxy:
            yield self.views.of_forward_proxy(source, str(self.port.number))
        elif self.port.protocol.is_http:
            yield self.views.of_port(self.port.number, source)

    def listener(self, capture: Capture, manners: Manners) -> OutboundView | None:
        """Returns the listener, if it is none of those that services have.

        Where nothing is redirected, one with an address of its own can but open a socket there. It is then on the host, which
        it shares with others.
        """
        if self.at_services or not self.scope.services or self.port.number in names.RESERVED_PORTS:
            return None
        explicit = capture is Capture.EXPLICIT
        bound = self.port.bound or explicit
        return OutboundView(
            self.port.bind or (_LOOPBACK if bound else ANY_ADDRESS),
            self.port.number,
            Protocol.HTTP if self.port.forward_proxy else self.port.protocol,
            self._seat.named(str(self.port.number) if self._reads else self._first()),
            bound=bound,
            forward_proxy=self.port.forward_proxy and explicit,
            origins=(self.port.origin,),
            exclusive=bound and explicit,
            seat=self._seat,
            manners=manners,
        )

    def _first(self) -> str:
        """Bytes do not say which service they are for: the first has them, and others are warned of when they are written."""
        return names.service_route(self.scope.services[0].service.host, self.port.number)


def port_egresses(scope: Scope, seat: Seat, before: Iterable[PortEgress] = ()) -> tuple[PortEgress, ...]:
    """Returns the ports of a scope, made from those of one that differs in VirtualServices alone, if that is given."""
    earlier = {one.port.number: one for one in before}
    return tuple(PortEgress(one, seat, earlier.get(one.number)) for one in scope.ports)


def _spoken(scope: Scope, protocol: Protocol) -> Scope:
    """Returns a scope in which services speak what the listener says, towards their clients."""
    services = tuple(_speaking(one, protocol) for one in scope.services)
    return replace(scope, services=services)


def _speaking(scoped: ScopedService, protocol: Protocol) -> ScopedService:
    service: Service = scoped.service
    if all(port.protocol is protocol for port in service.ports):
        return scoped
    ports = tuple(replace(port, protocol=protocol) for port in service.ports)
    return replace(scoped, service=replace(service, ports=ports))


def on_port(egresses: Iterable[PortEgress], main: RouteViews, called: tuple[Host, int]) -> RouteViews | None:
    """Returns the views in which a port of a service is, None if it may not be called at the service's own place."""
    for one in egresses:
        if one.port.number == called[1]:
            return one.views if one.at_services else None
    return main
