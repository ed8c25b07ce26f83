"""Resources in force that are for no proxy's start: what they say is not wrong, and changes nothing. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from mizzen.compile.patches.idle import CODE
from mizzen.mesh.envoy_filters import selected
from mizzen.mesh.model import EnvoyFilter, Instance, Snapshot
from mizzen.mesh.proxy_configs import applied_configs, proxy_start
from mizzen.mesh.proxy_kind import ProxyKind
from mizzen.mesh.spiffe import SpiffeId
from mizzen.registry.proxy_policy import GATEWAY_CONTEXTS, SIDECAR_CONTEXTS, patches_bootstrap, starting_metadata
from mizzen.resources.key import Key
from mizzen.resources.paths import join
from mizzen.resources.problems import Level, Problem

_ELSEWHERE = "the proxies of nodes, of containers and of `mizzen run` start without it"


def idle_settings(snapshot: Snapshot, written: Collection[Key]) -> Iterator[Problem]:
    """Yields a warning for each ProxyConfig, and each patch of a bootstrap, with which no proxy is started.

    ``written`` are the Workloads that users wrote: their own proxies are started with them, and no others.
    """
    if not snapshot.proxy_configs and not snapshot.envoy_filters:
        return
    own = [
        (instance, proxy.kind)
        for proxy in snapshot.proxies.values()
        if proxy.kind in (ProxyKind.SIDECAR, ProxyKind.GATEWAY)
        for instance in proxy.instances
        if instance.origin in written
    ]
    used = {
        config.key
        for instance, _ in own
        for config in applied_configs(
            snapshot.proxy_configs, instance.namespace, instance.labels, snapshot.root_namespace
        )
    }
    for config in snapshot.proxy_configs:
        if config.key not in used:
            message = (
                "no proxy is started with it: it is for no Workload with a proxy of its own, or an older one counts"
            )
            yield config.problem("StartsNothing", "spec", message, _ELSEWHERE, Level.WARNING)
    for one in snapshot.envoy_filters:
        for index, patch in enumerate(one.spec.config_patches):
            if patch.apply_to == "BOOTSTRAP" and not any(_starts(one, index, each, snapshot) for each in own):
                path = join("spec.configPatches", index)
                message = "this patch changes nothing: no proxy is started with it"
                yield one.problem(CODE, path, message, _ELSEWHERE, Level.WARNING)


def _starts(one: EnvoyFilter, index: int, served: tuple[Instance, ProxyKind], snapshot: Snapshot) -> bool:
    instance, kind = served
    contexts = GATEWAY_CONTEXTS if kind is ProxyKind.GATEWAY else SIDECAR_CONTEXTS
    if not selected([one], instance.namespace, instance.labels, snapshot.root_namespace):
        return False
    account = SpiffeId.parse(instance.identity).service_account
    own = starting_metadata(instance.namespace, instance.origin.name, account)
    said = proxy_start(snapshot.proxy_configs, instance.namespace, instance.labels, snapshot.root_namespace).metadata
    return patches_bootstrap(one.spec.config_patches[index], {**said, **own}, contexts)
