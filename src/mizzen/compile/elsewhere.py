"""The two clusters for what is for no service: where the application wanted to go, and nowhere."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from mizzen.compile import locations, names, pools
from mizzen.compile.protos import duration
from mizzen.compile.resource import XdsResource, encode, pack
from mizzen.compile.seats import ALONE, Seat
from mizzen.mesh.model import Capture, MeshConfig
from mizzen.stubs.envoy.config.cluster.v3.cluster_pb2 import Cluster
from mizzen.stubs.envoy.extensions.upstreams.http.v3.http_protocol_options_pb2 import HttpProtocolOptions

_PASSTHROUGH_IDLE_TIMEOUT = 300.0


@lru_cache(maxsize=1)
def build_black_hole() -> XdsResource:
    """Builds the cluster for what must go nowhere."""
    cluster = Cluster(name=names.BLACK_HOLE, type=Cluster.STATIC, connect_timeout=duration(pools.CONNECT_TIMEOUT))
    return encode(names.BLACK_HOLE, cluster)


@dataclass(frozen=True)
class PassthroughView:
    """Everything that the cluster for what the mesh does not know depends on."""

    capture: Capture
    seat: Seat = ALONE
    mesh_config: MeshConfig | None = None


def build_passthrough(view: PassthroughView) -> XdsResource:
    """Builds the cluster for what the mesh does not know: where the application wanted to go.

    Where capture is transparent that is the connection's original destination; a forward proxy has only the name in
    the request, and resolves it. The mesh says how long that may take (Istio 2.9).
    """
    name = view.seat.named(names.PASSTHROUGH)
    cluster = Cluster(name=name, connect_timeout=duration(pools.CONNECT_TIMEOUT))
    cluster.lb_policy = Cluster.CLUSTER_PROVIDED
    options = HttpProtocolOptions()
    if view.capture is Capture.TRANSPARENT:
        cluster.type = Cluster.ORIGINAL_DST
    else:
        locations.forward(cluster, insecure=False)
        options.upstream_http_protocol_options.auto_sni = True
        options.upstream_http_protocol_options.auto_san_validation = True
    if view.mesh_config:
        pools.apply_mesh(cluster, view.mesh_config.spec)
    pools.apply(cluster, None, pools.Codec.BYTES)
    options.common_http_protocol_options.idle_timeout.CopyFrom(duration(_PASSTHROUGH_IDLE_TIMEOUT))
    options.use_downstream_protocol_config.SetInParent()
    options.use_downstream_protocol_config.http2_protocol_options.SetInParent()
    cluster.typed_extension_protocol_options[pools.HTTP_OPTIONS].CopyFrom(pack(options))
    view.seat.open_inside(cluster)
    return encode(name, cluster, [view.mesh_config.key] if view.mesh_config else [])
