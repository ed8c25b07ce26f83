"""The model of ``mizzen.dev/v1alpha1`` MeshConfig: what is for the whole mesh, in the field names of Istio's MeshConfig.

In Istio that is no resource but a text in a ConfigMap; its published fields are here, and those that Mizzen does not implement
are refused by name. A mesh has one.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from mizzen.resources.destination_rule import (
    NO_ZONES,
    ClientTLSSettings,
    ConnectionPoolSettings,
    LocalityLbSetting,
    OutlierDetection,
    TcpKeepalive,
)
from mizzen.resources.model import Duration, Later, Many, Model
from mizzen.resources.virtual_service import HTTPRetry

DEFAULT_ROOT_NAMESPACE = "istio-system"

_Later = Annotated[Any, Later()]
_OfCommandLine = Annotated[Any, Later(reason="say `mizzen up --trust-domain`: the mesh's certificates are made for it")]
_OfNode = Annotated[
    Any, Later(reason="remove it: the node gives proxies their ports, and where capture is explicit others")
]
_Mutual = Annotated[
    Any, Later(reason="remove it: members of the mesh always speak mutual TLS, of version 1.3 (decision 3)")
]
_Logs = Annotated[Any, Later(reason="remove it: Envoy's own output is in `mizzen logs --proxy`")]
_OfKubernetes = Annotated[Any, Later(reason="remove it: there is no Kubernetes that it could be about")]


class OutboundTrafficPolicy(Model):
    """Where a connection may go that is for no known service. Without a mode that is nowhere, as in Istio, whose
    enumeration begins with REGISTRY_ONLY; without the whole policy it is anywhere.

    With ALLOW_ANY_DYNAMIC_DNS a request goes to what the name in its ``Host`` means, not where its client sent it; ``tls`` is
    how that server is spoken to.
    """

    mode: Literal["REGISTRY_ONLY", "ALLOW_ANY", "ALLOW_ANY_DYNAMIC_DNS"] = "REGISTRY_ONLY"
    tls: ClientTLSSettings | None = None


class DefaultTrafficPolicy(Model):
    """What takes the place of each block that DestinationRules leave out."""

    connection_pool: ConnectionPoolSettings | None = None
    outlier_detection: OutlierDetection | None = None


Normalization = Literal["DEFAULT", "NONE", "BASE", "MERGE_SLASHES", "DECODE_AND_MERGE_SLASHES"]


class ProxyPathNormalization(Model):
    normalization: Normalization = "DEFAULT"


class MizzenSettings(Model):
    """What Istio has no field for.

    With ``retry_only_unsent`` a policy of retries that names no conditions, and so the default one, repeats nothing but
    requests that no server has been sent (decision 14).
    """

    retry_only_unsent: bool = False


class MeshConfigSpec(Model):
    outbound_traffic_policy: OutboundTrafficPolicy | None = None
    root_namespace: str = DEFAULT_ROOT_NAMESPACE
    connect_timeout: Duration | None = None
    tcp_keepalive: TcpKeepalive | None = None
    default_service_export_to: Many[str] = ()
    default_virtual_service_export_to: Many[str] = ()
    default_destination_rule_export_to: Many[str] = ()
    locality_lb_setting: LocalityLbSetting | None = None
    h2_upgrade_policy: Literal["DO_NOT_UPGRADE", "UPGRADE"] = Field(default="DO_NOT_UPGRADE", alias="h2UpgradePolicy")
    default_http_retry_policy: HTTPRetry | None = None
    default_inbound_http_retry_policy: HTTPRetry | None = None
    default_traffic_policy: DefaultTrafficPolicy | None = None
    dns_refresh_rate: Duration | None = None
    path_normalization: ProxyPathNormalization | None = None
    mizzen: MizzenSettings | None = None

    inbound_traffic_policy: Annotated[
        Any, Later(reason="remove it: proxies always lead to 127.0.0.1, which in Istio is LOCALHOST")
    ] = None
    trust_domain: _OfCommandLine = None
    trust_domain_aliases: _Later = None
    proxy_listen_port: _OfNode = None
    proxy_inbound_listen_port: _OfNode = None
    proxy_http_port: _OfNode = None
    protocol_detection_timeout: Annotated[
        Any,
        Later(
            reason="remove it: proxies wait 1 s everywhere, then take the connection for one of bytes (decision 16)",
        ),
    ] = None
    enable_auto_mtls: _Mutual = None
    zone_aware_lb_setting: Annotated[Any, Later(reason=NO_ZONES)] = None
    access_log_file: _Logs = None
    access_log_format: _Logs = None
    access_log_encoding: _Logs = None
    disable_envoy_listener_log: _Logs = None
    enable_envoy_access_log_service: _Logs = None
    enable_tracing: _Later = None
    extension_providers: _Later = None
    default_providers: _Later = None
    discovery_selectors: _OfKubernetes = None
    service_settings: Annotated[Any, Later(reason="remove it: a mesh has one cluster")] = None
    service_scope_configs: Annotated[Any, Later(reason="remove it: a mesh has one cluster, and no ambient mode")] = None
    compliance_policy: Annotated[
        Any, Later(reason="remove it: members of the mesh speak TLS 1.3, but no library here is certified")
    ] = None
    mesh_mtls: _Mutual = Field(default=None, alias="meshMTLS")
    tls_defaults: _Later = None
    ca_certificates: _Later = None
    certificates: _OfKubernetes = None
    verify_certificate_at_client: Annotated[
        Any, Later(reason="remove it: who answers is always checked, by the roots of the operating system at least")
    ] = None
    config_sources: _OfKubernetes = None
    ca: Annotated[Any, Later(reason="remove it: the mesh has its own authority")] = None
    ingress_controller_mode: _OfKubernetes = None
    ingress_class: _OfKubernetes = None
    ingress_service: _OfKubernetes = None
    ingress_selector: _OfKubernetes = None
    enable_prometheus_merge: _Later = None
    inbound_cluster_stat_name: _Later = None
    outbound_cluster_stat_name: _Later = None
    service_entry_visibility: _Later = None
    default_config: Annotated[
        Any,
        Later(
            reason="write a ProxyConfig in the root namespace, which is for all proxies: it has `concurrency` and "
            "`environmentVariables`"
        ),
    ] = None

    @property
    def registry_only(self) -> bool:
        """Whether connections go to known services alone."""
        policy = self.outbound_traffic_policy
        return policy is not None and policy.mode == "REGISTRY_ONLY"

    @property
    def looks_up_hosts(self) -> bool:
        """Whether requests that are for no known service go to what the names in them mean."""
        policy = self.outbound_traffic_policy
        return policy is not None and policy.mode == "ALLOW_ANY_DYNAMIC_DNS"

    @property
    def outward_tls(self) -> ClientTLSSettings | None:
        """The TLS that proxies begin towards servers that are looked up so."""
        return self.outbound_traffic_policy.tls if self.outbound_traffic_policy else None

    @property
    def normalization(self) -> Normalization:
        """How paths are written before they are compared: as a client does that obeys RFC 3986, unless said otherwise."""
        given = self.path_normalization.normalization if self.path_normalization else "DEFAULT"
        return "BASE" if given == "DEFAULT" else given

    @property
    def only_unsent(self) -> bool:
        return self.mizzen is not None and self.mizzen.retry_only_unsent
