"""Connection pools: the limits, timeouts and HTTP options of a cluster (Istio's ConnectionPoolSettings, 1.2)."""

from __future__ import annotations

import enum
from collections.abc import Iterator

from google.protobuf.wrappers_pb2 import UInt32Value

from mizzen.compile import hashing
from mizzen.compile.endpoints import NEIGHBOUR_METADATA
from mizzen.compile.protos import duration, uint32
from mizzen.compile.resource import pack
from mizzen.compile.retries import UNDELIVERED_HEADER
from mizzen.resources.destination_rule import (
    ConnectionPoolSettings,
    ConsistentHashLB,
    RetryBudget,
    TcpKeepalive,
    TrafficPolicy,
)
from mizzen.resources.mesh_config import MeshConfigSpec
from mizzen.resources.protocols import Protocol
from mizzen.stubs.envoy.config.cluster.v3.circuit_breaker_pb2 import CircuitBreakers
from mizzen.stubs.envoy.config.cluster.v3.cluster_pb2 import Cluster
from mizzen.stubs.envoy.config.common.matcher.v3.matcher_pb2 import MatchPredicate
from mizzen.stubs.envoy.config.core.v3.base_pb2 import HeaderValue, HeaderValueOption
from mizzen.stubs.envoy.config.core.v3.protocol_pb2 import Http2ProtocolOptions
from mizzen.stubs.envoy.extensions.filters.http.header_mutation.v3.header_mutation_pb2 import HeaderMutation
from mizzen.stubs.envoy.extensions.filters.http.upstream_codec.v3.upstream_codec_pb2 import UpstreamCodec
from mizzen.stubs.envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpFilter,
)
from mizzen.stubs.envoy.extensions.upstreams.http.v3.http_protocol_options_pb2 import HttpProtocolOptions

CONNECT_TIMEOUT = 10.0
HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_NO_LIMIT = 2**32 - 1
_MOST_STREAMS = 2**31 - 1
# Envoy's defaults, and Istio's, for a budget that somebody has written.
_BUDGET_PERCENT = 20.0
_LEAST_RETRIES = 3
# Where nobody has: what is not delivered at a change of the mesh is tried again, too, and fails at once, so that nothing is
# under way for it to be a share of. At 25 to 75 ms from try to try this is enough for some 700 requests per second.
_LEAST_UNASKED = 50


class Codec(enum.Enum):
    """What a cluster's connections speak: bytes that nobody reads, one of HTTP's versions, or what the client speaks."""

    BYTES = enum.auto()
    HTTP1 = enum.auto()
    HTTP2 = enum.auto()
    CLIENTS = enum.auto()


def outbound_codec(pool: ConnectionPoolSettings | None, protocol: Protocol, mesh: MeshConfigSpec) -> Codec:
    """Returns what one sidecar speaks to another."""
    own = pool.http.h2_upgrade_policy if pool and pool.http else "DEFAULT"
    upgraded = (mesh.h2_upgrade_policy if own == "DEFAULT" else own) == "UPGRADE"
    codec = inbound_codec(pool, protocol)
    return Codec.HTTP2 if upgraded and codec is Codec.HTTP1 else codec


def inbound_codec(pool: ConnectionPoolSettings | None, protocol: Protocol) -> Codec:
    """Returns what a sidecar speaks to its application: never an upgrade, for the port says what it understands."""
    if not protocol.may_be_http:
        return Codec.BYTES
    if protocol is Protocol.UNDECLARED or (pool and pool.http and pool.http.use_client_protocol):
        return Codec.CLIENTS
    return Codec.HTTP2 if protocol.is_http2 else Codec.HTTP1


def apply(
    cluster: Cluster,
    pool: ConnectionPoolSettings | None,
    codec: Codec,
    *,
    telling_caller: bool = False,
    hashed: ConsistentHashLB | None = None,
    budget: RetryBudget | None = None,
    failures: MatchPredicate | None = None,
) -> None:
    """Sets what of a connection pool a cluster obeys; without a pool there are no limits (Istio's default).

    ``telling_caller`` adds the header that says who calls (XFCC) for the endpoints that have it in their metadata, and
    takes their word that a request was undelivered from those that may not give it. ``hashed`` is what of a request
    chooses its endpoint. ``budget`` limits retries, unless the pool has a limit of its own. ``failures`` is which answers
    outlier detection takes for failed, if not those of 5xx.
    """
    _apply_limits(cluster, pool, budget)
    _apply_tcp(cluster, pool)
    if codec is not Codec.BYTES:
        options = _http_options(pool, codec)
        if telling_caller:
            options.http_filters.extend(_caller_filters())
        if failures:
            options.outlier_detection.error_matcher.CopyFrom(failures)
        if hashed:
            options.hash_policy.extend(hashing.of_requests(hashed))
        cluster.typed_extension_protocol_options[HTTP_OPTIONS].CopyFrom(pack(options))


def apply_mesh(cluster: Cluster, mesh: MeshConfigSpec) -> None:
    """Sets what the mesh has of TCP's options; of those for keep-alive a pool may replace each by itself, as in Istio."""
    apply_connect_timeout(cluster, mesh)
    if mesh.tcp_keepalive:
        _keep_alive(cluster, mesh.tcp_keepalive)


def apply_connect_timeout(cluster: Cluster, mesh: MeshConfigSpec) -> None:
    if mesh.connect_timeout is not None:
        cluster.connect_timeout.CopyFrom(duration(mesh.connect_timeout))


def _caller_filters() -> Iterator[HttpFilter]:
    """Yields filters that act when the endpoint is chosen: what it has in its metadata becomes headers, if it has any."""
    header = HeaderValue(key="x-forwarded-client-cert", value=f"%UPSTREAM_METADATA({NEIGHBOUR_METADATA}:xfcc)%")
    mutation = HeaderMutation()
    mutation.mutations.request_mutations.add(
        append=HeaderValueOption(header=header, append_action=HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD)
    )
    header = HeaderValue(key=UNDELIVERED_HEADER, value=f"%UPSTREAM_METADATA({NEIGHBOUR_METADATA}:undelivered)%")
    mutation.mutations.response_mutations.add(
        append=HeaderValueOption(header=header, append_action=HeaderValueOption.OVERWRITE_IF_EXISTS)
    )
    yield HttpFilter(name="envoy.filters.http.header_mutation", typed_config=pack(mutation))
    yield HttpFilter(name="envoy.filters.http.upstream_codec", typed_config=pack(UpstreamCodec()))


def _limit(value: int | None) -> UInt32Value:
    # Zero cannot be expressed: in Istio it means the default.
    return uint32(value or _NO_LIMIT)


def _apply_limits(cluster: Cluster, pool: ConnectionPoolSettings | None, budget: RetryBudget | None) -> None:
    tcp, http = (pool.tcp, pool.http) if pool else (None, None)
    thresholds = CircuitBreakers.Thresholds(
        max_connections=_limit(tcp.max_connections if tcp else None),
        max_pending_requests=_limit(http.http1_max_pending_requests if http else None),
        max_requests=_limit(http.http2_max_requests if http else None),
        max_retries=_limit(http.max_retries if http else None),
        track_remaining=True,
    )
    if budget:
        _set_budget(thresholds.retry_budget, budget)
    cluster.circuit_breakers.CopyFrom(CircuitBreakers(thresholds=[thresholds]))


def budget_of(policy: TrafficPolicy | None) -> RetryBudget | None:
    """Returns the budget for retries: the rule's, or where nothing limits retries the usual one (decision 14)."""
    if policy and policy.retry_budget:
        return policy.retry_budget
    http = policy.connection_pool.http if policy and policy.connection_pool else None
    return None if http and http.max_retries else RetryBudget(min_retry_concurrency=_LEAST_UNASKED)


def _set_budget(target: CircuitBreakers.Thresholds.RetryBudget, budget: RetryBudget) -> None:
    target.budget_percent.value = _BUDGET_PERCENT if budget.percent is None else budget.percent
    target.min_retry_concurrency.value = budget.min_retry_concurrency or _LEAST_RETRIES
    if budget.budget_interval:
        target.budget_interval.CopyFrom(duration(budget.budget_interval))


def _apply_tcp(cluster: Cluster, pool: ConnectionPoolSettings | None) -> None:
    tcp = pool.tcp if pool else None
    if tcp is None:
        return
    if tcp.connect_timeout is not None:
        cluster.connect_timeout.CopyFrom(duration(tcp.connect_timeout))
    if tcp.tcp_keepalive:
        _keep_alive(cluster, tcp.tcp_keepalive)


def _keep_alive(cluster: Cluster, keepalive: TcpKeepalive) -> None:
    target = cluster.upstream_connection_options.tcp_keepalive
    target.SetInParent()
    if keepalive.probes:
        target.keepalive_probes.value = keepalive.probes
    if keepalive.time is not None:
        target.keepalive_time.value = round(keepalive.time)
    if keepalive.interval is not None:
        target.keepalive_interval.value = round(keepalive.interval)


def _http_options(pool: ConnectionPoolSettings | None, codec: Codec) -> HttpProtocolOptions:
    options = HttpProtocolOptions()
    http = pool.http if pool else None
    common = options.common_http_protocol_options
    if http and http.max_requests_per_connection:
        common.max_requests_per_connection.value = http.max_requests_per_connection
    tcp = pool.tcp if pool else None
    idle = http.idle_timeout if http and http.idle_timeout is not None else tcp.idle_timeout if tcp else None
    if idle is not None:
        common.idle_timeout.CopyFrom(duration(idle))
    if tcp and tcp.max_connection_duration is not None:
        common.max_connection_duration.CopyFrom(duration(tcp.max_connection_duration))
    if codec is Codec.CLIENTS:
        mirrored = options.use_downstream_protocol_config
        mirrored.http_protocol_options.SetInParent()
        mirrored.http2_protocol_options.CopyFrom(_http2(pool))
    elif codec is Codec.HTTP2:
        options.explicit_http_config.http2_protocol_options.CopyFrom(_http2(pool))
    else:
        options.explicit_http_config.http_protocol_options.SetInParent()
    return options


def _http2(pool: ConnectionPoolSettings | None) -> Http2ProtocolOptions:
    # A WebSocket crosses HTTP/2 as an extended CONNECT (RFC 8441).
    options = Http2ProtocolOptions(allow_connect=True)
    http = pool.http if pool else None
    if http and http.max_concurrent_streams:
        options.max_concurrent_streams.value = min(http.max_concurrent_streams, _MOST_STREAMS)
    if http and (keepalive := http.http2_keep_alive):
        if keepalive.interval is not None:
            options.connection_keepalive.interval.CopyFrom(duration(keepalive.interval))
        if keepalive.timeout is not None:
            options.connection_keepalive.timeout.CopyFrom(duration(keepalive.timeout))
    return options
