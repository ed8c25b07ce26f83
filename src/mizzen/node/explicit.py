"""Explicit capture: every instance on loopback, each with ports of its own, on any system and without root.

The application is told where its proxy is (environment.py): by a local port for each service, and by ``http_proxy``.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import structlog

from mizzen.node.capturing import CaptureError, DeclaredPort, Place
from mizzen.node.ports import LOOPBACK, NoFreePortError, Ports
from mizzen.registry.reports import EgressNames, InstancePort, OutboundPort, ServiceName

log = structlog.get_logger(__name__)


@dataclass
class _Taken:
    """The ports of one place; ``outbound`` are those that lead to a port of a service."""

    all: list[int] = field(default_factory=list)
    outbound: dict[tuple[str, int], int] = field(default_factory=dict)


class ExplicitCapture:
    """See :class:`mizzen.node.capturing.Capture`."""

    def __init__(self, ports: Ports | None = None) -> None:
        self._ports = ports or Ports()
        self._services: tuple[ServiceName, ...] = ()
        self._places: dict[tuple[str, str], _Taken] = {}

    @property
    def mode(self) -> str:
        return "explicit"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._places.clear()
        self._ports.close()

    @property
    def host_address(self) -> str:
        return LOOPBACK

    @property
    def network(self) -> str:
        return ""

    async def admit(self, networks: Collection[str]) -> None:
        """Does nothing: nobody reaches the loopback of another network namespace."""

    async def open(self, namespace: str, instance: str, ports: Sequence[DeclaredPort]) -> Place:
        taken = self._places[namespace, instance] = _Taken()
        declared = tuple(
            InstancePort(number=port.number, name=port.name, application=self._take(taken), inbound=self._take(taken))
            for port in ports
        )
        return Place(
            namespace=namespace,
            instance=instance,
            capture=self.mode,
            address=LOOPBACK,
            ports=declared,
            http_proxy=self._take(taken),
        )

    async def reopen(self, place: Place, outbound: Sequence[OutboundPort]) -> Place:
        """Makes a place again that this mesh's earlier node had made; raises :class:`CaptureError` where others have its
        ports by now. ``outbound`` are the ports that its application calls services by.
        """
        local = {(one.host, one.port): one.local for one in outbound}
        taken = self._places[place.namespace, place.instance] = _Taken(outbound=local)
        own = [number for port in place.ports for number in (port.application, port.inbound)]
        for port in (*own, *local.values(), place.http_proxy):
            if not self._ports.take_back(port):
                await self.close(place)
                raise CaptureError(f"port {port} of {place.instance} has gone to another process")
            taken.all.append(port)
        return place

    async def close(self, place: Place) -> None:
        taken = self._places.pop((place.namespace, place.instance), _Taken())
        for port in taken.all:
            self._ports.give_back(port)

    def update(self, services: Sequence[ServiceName], egress: Sequence[EgressNames] = ()) -> None:  # noqa: ARG002
        """Takes the services; a proxy takes nothing on the ports of those that its Sidecar hides."""
        self._services = tuple(services)

    def outbound(self, place: Place) -> tuple[OutboundPort, ...]:
        taken = self._places[place.namespace, place.instance]
        # Two namespaces may mean different services by one host: who calls says which.
        wanted = list(dict.fromkeys((service.host, port) for service in self._services for port in service.ports))
        for key in wanted:
            if key not in taken.outbound:
                try:
                    taken.outbound[key] = self._take(taken)
                except CaptureError as error:
                    log.error("a service has no local port", instance=place.instance, service=key, error=str(error))  # noqa: TRY400
                    break
        return tuple(
            OutboundPort(host=host, port=port, local=taken.outbound[host, port])
            for host, port in wanted
            if (host, port) in taken.outbound
        )

    def _take(self, taken: _Taken) -> int:
        try:
            port = self._ports.take()
        except NoFreePortError as error:
            raise CaptureError(f"{error}: stop what uses them (`mizzen down`, `ss -ltn`)") from error
        taken.all.append(port)
        return port
