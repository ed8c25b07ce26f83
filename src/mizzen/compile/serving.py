"""How a workload's own ports are served: its service's rules, and its Sidecar's."""

from __future__ import annotations

from mizzen.mesh.model import InboundPort, Sidecar
from mizzen.resources.destination_rule import ConnectionPoolSettings, TrafficPolicy


def pool_of(port: InboundPort, policy: TrafficPolicy | None, sidecar: Sidecar | None) -> ConnectionPoolSettings | None:
    """Returns the limits of a port: those of the Sidecar's listener for it, of the whole Sidecar, or of the policy that the
    service's own DestinationRules have for the port (Istio 2.4).
    """
    if sidecar:
        own = next((one for one in sidecar.spec.ingress if one.port and one.port.number == port.number), None)
        if pool := (own and own.connection_pool) or sidecar.spec.inbound_connection_pool:
            return pool
    return policy.connection_pool if policy else None


def says_how_served(sidecar: Sidecar | None) -> Sidecar | None:
    """Returns a Sidecar if it says anything of how workloads are served."""
    return sidecar if sidecar and (sidecar.spec.ingress or sidecar.spec.inbound_connection_pool) else None


def is_socket(address: str) -> bool:
    """Tells whether an address is the path of a Unix socket, or the name of an abstract one."""
    return address.startswith(("/", "@"))
