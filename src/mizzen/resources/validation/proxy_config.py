"""Istio's rules for ProxyConfigs (4.93; ``pkg/config/validation/validation.go``, ValidateProxyConfig)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from mizzen.resources.findings import Finding, warning
from mizzen.resources.paths import join
from mizzen.resources.proxy_config import HTTP10, METADATA_PREFIX, OWN_METADATA, TELLING_METADATA, ProxyConfigSpec
from mizzen.resources.validation import names


def proxy_config(spec: ProxyConfigSpec) -> Iterator[Finding]:
    if spec.selector is not None:
        yield from _selector("spec.selector", spec.selector.match_labels)
    if spec.concurrency is not None and spec.concurrency < 0:
        yield Finding("spec.concurrency", "concurrency must be greater than or equal to 0")
    for name, value in spec.environment_variables.items():
        if not name or "=" in name or "\0" in name:
            yield Finding(join("spec.environmentVariables", name), f"{name!r} is no name of a variable")
        elif name.startswith(METADATA_PREFIX):
            yield from _metadata(join("spec.environmentVariables", name), name.removeprefix(METADATA_PREFIX), value)


def _metadata(path: str, name: str, value: str) -> Iterator[Finding]:
    if name in TELLING_METADATA:
        yield Finding(
            path, f"by {name} the control plane knows a proxy: it would get no configuration", hint="remove it"
        )
    elif name in OWN_METADATA:
        yield warning(path, f"it has no effect: {name} is what Mizzen itself says of a proxy", "use another name")
    elif name == HTTP10 and value not in ("0", "1"):
        yield warning(path, f"{value!r} does not have proxies take HTTP/1.0, in Istio neither", 'write "1"')


def _selector(path: str, labels: Mapping[str, str]) -> Iterator[Finding]:
    if not labels:
        yield warning(path, "workload selector specified without labels")
    yield from names.selector(f"{path}.matchLabels", labels)
