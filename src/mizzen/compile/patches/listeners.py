"""Patches of listeners and what is in them, in Istio's order: what is around before what is within (Istio 2.19)."""

from __future__ import annotations

from dataclasses import dataclass, replace

from mizzen.compile.patches import matching
from mizzen.compile.patches.filters import Marks, patch_network_filters
from mizzen.compile.patches.lists import apply_to_list, rewrite
from mizzen.compile.patches.patch import Patched, Patches, changed
from mizzen.compile.patches.places import INBOUND, ListenerPlace, inbound_routes
from mizzen.compile.patches.routes import PatchHost, patch_host, patch_routes
from mizzen.compile.resource import XdsResource, pack
from mizzen.resources.envoy_filter import OF_ROUTES
from mizzen.stubs.envoy.config.listener.v3.listener_components_pb2 import FilterChain
from mizzen.stubs.envoy.config.listener.v3.listener_pb2 import Listener
from mizzen.stubs.envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
)


@dataclass(frozen=True)
class ListenerView:
    """Everything that a patched listener depends on; ``patches`` are those of listeners, and of routes if it is inbound."""

    resource: XdsResource
    place: ListenerPlace
    patches: Patches
    prefix: str = ""


def patch_listener(view: ListenerView, host: PatchHost = patch_host) -> Patched:
    """Changes a listener; virtual hosts in it are changed by ``host``."""
    listener = Listener.FromString(view.resource.body)
    marks = Marks()
    if view.place.context == INBOUND:
        _patch_inline_routes(listener, view, marks, host)
    own = [one for one in view.patches if one.target == "LISTENER" and matching.at_listener(one, view.place)]
    for patch in own:
        if patch.operation == "ADD":
            continue
        marks.hits.add(patch.id)
        if patch.operation == "REMOVE":
            return Patched(None, frozenset(marks.hits))
        patch.merge_into(listener)
    _patch_listener_filters(listener, view, marks)
    _patch_chains(listener, view, marks)
    filters = tuple((name, tuple(patches)) for name, patches in marks.discovered.items())
    return replace(changed(view.resource, listener, marks.hits), filters=filters)


def _patch_inline_routes(listener: Listener, view: ListenerView, marks: Marks, host: PatchHost) -> None:
    patches = [one for one in view.patches if one.target in OF_ROUTES]
    for chain in listener.filter_chains if patches else ():
        for filter_ in chain.filters:
            if not filter_.typed_config.Is(HttpConnectionManager.DESCRIPTOR):
                continue
            manager = HttpConnectionManager.FromString(filter_.typed_config.value)
            place = inbound_routes(manager.route_config.name.removeprefix(view.prefix))
            if hits := patch_routes(manager.route_config, place, patches, host):
                marks.hits |= hits
                filter_.typed_config.CopyFrom(pack(manager))


def _patch_listener_filters(listener: Listener, view: ListenerView, marks: Marks) -> None:
    patches = [one for one in view.patches if one.target == "LISTENER_FILTER" and matching.at_listener(one, view.place)]
    if not patches:
        return
    filters = list(listener.listener_filters)
    for patch in patches:
        if patch.merges:
            for filter_ in filters:
                if matching.at_listener_filter(patch, filter_.name):
                    patch.merge_into(filter_)
                    marks.hits.add(patch.id)
        elif apply_to_list(
            filters,
            patch,
            lambda one, patch=patch: matching.at_listener_filter(patch, one.name),  # type: ignore[misc]
            named=bool(matching.listener_filter(patch)),
        ):
            marks.hits.add(patch.id)
    rewrite(listener.listener_filters, filters)


def _patch_chains(listener: Listener, view: ListenerView, marks: Marks) -> None:
    kept = [chain for chain in listener.filter_chains if _patch_chain(chain, view, marks)]
    if listener.HasField("default_filter_chain") and not _patch_chain(listener.default_filter_chain, view, marks):
        listener.ClearField("default_filter_chain")
    for patch in view.patches:
        if patch.target == "FILTER_CHAIN" and patch.operation == "ADD" and matching.at_listener(patch, view.place):
            kept.append(patch.message())  # type: ignore[arg-type]
            marks.hits.add(patch.id)
    if [*listener.filter_chains] != kept:
        rewrite(listener.filter_chains, kept)


def _patch_chain(chain: FilterChain, view: ListenerView, marks: Marks) -> bool:
    """Changes a filter chain; tells whether it stays."""
    for patch in view.patches:
        if patch.target != "FILTER_CHAIN" or patch.operation == "ADD":
            continue
        if matching.at_chain(patch, view.place, chain):
            marks.hits.add(patch.id)
            if patch.operation == "REMOVE":
                return False
            patch.merge_into(chain)
    patch_network_filters(chain, view.place, view.patches, marks)
    return True
