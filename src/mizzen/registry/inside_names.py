"""ServiceEntries whose names are those of Services: there is nothing to look up, for the mesh knows who is behind them. Pure.

In Kubernetes a proxy would get a Service's address from the cluster's DNS, and the kernel would choose who is behind it. Here the
proxy is told the Service's endpoints, on the port that the entry leads to.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from mizzen.mesh.localities import UNPLACED
from mizzen.mesh.model import Endpoint, Host, Resolution, Service, ServiceId
from mizzen.resources.hosts import comparable, is_ip_address


class InsideNames:
    """The Services of a mesh, by which names in ServiceEntries are known."""

    def __init__(self, services: Iterable[Service]) -> None:
        self._services: dict[Host, Service] = {one.host: one for one in services}

    def told(self, entries: Mapping[ServiceId, Service]) -> dict[ServiceId, Service]:
        """Returns the services of ServiceEntries: those whose names are all known here are not looked up.

        An entry of which only some names are known stays as it is; those are then looked up in vain.
        """
        return {name: self._told(one) if self._knows(one) else one for name, one in entries.items()}

    def endpoints(
        self, entries: Mapping[ServiceId, Service], ready: Mapping[tuple[ServiceId, int], tuple[Endpoint, ...]]
    ) -> dict[tuple[ServiceId, int], tuple[Endpoint, ...]]:
        """Returns the endpoints of those, by service and port; ``ready`` are the endpoints of Services."""
        return {
            (name, port.number): tuple(sorted(self._behind(one, port.number, ready)))
            for name, one in entries.items()
            if self._knows(one)
            for port in one.ports
        }

    def _knows(self, entry: Service) -> bool:
        named = {comparable(one.address) for _, one in entry.named if not is_ip_address(one.address)}
        return bool(named) and named <= self._services.keys()

    def _told(self, entry: Service) -> Service:
        found = (self._services.get(comparable(one.address)) for _, one in entry.named)
        inside = [one for one in found if one]
        identities = () if entry.external else {*entry.identities, *(it for one in inside for it in one.identities)}
        return replace(entry, resolution=Resolution.TOLD, named=(), identities=tuple(sorted(identities)))

    def _behind(
        self, entry: Service, port: int, ready: Mapping[tuple[ServiceId, int], tuple[Endpoint, ...]]
    ) -> Iterable[Endpoint]:
        for written in (one for number, one in entry.named if number == port):
            service = self._services.get(comparable(written.address))
            if service is None:
                yield written
                continue
            for one in ready.get((service.id, written.port), ()):
                place = one.locality if written.locality == UNPLACED else written.locality
                yield one._replace(labels=written.labels or one.labels, weight=written.weight, locality=place)
