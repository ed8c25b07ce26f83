"""How the Envoys of workloads are started: what ProxyConfigs say of it, and EnvoyFilters of its bootstrap.

These take effect at the start of an Envoy, so a change replaces the replicas, one by one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping

from mizzen.mesh.envoy_filters import is_for_proxy, selected
from mizzen.mesh.model import EnvoyFilter, Labels, ProxyConfig
from mizzen.mesh.proxy_configs import proxy_start
from mizzen.registry.proxy_settings import BootstrapPatch, ProxySettings
from mizzen.resources.envoy_filter import ConfigPatch

GATEWAY_CONTEXTS = frozenset({"ANY", "GATEWAY"})
SIDECAR_CONTEXTS = frozenset({"ANY", "SIDECAR_INBOUND", "SIDECAR_OUTBOUND"})


def starting_metadata(namespace: str, workload: str, service_account: str) -> dict[str, str]:
    """Returns what the proxies of all replicas of a workload say of themselves alike."""
    return {"NAMESPACE": namespace, "WORKLOAD_NAME": workload, "SERVICE_ACCOUNT": service_account}


def proxy_settings(
    configs: Collection[ProxyConfig],
    filters: Collection[EnvoyFilter],
    metadata: Mapping[str, str],
    labels: Labels,
    *,
    is_gateway: bool,
    root: str,
) -> ProxySettings:
    """Returns the settings for the proxy of a workload; ``metadata`` is what that says of itself in any case."""
    if not configs and not filters:
        return ProxySettings()
    namespace = metadata["NAMESPACE"]
    start = proxy_start(configs, namespace, labels, root)
    contexts = GATEWAY_CONTEXTS if is_gateway else SIDECAR_CONTEXTS
    chosen = selected(filters, namespace, labels, root)
    return ProxySettings(
        concurrency=start.concurrency,
        env=dict(start.env),
        metadata=dict(start.metadata),
        bootstrap=tuple(_bootstrap(chosen, {**start.metadata, **metadata}, contexts)),
    )


def _bootstrap(
    filters: Iterable[EnvoyFilter], metadata: Mapping[str, str], contexts: frozenset[str]
) -> Iterator[BootstrapPatch]:
    for written in (each for one in filters for each in one.spec.config_patches):
        if patches_bootstrap(written, metadata, contexts) and written.patch:
            replace = written.patch.operation == "MERGE_AND_REPLACE_LIST"
            yield BootstrapPatch(value=dict(written.patch.value or {}), replace_lists=replace)


def patches_bootstrap(written: ConfigPatch, metadata: Mapping[str, str], contexts: frozenset[str]) -> bool:
    """Tells whether a patch is for the bootstrap of a proxy that says this of itself."""
    match = written.match
    return written.apply_to == "BOOTSTRAP" and match.context in contexts and is_for_proxy(match.proxy, metadata)
