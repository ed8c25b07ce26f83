"""Rules for the MeshConfig (Istio 4.94, and those of the parts that it has in common with other kinds)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mizzen.resources.destination_rule import TCPSettings
from mizzen.resources.findings import Finding, warning
from mizzen.resources.mesh_config import MeshConfigSpec, OutboundTrafficPolicy
from mizzen.resources.model import alias_of
from mizzen.resources.paths import join
from mizzen.resources.validation import names
from mizzen.resources.validation.connection_pools import connection_pool, tcp_settings
from mizzen.resources.validation.http_actions import retries
from mizzen.resources.validation.load_balancers import locality
from mizzen.resources.validation.unsafe_retries import unsafe_policy
from mizzen.resources.validation.upstreams import outlier_detection, tls
from mizzen.resources.virtual_service import HTTPRetry

_LONGEST_CONNECT = 3600.0


def mesh_config(spec: MeshConfigSpec) -> Iterator[Finding]:
    if spec.outbound_traffic_policy is not None:
        yield from _traffic_policy("spec.outboundTrafficPolicy", spec.outbound_traffic_policy)
    if not names.is_dns_label(spec.root_namespace):
        yield Finding("spec.rootNamespace", f"{spec.root_namespace!r} is no namespace (DNS-1123 label)")
    if spec.locality_lb_setting is not None:
        # Which clusters have outlier detection, which failover needs, DestinationRules say.
        yield from locality("spec.localityLbSetting", spec.locality_lb_setting, detects=True)
    yield from _connections(spec)
    yield from _exports(spec)
    yield from retries("spec.defaultHttpRetryPolicy", spec.default_http_retry_policy)
    yield from unsafe_policy("spec.defaultHttpRetryPolicy", spec.default_http_retry_policy)
    if spec.default_inbound_http_retry_policy is not None:
        yield from _inbound_retries("spec.defaultInboundHttpRetryPolicy", spec.default_inbound_http_retry_policy)


def _traffic_policy(path: str, policy: OutboundTrafficPolicy) -> Iterator[Finding]:
    if "mode" not in policy.model_fields_set:
        message = "without a mode it is REGISTRY_ONLY, as in Istio: connections go to known services alone"
        yield warning(path, message, "write `mode: REGISTRY_ONLY` or `mode: ALLOW_ANY`")
    if policy.tls is None:
        return
    path = f"{path}.tls"
    if policy.mode != "ALLOW_ANY_DYNAMIC_DNS":
        hint = "write `mode: ALLOW_ANY_DYNAMIC_DNS`, or remove it"
        yield Finding(path, "tls is for requests that go to what their hosts mean", hint=hint)
    yield from tls(path, policy.tls)
    if policy.tls.mode == "ISTIO_MUTUAL":
        message = "a host that the mesh does not know is no member of it, and does not speak its mutual TLS"
        yield Finding(f"{path}.mode", message, hint="write `mode: SIMPLE`")
    if policy.tls.credential_name:
        message = "no Secret is for the sidecars of all namespaces"
        hint = "write `caCertificates`, and `clientCertificate` and `privateKey`, which are files on the node"
        yield Finding(f"{path}.credentialName", message, hint=hint)


def _connections(spec: MeshConfigSpec) -> Iterator[Finding]:
    yield from names.duration("spec.connectTimeout", spec.connect_timeout)
    if spec.connect_timeout is not None and spec.connect_timeout > _LONGEST_CONNECT:
        yield Finding("spec.connectTimeout", "connectTimeout must be in range [1ms, 1h]")
    if spec.tcp_keepalive is not None:
        yield from tcp_settings("spec", TCPSettings(tcp_keepalive=spec.tcp_keepalive))
    yield from names.duration("spec.dnsRefreshRate", spec.dns_refresh_rate)
    if default := spec.default_traffic_policy:
        yield from connection_pool("spec.defaultTrafficPolicy.connectionPool", default.connection_pool)
        yield from outlier_detection("spec.defaultTrafficPolicy.outlierDetection", default.outlier_detection)


def _exports(spec: MeshConfigSpec) -> Iterator[Finding]:
    defaults: dict[str, Sequence[str]] = {
        "default_service_export_to": spec.default_service_export_to,
        "default_virtual_service_export_to": spec.default_virtual_service_export_to,
        "default_destination_rule_export_to": spec.default_destination_rule_export_to,
    }
    for name, given in defaults.items():
        path = f"spec.{alias_of(MeshConfigSpec, name)}"
        yield from names.export_to(path, given, own="")
    for index, namespace in enumerate(spec.default_destination_rule_export_to):
        if namespace not in {"*", "."}:
            message = f"{namespace!r} has no effect as a default of DestinationRules: Istio looks for `.` and `*` alone"
            yield Finding(join("spec.defaultDestinationRuleExportTo", index), message, hint="write `*` or `.`")


def _inbound_retries(path: str, given: HTTPRetry) -> Iterator[Finding]:
    yield from retries(path, given)
    yield from unsafe_policy(path, given)
    for name in ("retry_remote_localities", "retry_ignore_previous_hosts"):
        if name in given.model_fields_set:
            alias = alias_of(HTTPRetry, name)
            message = f"{alias} has no effect between a proxy and its application: there is no other to choose"
            yield Finding(f"{path}.{alias}", message, hint="remove it")
