"""Where a cluster finds its endpoints (ServiceEntry's resolution, Istio 1.4 and 2.7)."""

from __future__ import annotations

from mizzen.compile.endpoints import EndpointsView, load_assignment
from mizzen.compile.localities import Spread
from mizzen.compile.protos import ads, duration, uint32
from mizzen.compile.resource import pack
from mizzen.mesh.model import Endpoint
from mizzen.stubs.envoy.config.cluster.v3.cluster_pb2 import Cluster
from mizzen.stubs.envoy.extensions.clusters.common.dns.v3.dns_pb2 import DnsLookupFamily
from mizzen.stubs.envoy.extensions.clusters.dns.v3.dns_cluster_pb2 import DnsCluster
from mizzen.stubs.envoy.extensions.clusters.dynamic_forward_proxy.v3.cluster_pb2 import (
    ClusterConfig as ForwardProxyCluster,
)
from mizzen.stubs.envoy.extensions.common.dynamic_forward_proxy.v3.dns_cache_pb2 import DnsCacheConfig

# Seconds. The first counts where an answer says nothing of its own lifetime, or there is none (Istio 2.7).
_REFRESH = 60.0
_JITTER = 0.1


def tell(cluster: Cluster) -> None:
    """Has a cluster be told its endpoints, by EDS, so that they change alone."""
    cluster.type = Cluster.EDS
    cluster.eds_cluster_config.eds_config.CopyFrom(ads())


def look_up(
    cluster: Cluster,
    named: tuple[Endpoint, ...],
    spread: Spread | None,
    *,
    one_at_a_time: bool,
    refresh: float | None = None,
) -> None:
    """Has a cluster look the names of its endpoints up, all their addresses, or ``one_at_a_time`` as connections begin.

    ``refresh`` is after how many seconds again where no answer says it.
    """
    cluster.load_assignment.CopyFrom(load_assignment(EndpointsView(cluster.name, named, spread=spread)))
    if not named:
        cluster.type = Cluster.STATIC
        return
    config = DnsCluster(
        dns_refresh_rate=duration(refresh or _REFRESH),
        respect_dns_ttl=True,
        dns_jitter=duration(_JITTER),
        dns_lookup_family=DnsLookupFamily.V4_PREFERRED,
        all_addresses_in_single_endpoint=one_at_a_time and len(named) == 1,
    )
    cluster.cluster_type.name = "envoy.cluster.dns"
    cluster.cluster_type.typed_config.CopyFrom(pack(config))


def lead_inside(cluster: Cluster, listener: str) -> None:
    """Has a cluster lead to a listener inside the proxy."""
    cluster.type = Cluster.STATIC
    cluster.load_assignment.cluster_name = cluster.name
    endpoint = cluster.load_assignment.endpoints.add().lb_endpoints.add().endpoint
    endpoint.address.envoy_internal_address.server_listener_name = listener


def forward(cluster: Cluster, *, insecure: bool) -> None:
    """Has a cluster look up the name in each request: where capture is explicit, nobody has dialled an address.

    Envoy insists that its HTTP options have TLS prove the request's host, whether or not there is TLS, unless it is
    ``insecure``.
    """
    cluster.lb_policy = Cluster.CLUSTER_PROVIDED
    config = ForwardProxyCluster(dns_cache_config=forward_proxy_dns(), allow_insecure_cluster_options=insecure)
    cluster.cluster_type.name = "envoy.clusters.dynamic_forward_proxy"
    cluster.cluster_type.typed_config.CopyFrom(pack(config))


def forward_proxy_dns() -> DnsCacheConfig:
    """The name cache that the forward proxy's clusters and HTTP filter share; all must be given the same."""
    return DnsCacheConfig(name="forward_proxy", dns_lookup_family=Cluster.V4_PREFERRED, max_hosts=uint32(1024))
