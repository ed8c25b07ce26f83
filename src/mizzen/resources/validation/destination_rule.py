"""Istio's rules for DestinationRules (``pkg/config/validation/validation.go``)."""

from __future__ import annotations

from collections.abc import Iterator

from mizzen.resources.destination_rule import (
    DestinationRuleSpec,
    PortTrafficPolicy,
    TrafficPolicy,
)
from mizzen.resources.findings import Finding, warning
from mizzen.resources.model import WorkloadSelector
from mizzen.resources.paths import join
from mizzen.resources.validation import names
from mizzen.resources.validation.connection_pools import connection_pool
from mizzen.resources.validation.load_balancers import load_balancer
from mizzen.resources.validation.upstreams import outlier_detection, retry_budget, tls, tunnel


def destination_rule(spec: DestinationRuleSpec, namespace: str) -> Iterator[Finding]:
    yield from names.domain("spec.host", spec.host)
    yield from traffic_policy("spec.trafficPolicy", spec.traffic_policy)
    seen: set[str] = set()
    for index, subset in enumerate(spec.subsets):
        path = join("spec.subsets", index)
        if not subset.name:
            yield Finding(path, "subset name is invalid: `name` is required")
        elif not names.is_dns_label(subset.name):
            yield Finding(f"{path}.name", f"subset name is invalid: {subset.name!r} is no DNS-1123 label")
        elif subset.name in seen:
            yield Finding(f"{path}.name", f"duplicate subset names: {subset.name!r}")
        seen.add(subset.name)
        yield from names.labels(f"{path}.labels", subset.labels)
        yield from traffic_policy(f"{path}.trafficPolicy", subset.traffic_policy)
    yield from names.export_to("spec.exportTo", spec.export_to, namespace)
    if spec.workload_selector is not None:
        yield from _selector("spec.workloadSelector", spec.workload_selector)
    if spec.workload_selector is not None and any(entry != "." for entry in spec.export_to):
        yield Finding("spec.exportTo", "workloadSelector can only be used with exportTo `.`")


def _selector(path: str, selector: WorkloadSelector) -> Iterator[Finding]:
    if not selector.match_labels:
        message = "workload selector specified without labels: it selects all workloads of the namespace"
        yield warning(path, message, "write `matchLabels`, or remove it")
    yield from names.selector(f"{path}.matchLabels", selector.match_labels)


def traffic_policy(path: str, policy: TrafficPolicy | None) -> Iterator[Finding]:
    if policy is None:
        return
    if not policy.model_fields_set:
        yield Finding(path, "traffic policy must have at least one field")
    yield from _common(path, policy)
    seen: set[int] = set()
    for index, port in enumerate(policy.port_level_settings):
        where = join(f"{path}.portLevelSettings", index)
        if port.port is None:
            yield Finding(where, "portLevelSettings must have a port", hint="write `port: {number: 80}`")
            continue
        yield from names.port_number(f"{where}.port.number", port.port.number)
        if port.port.number in seen:
            yield Finding(f"{where}.port", f"duplicate portLevelSettings for port {port.port.number}")
        seen.add(port.port.number)
        if not port.model_fields_set - {"port"}:
            yield Finding(where, "port level settings must have at least one field beside the port")
        yield from _common(where, port)
    yield from retry_budget(f"{path}.retryBudget", policy.retry_budget)
    if policy.tunnel is not None:
        yield from tunnel(f"{path}.tunnel", policy.tunnel)
        if policy.proxy_protocol is not None:
            yield Finding(path, "tunnel cannot be set together with proxyProtocol")


def _common(path: str, policy: TrafficPolicy | PortTrafficPolicy) -> Iterator[Finding]:
    yield from connection_pool(f"{path}.connectionPool", policy.connection_pool)
    yield from load_balancer(f"{path}.loadBalancer", policy.load_balancer, detects=policy.outlier_detection is not None)
    yield from outlier_detection(f"{path}.outlierDetection", policy.outlier_detection)
    yield from tls(f"{path}.tls", policy.tls, of_port=isinstance(policy, PortTrafficPolicy))
