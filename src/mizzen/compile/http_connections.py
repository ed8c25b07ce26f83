"""HTTP connection managers: how a listener speaks HTTP. Istio's conventions (2.8, 2.22) on a stock Envoy."""

from __future__ import annotations

from typing import NamedTuple

from mizzen.compile import names, rate_limits, retries
from mizzen.compile.elsewhere import allow_any
from mizzen.compile.locations import forward_proxy_dns
from mizzen.compile.protos import ads, duration
from mizzen.compile.resource import pack
from mizzen.compile.route_actions import timeouts
from mizzen.compile.route_filters import cors_filter, fault_filter
from mizzen.compile.seats import ALONE, Seat
from mizzen.mesh.model import InboundPort, MeshConfig
from mizzen.resources.mesh_config import Normalization
from mizzen.resources.protocols import Protocol
from mizzen.resources.virtual_service import HTTPRetry
from mizzen.stubs.envoy.config.core.v3.base_pb2 import HeaderValue, HeaderValueOption
from mizzen.stubs.envoy.config.listener.v3.listener_components_pb2 import Filter
from mizzen.stubs.envoy.config.route.v3.route_components_pb2 import Route, RouteMatch, VirtualHost
from mizzen.stubs.envoy.config.route.v3.route_pb2 import RouteConfiguration
from mizzen.stubs.envoy.extensions.filters.http.dynamic_forward_proxy.v3.dynamic_forward_proxy_pb2 import (
    FilterConfig as ForwardProxyFilter,
)
from mizzen.stubs.envoy.extensions.filters.http.grpc_web.v3.grpc_web_pb2 import GrpcWeb
from mizzen.stubs.envoy.extensions.filters.http.router.v3.router_pb2 import Router
from mizzen.stubs.envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
    HttpFilter,
    ResponseMapper,
)


class Manners(NamedTuple):
    """How all connection managers of a proxy treat requests: how paths are normalized, and what of ``inbound`` ones is tried
    again (MeshConfig), and whether those of HTTP/1.0 are taken (ProxyConfig). It is part of their listeners, so connections are
    drained when it changes.
    """

    normalization: Normalization = "BASE"
    inbound: HTTPRetry | None = None
    http10: bool = False


USUAL = Manners()


def manners_of(mesh: MeshConfig | None, *, http10: bool = False) -> Manners:
    usual = Manners(mesh.spec.normalization, mesh.spec.default_inbound_http_retry_policy) if mesh else USUAL
    return usual._replace(http10=http10)


def outbound(route: str, manners: Manners, *, forward_proxy: bool = False) -> Filter:
    """Builds the connection manager of an outbound listener; its routes come by RDS under the name ``route``."""
    manager = _defaults(f"outbound_{route};", manners)
    manager.rds.route_config_name = route
    manager.rds.config_source.CopyFrom(ads())
    # Istio's order (2.12). What a fault answers never comes to the router, so it is not tried again.
    manager.http_filters.extend([fault_filter(), cors_filter()])
    if forward_proxy:
        manager.http_protocol_options.allow_absolute_url.value = True
        resolve = ForwardProxyFilter(dns_cache_config=forward_proxy_dns())
        manager.http_filters.append(
            HttpFilter(name="envoy.filters.http.dynamic_forward_proxy", typed_config=pack(resolve))
        )
    manager.http_filters.append(_router())
    return _filter(manager)


def elsewhere(cluster: str, manners: Manners) -> Filter:
    """Builds the connection manager for requests on connections that are for no known service: all go to one cluster."""
    manager = _defaults(f"outbound_{cluster};", manners)
    manager.route_config.name = cluster
    manager.route_config.virtual_hosts.append(allow_any(cluster))
    manager.route_config.validate_clusters.value = False
    manager.route_config.response_headers_to_remove.append(retries.UNDELIVERED_HEADER)
    manager.http_filters.append(_router())
    return _filter(manager)


def gateway(route: str, manners: Manners, *, grpc_web: bool = False) -> Filter:
    """Builds the connection manager of a gateway: whoever calls is outside the mesh, and not believed (Istio 2.22).

    ``grpc_web`` says that what browsers say in gRPC-Web becomes gRPC.
    """
    manager = _defaults(f"outbound_{route};", manners)
    manager.rds.route_config_name = route
    manager.rds.config_source.CopyFrom(ads())
    manager.use_remote_address.value = True
    manager.server_name = "istio-envoy"
    manager.forward_client_cert_details = HttpConnectionManager.SANITIZE_SET
    _tell_all(manager)
    manager.http_filters.extend([fault_filter(), cors_filter()])
    if grpc_web:
        manager.http_filters.append(_grpc_web())
    manager.http_filters.extend([*rate_limits.slots(rate_limits.place_of()), _router()])
    return _filter(manager)


def _tell_all(manager: HttpConnectionManager) -> None:
    """Has the application told all of a client's certificate that Istio tells."""
    details = manager.set_current_client_cert_details
    details.subject.value = True
    details.dns = True
    details.uri = True


def inbound(port: InboundPort, manners: Manners, seat: Seat = ALONE, *, inside: bool = False) -> Filter:
    """Builds the connection manager before an application; it tells the application who calls (XFCC).

    ``inside`` is for callers whose side is in the same proxy: it has told already.
    """
    cluster = seat.named(names.inbound_cluster(port.number))
    manager = _defaults(f"{cluster};", manners)
    manager.server_name = "istio-envoy"
    if inside:
        manager.forward_client_cert_details = HttpConnectionManager.ALWAYS_FORWARD_ONLY
    else:
        manager.forward_client_cert_details = HttpConnectionManager.APPEND_FORWARD
        _tell_all(manager)
    manager.local_reply_config.mappers.append(_undelivered())
    manager.route_config.CopyFrom(_inbound_routes(cluster, port, manners.inbound))
    if port.protocol is Protocol.GRPC_WEB:
        manager.http_filters.append(_grpc_web())
    manager.http_filters.extend([*rate_limits.slots(rate_limits.place_of(port.number), seat), _router()])
    return _filter(manager)


def _undelivered() -> ResponseMapper:
    """Marks the answer that stands in for an application which takes no connections: the caller's proxy may try another."""
    mapper = ResponseMapper()
    mapper.filter.response_flag_filter.flags.append("UF")
    header = HeaderValue(key=retries.UNDELIVERED_HEADER, value=retries.UNDELIVERED)
    mapper.headers_to_add.add(header=header, append_action=HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD)
    return mapper


def _inbound_routes(cluster: str, port: InboundPort, given: HTTPRetry | None) -> RouteConfiguration:
    route = Route(name="default", match=RouteMatch(prefix="/"))
    route.route.cluster = cluster
    timeouts(route.route, None)
    grpc = port.protocol in {Protocol.GRPC, Protocol.GRPC_WEB}
    if not grpc and (policy := retries.inbound_retries(given)):
        route.route.retry_policy.CopyFrom(policy)
    route.decorator.operation = f"{port.host or '*'}:{port.service_port or port.number}/*"
    host = VirtualHost(name=f"inbound|http|{port.service_port or port.number}", domains=["*"], routes=[route])
    config = RouteConfiguration(name=cluster, virtual_hosts=[host])
    config.validate_clusters.value = False
    # It is this proxy's word: an application with it would have callers repeat what it has acted on.
    config.response_headers_to_remove.append(retries.UNDELIVERED_HEADER)
    return config


def _defaults(prefix: str, manners: Manners) -> HttpConnectionManager:
    manager = HttpConnectionManager(stat_prefix=prefix, codec_type=HttpConnectionManager.AUTO)
    manager.use_remote_address.value = False
    _normalize(manager, manners.normalization)
    if manners.http10:
        manager.http_protocol_options.accept_http_10 = True
    # A stream may be silent for as long as its two ends agree on (Istio 2.8).
    manager.stream_idle_timeout.CopyFrom(duration(0))
    manager.upgrade_configs.add(upgrade_type="websocket")
    # A WebSocket that comes over HTTP/2 is an extended CONNECT (RFC 8441). Where that is not allowed Envoy ends the
    # connection, and with it all other requests that are on it.
    manager.http2_protocol_options.allow_connect = True
    return manager


def _grpc_web() -> HttpFilter:
    """Translates between gRPC-Web and gRPC, and leaves other requests as they are."""
    return HttpFilter(name="envoy.filters.http.grpc_web", typed_config=pack(GrpcWeb()))


def _normalize(manager: HttpConnectionManager, normalization: Normalization) -> None:
    manager.normalize_path.value = normalization != "NONE"
    manager.merge_slashes = normalization in ("MERGE_SLASHES", "DECODE_AND_MERGE_SLASHES")
    if normalization == "DECODE_AND_MERGE_SLASHES":
        manager.path_with_escaped_slashes_action = HttpConnectionManager.UNESCAPE_AND_FORWARD


def _router() -> HttpFilter:
    return HttpFilter(name="envoy.filters.http.router", typed_config=pack(Router()))


def _filter(manager: HttpConnectionManager) -> Filter:
    return Filter(name="envoy.filters.network.http_connection_manager", typed_config=pack(manager))
