"""Which cluster a destination means."""

from __future__ import annotations

from collections.abc import Mapping

from mizzen.compile import names
from mizzen.compile.seats import Seat
from mizzen.mesh.model import Host, VirtualService
from mizzen.mesh.scope import Scope
from mizzen.resources.hosts import resolve
from mizzen.resources.virtual_service import Destination


def called_at(
    destination: Destination, rule: VirtualService, called: int, ports: Mapping[Host, tuple[int, ...]]
) -> tuple[Host, int]:
    """Returns the host and the port of a destination; ``called`` and ``ports`` are as for :func:`cluster_of`."""
    host = resolve(destination.host, rule.namespace)
    known = ports.get(host, ())
    # Stated, or the only one that the service has, or the one that the client called (Istio 2.3).
    return host, destination.port.number if destination.port else known[0] if len(known) == 1 else called


def cluster_of(
    destination: Destination | None,
    rule: VirtualService,
    called: int,
    ports: Mapping[Host, tuple[int, ...]],
    seat: Seat,
) -> str:
    """Returns the name of a destination's cluster; ``called`` is the port that clients call, ``ports`` those of services."""
    if destination is None:  # refused when it was written
        raise ValueError(f"{rule.key}: a route has no destination")
    host, port = called_at(destination, rule, called, ports)
    return seat.named(names.outbound_cluster(port, destination.subset, host))


def requests_elsewhere(scope: Scope, seat: Seat) -> str:
    """Returns the cluster for requests that are for no known service, where that is allowed."""
    return seat.named(names.DYNAMIC_DNS) if scope.looks_up_hosts else elsewhere_cluster(scope, seat)


def elsewhere_cluster(scope: Scope, seat: Seat) -> str:
    """Returns the cluster for what is for no known service, where that is allowed."""
    if scope.elsewhere is None:
        return seat.named(names.PASSTHROUGH)
    return seat.named(names.outbound_cluster(scope.elsewhere.port, scope.elsewhere.subset, scope.elsewhere.host))
