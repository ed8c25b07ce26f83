"""Who has which host: Services, and ServiceEntries in the form of one; a part of :mod:`mizzen.resources.references`. Pure.

A namespace may have a service of its own by a host that is another's elsewhere. Which one counts where several are seen is as
in :func:`mizzen.registry.services.in_order`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from mizzen.resources.hosts import resolve
from mizzen.resources.resource import Resource
from mizzen.resources.service import ServiceSpec, exported_to
from mizzen.resources.visibility import is_private, seen_by, visibility


class Owners:
    """The owners of hosts; ``services`` are the Services by host."""

    def __init__(self) -> None:
        self.services: dict[str, Resource[ServiceSpec]] = {}
        self._entries: dict[str, list[Resource[ServiceSpec]]] = {}

    def add_service(self, service: Resource[ServiceSpec]) -> None:
        self.services[resolve(service.name, service.namespace)] = service

    def add_entry(self, made: Mapping[str, Resource[ServiceSpec]]) -> None:
        """Adds the services of a ServiceEntry, by host."""
        for host, service in made.items():
            self._entries.setdefault(host, []).append(service)

    @property
    def outside(self) -> Collection[str]:
        """The hosts of ServiceEntries."""
        return self._entries.keys()

    def of(self, host: str, client: str | None) -> Resource[ServiceSpec] | None:
        """Returns the owner of a host as the namespace ``client`` sees it, or, without one, as most do.

        Of several that is the first that it sees, or, if it sees none of them, the first.
        """
        service, entries = self.services.get(host), self._entries.get(host, [])
        if not entries:
            return service
        own = [service] if service else []
        ordered = [*own, *sorted(entries, key=lambda one: (not _is_own(one), one.age))]
        return next((one for one in ordered if client and sees(client, one)), ordered[0])

    def every(self, client: str | None) -> dict[str, Resource[ServiceSpec]]:
        """Returns the owners of all hosts, as a namespace sees them."""
        found = ((host, self.of(host, client)) for host in self._entries.keys() | self.services.keys())
        return {host: owner for host, owner in found if owner}


def viewers(service: Resource[ServiceSpec]) -> frozenset[str] | None:
    """Returns the namespaces that see a Service, or a ServiceEntry in the form of one; None stands for all."""
    return seen_by(exported_to(service.annotations), service.namespace)


def sees(client: str, service: Resource[ServiceSpec]) -> bool:
    return visibility(exported_to(service.annotations), service.namespace, client) is not None


def _is_own(service: Resource[ServiceSpec]) -> bool:
    return is_private(exported_to(service.annotations), service.namespace)
