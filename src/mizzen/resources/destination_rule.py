"""The model of ``networking.istio.io`` DestinationRule: how to talk to a service, and which subsets it has.

The whole published schema is here; what Mizzen does not implement yet is marked with :class:`~mizzen.resources.model.Later`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Literal

from pydantic import Field

from mizzen.resources.model import Duration, Later, Many, Model, PortSelector, StringMap, WorkloadSelector
from mizzen.resources.paths import join
from mizzen.resources.resource import Resource
from mizzen.resources.visibility import visibility

NO_ZONES = "write `localityLbSetting`: for zone aware routing each proxy had to know its own replicas"
SimpleLB = Literal["UNSPECIFIED", "LEAST_CONN", "RANDOM", "PASSTHROUGH", "ROUND_ROBIN", "LEAST_REQUEST"]


class CookieAttribute(Model):
    name: str = ""
    value: str = ""


class HTTPCookie(Model):
    name: str = ""
    path: str = ""
    ttl: Duration | None = None
    attributes: Many[CookieAttribute] = ()


class RingHash(Model):
    minimum_ring_size: int = 0


class MagLev(Model):
    table_size: int = 0


class ConsistentHashLB(Model):
    ONE_OF = (
        ("http_header_name", "http_cookie", "use_source_ip", "http_query_parameter_name"),
        ("ring_hash", "maglev"),
    )

    http_header_name: str | None = None
    http_cookie: HTTPCookie | None = None
    use_source_ip: bool | None = None
    http_query_parameter_name: str | None = None
    ring_hash: RingHash | None = None
    maglev: MagLev | None = None
    minimum_ring_size: int = 0


class Distribute(Model):
    from_: str = Field(default="", alias="from")
    to: Mapping[str, int] = Field(default_factory=dict)


class Failover(Model):
    from_: str = Field(default="", alias="from")
    to: str = ""


class LocalityLbSetting(Model):
    distribute: Many[Distribute] = ()
    failover: Many[Failover] = ()
    failover_priority: Many[str] = ()
    enabled: bool | None = None


class ZoneAwareLbSetting(Model):
    enabled: bool | None = None
    failover: Many[Failover] = ()
    failover_priority: Many[str] = ()
    min_cluster_size: int | None = None


class Warmup(Model):
    duration: Duration | None = None
    minimum_percent: float | None = None
    aggression: float | None = None


class LoadBalancerSettings(Model):
    ONE_OF = (("simple", "consistent_hash"),)

    simple: SimpleLB | None = None
    consistent_hash: ConsistentHashLB | None = None
    locality_lb_setting: LocalityLbSetting | None = None
    zone_aware_lb_setting: Annotated[ZoneAwareLbSetting | None, Later(reason=NO_ZONES)] = None
    warmup_duration_secs: Duration | None = None
    warmup: Warmup | None = None


class TcpKeepalive(Model):
    probes: int = 0
    time: Duration | None = None
    interval: Duration | None = None


class TCPSettings(Model):
    """Numbers that are 0 mean the default, as in Istio."""

    max_connections: int = 0
    connect_timeout: Duration | None = None
    tcp_keepalive: TcpKeepalive | None = None
    max_connection_duration: Duration | None = None
    idle_timeout: Duration | None = None


class Http2KeepAlive(Model):
    interval: Duration | None = None
    timeout: Duration | None = None


class HTTPSettings(Model):
    """Numbers that are 0 mean the default, as in Istio."""

    http1_max_pending_requests: int = Field(default=0, alias="http1MaxPendingRequests")
    http2_max_requests: int = Field(default=0, alias="http2MaxRequests")
    max_requests_per_connection: int = 0
    max_retries: int = 0
    idle_timeout: Duration | None = None
    h2_upgrade_policy: Literal["DEFAULT", "DO_NOT_UPGRADE", "UPGRADE"] = Field(
        default="DEFAULT", alias="h2UpgradePolicy"
    )
    use_client_protocol: bool = False
    max_concurrent_streams: int = 0
    http2_keep_alive: Http2KeepAlive | None = Field(default=None, alias="http2KeepAlive")


class ConnectionPoolSettings(Model):
    tcp: TCPSettings | None = None
    http: HTTPSettings | None = None


class OutlierDetection(Model):
    consecutive_errors: Annotated[int, Later()] = 0
    split_external_local_origin_errors: bool = False
    consecutive_local_origin_failures: int | None = None
    consecutive_gateway_errors: int | None = None
    consecutive_5xx_errors: int | None = Field(default=None, alias="consecutive5xxErrors")
    interval: Duration | None = None
    base_ejection_time: Duration | None = None
    max_ejection_percent: int = 0
    min_health_percent: int = 0
    outlier_detection_http_error_codes: Many[int] = ()


class ClientTLSSettings(Model):
    """``mode`` is DISABLE when a ``tls`` block does not say, as in Istio. Certificates are absolute paths on the node.

    ``credential_name`` is a Secret in the namespace of the proxy; a sidecar has it of a rule that selects its workload
    (:mod:`mizzen.resources.credentials`).
    """

    mode: Literal["DISABLE", "SIMPLE", "MUTUAL", "ISTIO_MUTUAL"] = "DISABLE"
    client_certificate: str = ""
    private_key: str = ""
    ca_certificates: str = ""
    ca_crl: str = ""
    credential_name: str = ""
    subject_alt_names: Many[str] = ()
    sni: str = ""
    insecure_skip_verify: bool | None = None


class PortTrafficPolicy(Model):
    """Stands alone for its port: what it does not say is the default, not the rule's policy."""

    port: PortSelector | None = None
    load_balancer: LoadBalancerSettings | None = None
    connection_pool: ConnectionPoolSettings | None = None
    outlier_detection: OutlierDetection | None = None
    tls: ClientTLSSettings | None = None


class TunnelSettings(Model):
    """Has a proxy of HTTP lead connections on to a host: by the method CONNECT unless ``protocol`` says POST."""

    protocol: str = ""
    target_host: str = ""
    target_port: int = 0


class ProxyProtocol(Model):
    version: Literal["V1", "V2"] = "V1"


class RetryBudget(Model):
    """How many requests may be tried again at a time, as a share of all that are under way, and at least.

    What is not written, or 0, is Envoy's default: 20 % and 3, of the requests of this moment.
    """

    percent: float | None = None
    min_retry_concurrency: int = 0
    budget_interval: Duration | None = None


class TrafficPolicy(Model):
    load_balancer: LoadBalancerSettings | None = None
    connection_pool: ConnectionPoolSettings | None = None
    outlier_detection: OutlierDetection | None = None
    tls: ClientTLSSettings | None = None
    port_level_settings: Many[PortTrafficPolicy] = ()
    tunnel: TunnelSettings | None = None
    proxy_protocol: ProxyProtocol | None = None
    retry_budget: RetryBudget | None = None


class Subset(Model):
    name: str = ""
    labels: StringMap = Field(default_factory=dict)
    traffic_policy: TrafficPolicy | None = None


class DestinationRuleSpec(Model):
    """An empty ``export_to`` means every namespace."""

    host: str = ""
    traffic_policy: TrafficPolicy | None = None
    subsets: Many[Subset] = ()
    export_to: Many[str] = ()
    workload_selector: WorkloadSelector | None = None


def concerns(rule: Resource[DestinationRuleSpec], namespace: str, labels: Mapping[str, str]) -> bool:
    """Tells whether a rule is for what a workload of this namespace with these labels calls: it sees the rule, or is selected
    where the rule selects.
    """
    if selector := rule.spec.workload_selector:
        return rule.namespace == namespace and selector.match_labels.items() <= labels.items()
    return visibility(rule.spec.export_to, rule.namespace, namespace) is not None


def policies(spec: DestinationRuleSpec) -> Iterator[tuple[str, TrafficPolicy]]:
    """Yields the policies of a DestinationRule, its own and those of its subsets, each with its path."""
    if spec.traffic_policy:
        yield "spec.trafficPolicy", spec.traffic_policy
    for index, subset in enumerate(spec.subsets):
        if subset.traffic_policy:
            yield f"{join('spec.subsets', index)}.trafficPolicy", subset.traffic_policy


def levels(spec: DestinationRuleSpec) -> Iterator[tuple[str, TrafficPolicy | PortTrafficPolicy]]:
    """Yields the policies of a DestinationRule and what each says of single ports, with its path."""
    for path, policy in policies(spec):
        yield path, policy
        for index, port in enumerate(policy.port_level_settings):
            yield join(f"{path}.portLevelSettings", index), port
