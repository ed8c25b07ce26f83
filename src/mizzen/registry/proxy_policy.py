"""How Envoys are started: what ProxyConfigs say of it, and EnvoyFilters of their bootstrap. Pure.

These take effect at the start of an Envoy. A change replaces the replicas of Workloads, one by one. What else has an Envoy is
not the mesh's to replace: containers, commands of `mizzen run`, and the node's proxy, which serves many. For these the node asks
here when it starts one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

from mizzen.mesh.envoy_filters import is_for_proxy, selected
from mizzen.mesh.model import EnvoyFilter, Labels, ProxyConfig, Snapshot
from mizzen.mesh.proxy_configs import applied_configs, proxy_start
from mizzen.registry.proxy_settings import BootstrapPatch, ProxySettings, Start, StartResource
from mizzen.resources.envoy_filter import ConfigPatch, EnvoyFilterSpec
from mizzen.resources.key import Key
from mizzen.resources.mesh_config import DEFAULT_ROOT_NAMESPACE
from mizzen.resources.proxy_config import HTTP10, ProxyConfigSpec
from mizzen.resources.resource import Resource

_GATEWAY_CONTEXTS = frozenset({"ANY", "GATEWAY"})
_SIDECAR_CONTEXTS = frozenset({"ANY", "SIDECAR_INBOUND", "SIDECAR_OUTBOUND"})
_BOOTSTRAP = "BOOTSTRAP"
SpecT = TypeVar("SpecT", ProxyConfigSpec, EnvoyFilterSpec)


@dataclass(frozen=True)
class StartPolicy:
    """All that is written of how Envoys are started; ``root`` is the namespace whose resources are for all."""

    configs: tuple[ProxyConfig, ...] = ()
    filters: tuple[EnvoyFilter, ...] = ()
    root: str = DEFAULT_ROOT_NAMESPACE

    @classmethod
    def in_force(cls, snapshot: Snapshot) -> StartPolicy:
        return cls(snapshot.proxy_configs, snapshot.envoy_filters, snapshot.root_namespace)

    @classmethod
    def told(cls, resources: Iterable[StartResource], root: str) -> StartPolicy:
        """Returns what a node was told. Raises pydantic's ValidationError for what another version of Mizzen says."""
        given = tuple(resources)
        return cls(
            tuple(_resource(one, ProxyConfigSpec) for one in given if one.kind == "ProxyConfig"),
            tuple(_resource(one, EnvoyFilterSpec) for one in given if one.kind == "EnvoyFilter"),
            root,
        )

    def start(
        self, namespace: str, workload: str, service_account: str, labels: Labels, *, is_gateway: bool = False
    ) -> Start:
        """Returns how the Envoy of a workload is started; the one of a node is a workload without labels."""
        if not self.configs and not self.filters:
            return Start()
        start = proxy_start(self.configs, namespace, labels, self.root)
        patches = [
            (one, one.spec.config_patches[index])
            for one, index in self.patches(namespace, workload, service_account, labels, is_gateway=is_gateway)
        ]
        settings = ProxySettings(
            concurrency=start.concurrency,
            env=dict(start.env),
            # Of this the control plane makes listeners, so that no proxy need be started anew for it.
            metadata={name: value for name, value in start.metadata.items() if name != HTTP10},
            bootstrap=tuple(_bootstrap(written for _, written in patches)),
        )
        configs = applied_configs(self.configs, namespace, labels, self.root)
        return Start(
            settings,
            tuple(
                sorted({one.digest for one in configs if one.spec.concerns_start} | {one.digest for one, _ in patches})
            ),
        )

    def patches(
        self, namespace: str, workload: str, service_account: str, labels: Labels, *, is_gateway: bool = False
    ) -> Iterator[tuple[EnvoyFilter, int]]:
        """Yields the patches for the bootstrap of a workload's Envoy, in order: each as its EnvoyFilter and its number there."""
        said = proxy_start(self.configs, namespace, labels, self.root).metadata
        metadata = {
            **said,
            # What the proxies of all replicas of a workload say of themselves alike.
            "NAMESPACE": namespace,
            "WORKLOAD_NAME": workload,
            "SERVICE_ACCOUNT": service_account,
        }
        contexts = _GATEWAY_CONTEXTS if is_gateway else _SIDECAR_CONTEXTS
        for one in selected(self.filters, namespace, labels, self.root):
            for index, written in enumerate(one.spec.config_patches):
                if _patches_bootstrap(written, metadata, contexts):
                    yield one, index


def start_resources(configs: Iterable[ProxyConfig], filters: Iterable[EnvoyFilter]) -> tuple[StartResource, ...]:
    """Returns what a node has to know of these to start Envoys."""
    of_bootstraps = [one for one in filters if any(each.apply_to == _BOOTSTRAP for each in one.spec.config_patches)]
    return tuple(
        StartResource(
            kind=one.key.kind,
            namespace=one.namespace,
            name=one.name,
            digest=one.digest,
            created=one.created,
            spec=one.spec.to_document(),
        )
        for one in (*configs, *of_bootstraps)
    )


def _resource(told: StartResource, spec: type[SpecT]) -> Resource[SpecT]:
    key = Key(told.kind, told.namespace, told.name)
    return Resource(key, "", told.digest, spec.model_validate(told.spec), created=told.created)


def _bootstrap(patches: Iterable[ConfigPatch]) -> Iterator[BootstrapPatch]:
    for written in patches:
        if written.patch:
            replace = written.patch.operation == "MERGE_AND_REPLACE_LIST"
            yield BootstrapPatch(value=dict(written.patch.value or {}), replace_lists=replace)


def _patches_bootstrap(written: ConfigPatch, metadata: Mapping[str, str], contexts: Collection[str]) -> bool:
    """Tells whether a patch is for the bootstrap of a proxy that says this of itself."""
    match = written.match
    return written.apply_to == _BOOTSTRAP and match.context in contexts and is_for_proxy(match.proxy, metadata)
