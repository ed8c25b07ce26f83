"""Patches of filters: network filters, and the HTTP filters of a connection manager (Istio 2.19).

What takes requests or connections in the end has to stay the last, so what is added without a place comes before it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from mizzen.compile.patches import matching
from mizzen.compile.patches.lists import apply_to_list, rewrite
from mizzen.compile.patches.patch import Patch, PatchId
from mizzen.compile.patches.places import ListenerPlace
from mizzen.compile.resource import pack
from mizzen.envoy_api.json_form import TYPE
from mizzen.resources.envoy_filter import HTTP_CONNECTION_MANAGER
from mizzen.stubs.envoy.config.listener.v3.listener_components_pb2 import Filter, FilterChain
from mizzen.stubs.envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
    HttpFilter,
)

_ROUTER = "envoy.filters.http.router"
_ENDS = frozenset({HTTP_CONNECTION_MANAGER, matching.TCP_PROXY})
# After which filters one of a class stands: those that say who calls, and those that say what callers may do.
_AUTHENTICATION = frozenset({"envoy.filters.http.jwt_authn"})
_AUTHORIZATION = frozenset({"envoy.filters.http.rbac", "envoy.filters.http.ext_authz"})
_AFTER = {"AUTHN": _AUTHENTICATION, "AUTHZ": _AUTHENTICATION | _AUTHORIZATION}


@dataclass
class Marks:
    """What came of patches: those that changed something, and those for filters that come by themselves, by name."""

    hits: set[PatchId] = field(default_factory=set)
    discovered: dict[str, list[Patch]] = field(default_factory=dict)


def patch_network_filters(chain: FilterChain, place: ListenerPlace, patches: Sequence[Patch], marks: Marks) -> None:
    """Applies patches of network filters to a chain that is for them, and those of HTTP filters to its manager."""
    here = [patch for patch in patches if matching.at_chain(patch, place, chain)]
    own = [patch for patch in here if patch.target == "NETWORK_FILTER"]
    _change_network_filters(chain, [patch for patch in own if not patch.merges], marks)
    of_http = [patch for patch in here if patch.target == "HTTP_FILTER"]
    for filter_ in chain.filters:
        for patch in own:
            if patch.merges and matching.at_network_filter(patch, filter_):
                _merge_network_filter(filter_, patch, marks)
        if filter_.typed_config.Is(HttpConnectionManager.DESCRIPTOR):
            _patch_manager(filter_, [one for one in of_http if matching.at_network_filter(one, filter_)], marks)


def _change_network_filters(chain: FilterChain, patches: Iterable[Patch], marks: Marks) -> None:
    filters = list(chain.filters)
    for patch in patches:
        ends = bool(filters) and matching.filter_name(filters[-1]) in _ENDS
        named = bool(patch.match.listener and patch.match.listener.filter)
        if apply_to_list(
            filters,
            patch,
            lambda one, patch=patch: matching.at_network_filter(patch, one),  # type: ignore[misc]
            named=named,
            end=len(filters) - 1 if ends else None,
        ):
            marks.hits.add(patch.id)
    if [*chain.filters] != filters:
        rewrite(chain.filters, filters)


def _merge_network_filter(filter_: Filter, patch: Patch, marks: Marks) -> None:
    if filter_.HasField("config_discovery"):
        if _config(patch) is None or not same_type(matching.TCP_PROXY_TYPE, patch):
            return
        # It comes by itself, so that a change of it leaves connections alone; and so it is changed by itself.
        marks.discovered.setdefault(filter_.name, []).append(patch)
        marks.hits.add(patch.id)
    elif same_type(filter_.typed_config.type_url, patch):
        patch.merge_into(filter_)
        marks.hits.add(patch.id)


def same_type(type_url: str, patch: Patch) -> bool:
    """Tells whether a merge is for a filter with a configuration of this type; one without any is for each."""
    config = _config(patch)
    return config is None or str(config.get(TYPE)).rpartition("/")[2] == type_url.rpartition("/")[2]


def _config(patch: Patch) -> Any:
    return patch.value.get("typed_config", patch.value.get("typedConfig"))


def merge_discovered(config: Any, patch: Patch) -> bool:
    """Merges the configuration of a filter that comes by itself; tells whether it was for that."""
    given = _config(patch)
    if given is None or not same_type(config.typed_config.type_url, patch):
        return False
    patch.merge_into(config, {"typed_config": given})
    return True


def _patch_manager(filter_: Filter, patches: Sequence[Patch], marks: Marks) -> None:
    if not patches:
        return
    manager = HttpConnectionManager.FromString(filter_.typed_config.value)
    hits: set[PatchId] = set()
    filters = list(manager.http_filters)
    added: dict[str, int] = {}
    for patch in patches:
        if not patch.merges and _change_http_filters(filters, patch, added):
            hits.add(patch.id)
    rewrite(manager.http_filters, filters)
    for inner in manager.http_filters:
        for patch in patches:
            alike = matching.at_http_filter(patch, inner.name) and same_type(inner.typed_config.type_url, patch)
            if patch.merges and alike:
                patch.merge_into(inner)
                hits.add(patch.id)
    if hits:
        filter_.typed_config.CopyFrom(pack(manager))
        marks.hits |= hits


def _change_http_filters(filters: list[HttpFilter], patch: Patch, added: dict[str, int]) -> bool:
    ends = bool(filters) and filters[-1].name == _ROUTER
    if patch.operation == "ADD":
        filters.insert(_place_of_class(filters, patch.filter_class, added, ends=ends), patch.message())  # type: ignore[arg-type]
        return True
    return apply_to_list(
        filters,
        patch,
        lambda one: matching.at_http_filter(patch, one.name),
        named=bool(matching.sub_filter(patch)),
        end=len(filters) - 1 if ends else None,
    )


def _place_of_class(filters: Sequence[HttpFilter], class_: str, added: dict[str, int], *, ends: bool) -> int:
    """Returns where a filter of a class is added: within a class they stand in the order of their patches."""
    if class_ not in _AFTER:
        return len(filters) - 1 if ends else len(filters)
    last = max((at for at, one in enumerate(filters) if one.name in _AFTER[class_]), default=-1)
    earlier = added.get("AUTHN", 0) if class_ == "AUTHZ" and last < 0 else 0
    at = last + 1 + earlier + added.get(class_, 0)
    added[class_] = added.get(class_, 0) + 1
    return at
