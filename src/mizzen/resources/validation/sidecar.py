"""Istio's rules for Sidecars (``pkg/config/validation/validation.go``, ValidateSidecar)."""

from __future__ import annotations

from collections.abc import Iterator

from mizzen.resources.findings import Finding, warning
from mizzen.resources.paths import join
from mizzen.resources.sidecar import SidecarSpec
from mizzen.resources.validation import names
from mizzen.resources.validation.connection_pools import connection_pool
from mizzen.resources.validation.sidecar_egress import egress
from mizzen.resources.validation.sidecar_ingress import ingress


def sidecar(spec: SidecarSpec, namespace: str) -> Iterator[Finding]:
    given = (spec.ingress, spec.egress, spec.outbound_traffic_policy, spec.inbound_connection_pool)
    if not any(given):
        hint = 'write what may be called, such as `egress: [{hosts: ["./*"]}]`'
        yield Finding("spec", "sidecar: empty configuration provided", hint=hint)
    if spec.workload_selector is not None:
        path = "spec.workloadSelector.labels"
        yield from names.labels(path, spec.workload_selector.labels)
        for key, value in spec.workload_selector.labels.items():
            if "*" in key or "*" in value:
                yield warning(
                    join(path, key), "a wildcard in a selector is compared as it stands", "write whole labels"
                )
    yield from ingress(spec)
    yield from connection_pool("spec.inboundConnectionPool", spec.inbound_connection_pool)
    yield from egress(spec, namespace)
    yield from _traffic_policy(spec)


def _traffic_policy(spec: SidecarSpec) -> Iterator[Finding]:
    policy, path = spec.outbound_traffic_policy, "spec.outboundTrafficPolicy"
    if policy is None:
        return
    if "mode" not in policy.model_fields_set:
        message = "without a mode it is REGISTRY_ONLY, as in Istio: connections go to known services alone"
        yield warning(path, message, "write `mode: REGISTRY_ONLY` or `mode: ALLOW_ANY`")
    proxy, where = policy.egress_proxy, f"{path}.egressProxy"
    if proxy is None:
        return
    if policy.mode != "ALLOW_ANY":
        message = "sidecar: egress_proxy must be set only with ALLOW_ANY outbound_traffic_policy mode"
        yield Finding(where, message, hint="write `mode: ALLOW_ANY`, or remove it")
    yield from names.domain(f"{where}.host", proxy.host)
    if proxy.port is None:
        yield Finding(where, "sidecar: egress_proxy port must be non-nil", hint="write `port: {number: ...}`")
    else:
        yield from names.port_number(f"{where}.port.number", proxy.port.number)
