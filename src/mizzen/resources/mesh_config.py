"""The model of ``mizzen.dev/v1alpha1`` MeshConfig: what is for the whole mesh, in the field names of Istio's MeshConfig.

In Istio that is no resource but a text in a ConfigMap; its published fields are here, and those that Mizzen does not implement
are refused by name. A mesh has one.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from mizzen.resources.destination_rule import LocalityLbSetting
from mizzen.resources.model import Later, Model

_Later = Annotated[Any, Later()]


class OutboundTrafficPolicy(Model):
    """Where a connection may go that is for no known service. Without a mode that is nowhere, as in Istio, whose
    enumeration begins with REGISTRY_ONLY; without the whole policy it is anywhere.
    """

    mode: Annotated[
        Literal["REGISTRY_ONLY", "ALLOW_ANY", "ALLOW_ANY_DYNAMIC_DNS"], Later(only={"ALLOW_ANY_DYNAMIC_DNS"})
    ] = "REGISTRY_ONLY"
    tls: _Later = None


class MeshConfigSpec(Model):
    outbound_traffic_policy: OutboundTrafficPolicy | None = None
    inbound_traffic_policy: _Later = None
    root_namespace: _Later = None
    trust_domain: _Later = None
    trust_domain_aliases: _Later = None
    proxy_listen_port: _Later = None
    proxy_inbound_listen_port: _Later = None
    proxy_http_port: _Later = None
    connect_timeout: _Later = None
    protocol_detection_timeout: _Later = None
    tcp_keepalive: _Later = None
    enable_auto_mtls: _Later = None
    default_service_export_to: _Later = None
    default_virtual_service_export_to: _Later = None
    default_destination_rule_export_to: _Later = None
    locality_lb_setting: LocalityLbSetting | None = None
    zone_aware_lb_setting: _Later = None
    h2_upgrade_policy: _Later = Field(default=None, alias="h2UpgradePolicy")
    default_http_retry_policy: _Later = None
    default_inbound_http_retry_policy: _Later = None
    default_traffic_policy: _Later = None
    dns_refresh_rate: _Later = None
    access_log_file: _Later = None
    access_log_format: _Later = None
    access_log_encoding: _Later = None
    disable_envoy_listener_log: _Later = None
    enable_envoy_access_log_service: _Later = None
    enable_tracing: _Later = None
    extension_providers: _Later = None
    default_providers: _Later = None
    discovery_selectors: _Later = None
    path_normalization: _Later = None
    service_settings: _Later = None
    mesh_mtls: _Later = Field(default=None, alias="meshMTLS")
    tls_defaults: _Later = None
    ca_certificates: _Later = None
    certificates: _Later = None
    verify_certificate_at_client: _Later = None
    config_sources: _Later = None
    ca: _Later = None
    ingress_controller_mode: _Later = None
    ingress_class: _Later = None
    ingress_service: _Later = None
    ingress_selector: _Later = None
    enable_prometheus_merge: _Later = None
    inbound_cluster_stat_name: _Later = None
    outbound_cluster_stat_name: _Later = None
    service_entry_visibility: _Later = None
    default_config: _Later = None

    @property
    def registry_only(self) -> bool:
        """Whether connections go to known services alone."""
        policy = self.outbound_traffic_policy
        return policy is not None and policy.mode == "REGISTRY_ONLY"
