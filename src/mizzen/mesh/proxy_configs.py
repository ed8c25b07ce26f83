"""What ProxyConfigs say of the proxy of a workload (Istio 2.20)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

from mizzen.mesh.model import Labels, ProxyConfig, labels_of, selects
from mizzen.resources.proxy_config import HTTP10, METADATA_PREFIX


@dataclass(frozen=True)
class ProxyStart:
    """How a proxy is started; without a ``concurrency`` as Mizzen starts it.

    ``env`` are variables of its environment, ``metadata`` is what it says of itself.
    """

    concurrency: int | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)


def proxy_start(configs: Iterable[ProxyConfig], namespace: str, labels: Labels, root: str) -> ProxyStart:
    """Returns what applies to a workload: of the root namespace, over that of its namespace, over that for its labels.

    Of each level the oldest counts. What a later level says of the same replaces, variables one by one.
    """
    concurrency: int | None = None
    variables: dict[str, str] = {}
    for config in applied_configs(configs, namespace, labels, root):
        if config.spec.concurrency is not None:
            concurrency = config.spec.concurrency
        variables |= config.spec.environment_variables
    metadata = {
        name.removeprefix(METADATA_PREFIX): value
        for name, value in sorted(variables.items())
        if name.startswith(METADATA_PREFIX)
    }
    env = {name: value for name, value in sorted(variables.items()) if not name.startswith(METADATA_PREFIX)}
    return ProxyStart(concurrency, env, metadata)


def taking_http10(configs: Sequence[ProxyConfig], root: str) -> Callable[[str, Labels], bool]:
    """Returns what tells of the namespace and the labels of a workload whether its proxy takes HTTP/1.0: where a ProxyConfig says
    ``ISTIO_META_HTTP10: "1"`` (Istio's `enableHTTP10`).
    """
    if not any(f"{METADATA_PREFIX}{HTTP10}" in one.spec.environment_variables for one in configs):
        return lambda *_: False

    @cache
    def takes(namespace: str, labels: Labels) -> bool:
        return proxy_start(configs, namespace, labels, root).metadata.get(HTTP10) == "1"

    return takes


def applied_configs(configs: Iterable[ProxyConfig], namespace: str, labels: Labels, root: str) -> list[ProxyConfig]:
    """Returns the ProxyConfigs that count for a workload: at most one of each level, the last word last."""
    found: dict[int, ProxyConfig] = {}
    for config in sorted(configs, key=lambda one: one.age):
        wanted = labels_of(config.spec.selector.match_labels) if config.spec.selector else ()
        if config.namespace == namespace and wanted:
            if selects(wanted, labels):
                found.setdefault(2, config)
        elif not wanted and config.namespace in (namespace, root):
            found.setdefault(0 if config.namespace == root else 1, config)
    return [found[level] for level in sorted(found)]
