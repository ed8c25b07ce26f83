"""Consistent hashing: what of a request or connection chooses its endpoint (ConsistentHashLB, Istio 1.2).

Istio writes it into routes (HTTP) and listeners (TCP). Here it is the cluster's: Envoy takes the policy of the cluster that
a route has chosen. So each subset and port hashes as its own rule says, also where a route divides requests among several; a
rule that changes re-makes its clusters, and no route, and no listener, whose connections would have to end.
"""

from __future__ import annotations

from collections.abc import Iterator

from google.protobuf.message import Message

from mizzen.compile.protos import duration, uint64
from mizzen.compile.resource import pack
from mizzen.resources.destination_rule import ConsistentHashLB, HTTPCookie
from mizzen.stubs.envoy.config.cluster.v3.cluster_pb2 import Cluster
from mizzen.stubs.envoy.config.route.v3.route_components_pb2 import RouteAction
from mizzen.stubs.envoy.extensions.load_balancing_policies.common.v3.common_pb2 import ConsistentHashingLbConfig
from mizzen.stubs.envoy.extensions.load_balancing_policies.maglev.v3.maglev_pb2 import Maglev
from mizzen.stubs.envoy.extensions.load_balancing_policies.ring_hash.v3.ring_hash_pb2 import RingHash

HashPolicy = RouteAction.HashPolicy
_SMALLEST_RING = 1024


def apply(cluster: Cluster, given: ConsistentHashLB, *, http: bool) -> None:
    """Makes a cluster choose endpoints by hash. Of connections whose bytes nobody reads only the source can be hashed."""
    common = ConsistentHashingLbConfig()
    if not http and given.use_source_ip:
        common.hash_policy.append(_source())
    if given.maglev:
        table = Maglev(table_size=uint64(given.maglev.table_size), consistent_hashing_lb_config=common)
        _balance(cluster, Cluster.MAGLEV, "maglev", table)
        return
    size = (given.ring_hash.minimum_ring_size if given.ring_hash else given.minimum_ring_size) or _SMALLEST_RING
    ring = RingHash(minimum_ring_size=uint64(size), consistent_hashing_lb_config=common)
    _balance(cluster, Cluster.RING_HASH, "ring_hash", ring)


def _balance(cluster: Cluster, policy: Cluster.LbPolicy.ValueType, name: str, config: Message) -> None:
    # Envoy goes by the configuration alone; the old field is what people look at.
    cluster.lb_policy = policy
    extension = cluster.load_balancing_policy.policies.add().typed_extension_config
    extension.name = f"envoy.load_balancing_policies.{name}"
    extension.typed_config.CopyFrom(pack(config))


def of_requests(given: ConsistentHashLB) -> Iterator[HashPolicy]:
    """Yields what of a request is hashed; without it, because a request lacks the header, any endpoint serves."""
    if given.http_header_name is not None:
        yield HashPolicy(header=HashPolicy.Header(header_name=given.http_header_name))
    elif given.http_cookie is not None:
        yield HashPolicy(cookie=_cookie(given.http_cookie))
    elif given.http_query_parameter_name is not None:
        yield HashPolicy(query_parameter=HashPolicy.QueryParameter(name=given.http_query_parameter_name))
    elif given.use_source_ip:
        yield _source()


def _source() -> HashPolicy:
    return HashPolicy(connection_properties=HashPolicy.ConnectionProperties(source_ip=True))


def _cookie(given: HTTPCookie) -> HashPolicy.Cookie:
    cookie = HashPolicy.Cookie(name=given.name, path=given.path)
    if given.ttl is not None:
        # With one, and be it 0, Envoy gives a cookie to whoever has none.
        cookie.ttl.CopyFrom(duration(given.ttl))
    for attribute in given.attributes:
        cookie.attributes.add(name=attribute.name, value=attribute.value)
    return cookie
