"""Which service a host means to whom: a host may have one owner in a namespace, and another one elsewhere."""

from __future__ import annotations

from collections.abc import Mapping

from mizzen.mesh.model import Host, Service, Snapshot
from mizzen.resources.visibility import visibility


def seen_services(snapshot: Snapshot, namespace: str) -> Mapping[Host, Service]:
    """Returns the services that a namespace sees, sorted by host."""
    found: dict[Host, Service] = {}
    for service in snapshot.services.values():
        if visibility(service.export_to, service.namespace, namespace) is not None:
            found.setdefault(service.host, service)
    return found
