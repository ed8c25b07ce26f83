"""The PROXY protocol: tells a server, before anything else, from which address its client came (Istio 1.2)."""

from __future__ import annotations

from mizzen.compile import tls
from mizzen.compile.resource import pack
from mizzen.resources.destination_rule import ProxyProtocol
from mizzen.stubs.envoy.config.cluster.v3.cluster_pb2 import Cluster
from mizzen.stubs.envoy.config.core.v3.base_pb2 import TransportSocket
from mizzen.stubs.envoy.config.core.v3.proxy_protocol_pb2 import ProxyProtocolConfig
from mizzen.stubs.envoy.extensions.transport_sockets.proxy_protocol.v3.upstream_proxy_protocol_pb2 import (
    ProxyProtocolUpstreamTransport,
)

_VERSIONS = {"V1": ProxyProtocolConfig.V1, "V2": ProxyProtocolConfig.V2}


def apply(cluster: Cluster, given: ProxyProtocol | None) -> None:
    """Has the cluster's connections begin with the header. Where there is TLS, which is set already, it goes first."""
    if given is None:
        return
    if not cluster.transport_socket_matches:
        inner = cluster.transport_socket if cluster.HasField("transport_socket") else tls.plaintext()
        cluster.transport_socket.CopyFrom(_wrapped(inner, given))
    for match in cluster.transport_socket_matches:
        if match.name != tls.NEIGHBOUR:  # there is no server: the way is inside the proxy
            match.transport_socket.CopyFrom(_wrapped(match.transport_socket, given))


def _wrapped(inner: TransportSocket, given: ProxyProtocol) -> TransportSocket:
    outer = ProxyProtocolUpstreamTransport(
        config=ProxyProtocolConfig(version=_VERSIONS[given.version]), transport_socket=inner
    )
    return TransportSocket(name="envoy.transport_sockets.upstream_proxy_protocol", typed_config=pack(outer))
