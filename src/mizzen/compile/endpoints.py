"""Endpoints: the ready addresses of one cluster. An endpoint that comes or goes re-makes one of these and nothing else.

They depend on where the caller is if a policy says so, and else are the same for all callers.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from mizzen.compile.localities import Group, Spread, grouped
from mizzen.compile.protos import metadata, socket_address, uint32
from mizzen.compile.resource import XdsResource, encode
from mizzen.compile.seats import inside_listener
from mizzen.mesh.model import Endpoint, Labels, selects
from mizzen.stubs.envoy.config.core.v3.health_check_pb2 import HealthStatus
from mizzen.stubs.envoy.config.endpoint.v3.endpoint_components_pb2 import LbEndpoint, LocalityLbEndpoints
from mizzen.stubs.envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment

NEIGHBOUR_METADATA = "mizzen.neighbour"


@dataclass(frozen=True)
class EndpointsView:
    """Everything that a load assignment depends on: the cluster's name and its endpoints, in order.

    ``neighbours`` are the instances among them that the caller's own proxy serves; ``caller`` is the identity that these
    are told. ``spread`` is what the caller prefers, if it prefers anything.
    """

    cluster: str
    endpoints: tuple[Endpoint, ...]
    neighbours: frozenset[str] = frozenset()
    caller: str = ""
    spread: Spread | None = None


def endpoints_view(
    cluster: str,
    endpoints: tuple[Endpoint, ...],
    labels: Labels,
    served: frozenset[str] = frozenset(),
    caller: str = "",
    spread: Spread | None = None,
) -> EndpointsView:
    """Returns the view of a subset: the endpoints that carry its labels. ``served`` is all that the proxy serves."""
    chosen = tuple(endpoint for endpoint in endpoints if selects(labels, endpoint.labels)) if labels else endpoints
    neighbours = frozenset(endpoint.instance for endpoint in chosen if endpoint.instance in served)
    return EndpointsView(cluster, chosen, neighbours, caller if neighbours else "", spread)


def from_host(endpoints: Iterable[Endpoint]) -> tuple[Endpoint, ...]:
    """Returns the endpoints as callers on the host find them: published ones in plaintext."""
    return tuple(one._replace(tls=False) if one.published else one for one in endpoints)


def build_endpoints(view: EndpointsView) -> XdsResource:
    """Builds the load assignment of a cluster, to be sent by itself."""
    return encode(view.cluster, load_assignment(view))


def load_assignment(view: EndpointsView) -> ClusterLoadAssignment:
    """Returns the endpoints of a cluster, by where they are."""
    assignment = ClusterLoadAssignment(cluster_name=view.cluster)
    assignment.endpoints.extend(_place(view, group) for group in grouped(view.endpoints, view.spread))
    return assignment


def _place(view: EndpointsView, group: Group) -> LocalityLbEndpoints:
    made = LocalityLbEndpoints(load_balancing_weight=uint32(group.weight), priority=group.priority)
    region, zone, subzone = group.locality
    made.locality.SetInParent()  # without it gRPC refuses the endpoints
    made.locality.region, made.locality.zone, made.locality.sub_zone = region, zone, subzone
    made.lb_endpoints.extend(
        _neighbour(endpoint, view.caller) if endpoint.instance in view.neighbours else _endpoint(endpoint)
        for endpoint in group.endpoints
    )
    return made


def _endpoint(endpoint: Endpoint) -> LbEndpoint:
    made = LbEndpoint(health_status=HealthStatus.HEALTHY, load_balancing_weight=uint32(endpoint.weight))
    made.endpoint.address.CopyFrom(socket_address(endpoint.address, endpoint.port))
    if endpoint.tls:
        # The cluster chooses mutual TLS for the endpoints that can, one by one (Istio's auto mTLS).
        made.metadata.CopyFrom(metadata(**{"envoy.transport_socket_match": {"tlsMode": "istio"}}))
    return made


def _neighbour(endpoint: Endpoint, caller: str) -> LbEndpoint:
    """Makes the endpoint of an instance that the caller's proxy serves as well: the way there is inside the proxy.

    There is no TLS to tell the application who calls, so the header that would say it (XFCC) is given here. And there may
    be no connection manager before the application, so what it says of its answers being undelivered is not believed.
    """
    made = LbEndpoint(health_status=HealthStatus.HEALTHY, load_balancing_weight=uint32(1))
    inside = made.endpoint.address.envoy_internal_address
    inside.server_listener_name = inside_listener(endpoint.instance, endpoint.port)
    made.metadata.CopyFrom(
        metadata(
            **{
                "envoy.transport_socket_match": {"tlsMode": "neighbour"},
                # Hashed as at proxies to which it is no neighbour, so that all of them choose the same endpoint.
                "envoy.lb": {"hash_key": f"{endpoint.address}:{endpoint.port}"},
                NEIGHBOUR_METADATA: {"xfcc": f"By={endpoint.identity};URI={caller}", "undelivered": "unknown"},
            }
        )
    )
    return made
