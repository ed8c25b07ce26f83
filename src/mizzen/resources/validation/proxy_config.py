"""Istio's rules for ProxyConfigs (4.93; ``pkg/config/validation/validation.go``, ValidateProxyConfig)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from mizzen.resources.findings import Finding, warning
from mizzen.resources.paths import join
from mizzen.resources.proxy_config import ProxyConfigSpec
from mizzen.resources.validation import names


def proxy_config(spec: ProxyConfigSpec) -> Iterator[Finding]:
    if spec.selector is not None:
        yield from _selector("spec.selector", spec.selector.match_labels)
    if spec.concurrency is not None and spec.concurrency < 0:
        yield Finding("spec.concurrency", "concurrency must be greater than or equal to 0")
    for name in spec.environment_variables:
        if not name or "=" in name or "\0" in name:
            yield Finding(join("spec.environmentVariables", name), f"{name!r} is no name of a variable")
    if spec.image is not None:
        message = "a proxy is the Envoy of Mizzen's own package and has no image"
        yield Finding("spec.image", message, hint="remove it", code="NotImplemented")


def _selector(path: str, labels: Mapping[str, str]) -> Iterator[Finding]:
    if not labels:
        yield warning(path, "workload selector specified without labels")
    yield from names.selector(f"{path}.matchLabels", labels)
