"""Where what is for no service goes: where the application wanted to go, to what a request's host means, or nowhere."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from mizzen.compile import locations, names, origination, pools
from mizzen.compile.protos import duration
from mizzen.compile.resource import XdsResource, encode, pack
from mizzen.compile.route_actions import timeouts
from mizzen.compile.seats import ALONE, Seat
from mizzen.mesh.model import Capture, MeshConfig
from mizzen.stubs.envoy.config.cluster.v3.cluster_pb2 import Cluster
from mizzen.stubs.envoy.config.route.v3.route_components_pb2 import Route, RouteMatch, VirtualHost
from mizzen.stubs.envoy.extensions.upstreams.http.v3.http_protocol_options_pb2 import HttpProtocolOptions

_IDLE_TIMEOUT = 300.0


def allow_any(cluster: str) -> VirtualHost:
    """Builds the virtual host for requests to hosts that no service has, which all go to one cluster."""
    route = Route(name="allow_any", match=RouteMatch(prefix="/"))
    route.route.cluster = cluster
    timeouts(route.route, None)
    return VirtualHost(name="allow_any", domains=["*"], routes=[route], include_request_attempt_count=True)


@lru_cache(maxsize=1)
def build_black_hole() -> XdsResource:
    """Builds the cluster for what must go nowhere."""
    cluster = Cluster(name=names.BLACK_HOLE, type=Cluster.STATIC, connect_timeout=duration(pools.CONNECT_TIMEOUT))
    return encode(names.BLACK_HOLE, cluster)


@dataclass(frozen=True)
class PassthroughView:
    """Everything that the clusters for what the mesh does not know depend on."""

    capture: Capture
    seat: Seat = ALONE
    mesh_config: MeshConfig | None = None


def build_passthrough(view: PassthroughView) -> XdsResource:
    """Builds the cluster for what the mesh does not know: where the application wanted to go.

    Where capture is transparent that is the connection's original destination; a forward proxy has only the name in
    the request, and resolves it. The mesh says how long that may take (Istio 2.9).
    """
    cluster = _cluster(view.seat.named(names.PASSTHROUGH))
    options = HttpProtocolOptions()
    if view.capture is Capture.TRANSPARENT:
        cluster.type = Cluster.ORIGINAL_DST
    else:
        locations.forward(cluster, insecure=False)
        options.upstream_http_protocol_options.auto_sni = True
        options.upstream_http_protocol_options.auto_san_validation = True
    _set_connections(cluster, view.mesh_config, options)
    return _encoded(cluster, view)


def build_dynamic(view: PassthroughView) -> XdsResource:
    """Builds the cluster for requests to hosts that the mesh does not know, wherever their clients sent them: to what the name in
    each means (ALLOW_ANY_DYNAMIC_DNS, Istio 1.10), in plaintext unless the mesh says otherwise.
    """
    cluster = _cluster(view.seat.named(names.DYNAMIC_DNS))
    locations.forward(cluster, insecure=True)  # origination.py says what is checked
    _set_connections(cluster, view.mesh_config, HttpProtocolOptions())
    given = view.mesh_config.spec.outward_tls if view.mesh_config else None
    if given and given.mode in origination.MODES:
        origination.apply(cluster, given, "", (), pools.Codec.CLIENTS, fixed=False, seat=view.seat)
    return _encoded(cluster, view)


def _cluster(name: str) -> Cluster:
    return Cluster(name=name, connect_timeout=duration(pools.CONNECT_TIMEOUT), lb_policy=Cluster.CLUSTER_PROVIDED)


def _set_connections(cluster: Cluster, mesh: MeshConfig | None, options: HttpProtocolOptions) -> None:
    """Sets what the mesh says of connections, and completes the ``options`` of HTTP: they speak what their clients speak."""
    if mesh:
        pools.apply_mesh(cluster, mesh.spec)
    default = mesh.spec.default_traffic_policy if mesh else None
    pools.apply(cluster, default.connection_pool if default else None, pools.Codec.CLIENTS)
    pooled = HttpProtocolOptions()
    cluster.typed_extension_protocol_options[pools.HTTP_OPTIONS].Unpack(pooled)
    options.MergeFrom(pooled)
    if not options.common_http_protocol_options.HasField("idle_timeout"):
        options.common_http_protocol_options.idle_timeout.CopyFrom(duration(_IDLE_TIMEOUT))
    cluster.typed_extension_protocol_options[pools.HTTP_OPTIONS].CopyFrom(pack(options))


def _encoded(cluster: Cluster, view: PassthroughView) -> XdsResource:
    view.seat.open_inside(cluster)
    return encode(cluster.name, cluster, [view.mesh_config.key] if view.mesh_config else [])
