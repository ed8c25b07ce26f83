"""Endpoints: the ready addresses of one cluster. An endpoint that comes or goes re-makes one of these and nothing else."""

from __future__ import annotations

from dataclasses import dataclass

from mizzen.compile.protos import metadata, socket_address, uint32
from mizzen.compile.resource import XdsResource, encode
from mizzen.mesh.model import Endpoint, Labels, selects
from mizzen.stubs.envoy.config.core.v3.health_check_pb2 import HealthStatus
from mizzen.stubs.envoy.config.endpoint.v3.endpoint_components_pb2 import LbEndpoint, LocalityLbEndpoints
from mizzen.stubs.envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment


@dataclass(frozen=True)
class EndpointsView:
    """Everything that a load assignment depends on: the cluster's name and its endpoints, in order."""

    cluster: str
    endpoints: tuple[Endpoint, ...]


def endpoints_view(cluster: str, endpoints: tuple[Endpoint, ...], labels: Labels) -> EndpointsView:
    """Returns the view of a subset: the endpoints that carry its labels."""
    chosen = tuple(endpoint for endpoint in endpoints if selects(labels, endpoint.labels)) if labels else endpoints
    return EndpointsView(cluster, chosen)


def build_endpoints(view: EndpointsView) -> XdsResource:
    """Builds the load assignment of a cluster; all endpoints are in one locality."""
    assignment = ClusterLoadAssignment(cluster_name=view.cluster)
    if view.endpoints:
        locality = LocalityLbEndpoints(load_balancing_weight=uint32(len(view.endpoints)))
        locality.locality.SetInParent()  # without it gRPC refuses the endpoints
        locality.lb_endpoints.extend(_endpoint(endpoint) for endpoint in view.endpoints)
        assignment.endpoints.append(locality)
    return encode(view.cluster, assignment)


def _endpoint(endpoint: Endpoint) -> LbEndpoint:
    made = LbEndpoint(health_status=HealthStatus.HEALTHY, load_balancing_weight=uint32(1))
    made.endpoint.address.CopyFrom(socket_address(endpoint.address, endpoint.port))
    if endpoint.tls:
        # The cluster chooses mutual TLS for the endpoints that can, one by one (Istio's auto mTLS).
        made.metadata.CopyFrom(metadata(**{"envoy.transport_socket_match": {"tlsMode": "istio"}}))
    return made
