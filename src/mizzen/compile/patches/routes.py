"""Patches of route configurations, their virtual hosts, and the routes in these (Istio 2.19)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

from mizzen.compile.patches import matching
from mizzen.compile.patches.lists import apply_to_list, rewrite
from mizzen.compile.patches.patch import Patch, Patches, PatchId
from mizzen.compile.patches.places import RoutesPlace
from mizzen.stubs.envoy.config.route.v3.route_components_pb2 import VirtualHost
from mizzen.stubs.envoy.config.route.v3.route_pb2 import RouteConfiguration


class HostView(NamedTuple):
    """Everything that a patched virtual host depends on, itself encoded; the patches are those for its place."""

    body: bytes
    patches: Patches


PatchHost: TypeAlias = Callable[[HostView], tuple[VirtualHost | None, frozenset[PatchId]]]


def patch_host(view: HostView) -> tuple[VirtualHost | None, frozenset[PatchId]]:
    """Returns what becomes of a virtual host, None if it is removed, and the patches that changed something in it."""
    hits: set[PatchId] = set()
    return _patch_host(VirtualHost.FromString(view.body), view.patches, hits), frozenset(hits)


def patch_routes(
    config: RouteConfiguration, place: RoutesPlace, patches: Sequence[Patch], build: PatchHost = patch_host
) -> set[PatchId]:
    """Changes a route configuration; returns the patches that changed something in it.

    Its virtual hosts are made by ``build``: of a thousand most are as they were before.
    """
    hits: set[PatchId] = set()
    for patch in patches:
        if patch.target == "ROUTE_CONFIGURATION" and matching.at_routes(patch, place):
            patch.merge_into(config)
            hits.add(patch.id)
    hosts = []
    of_hosts = [patch for patch in patches if patch.target != "ROUTE_CONFIGURATION"]
    everywhere = None if place.all_ports else tuple(one for one in of_hosts if matching.at_routes(one, place))
    for host in config.virtual_hosts:
        here = everywhere
        if here is None:
            here = tuple(patch for patch in of_hosts if matching.at_routes(patch, place, host))
        left, found = build(HostView(host.SerializeToString(deterministic=True), here)) if here else (host, frozenset())
        hits |= found
        if left is not None:
            hosts.append(left)
    for patch in patches:
        if patch.target == "VIRTUAL_HOST" and patch.operation == "ADD" and matching.at_routes(patch, place):
            hosts.append(patch.message())  # type: ignore[arg-type]
            hits.add(patch.id)
    if hits:
        rewrite(config.virtual_hosts, hosts)
    return hits


def _patch_host(host: VirtualHost, patches: Sequence[Patch], hits: set[PatchId]) -> VirtualHost | None:
    """Returns a virtual host with all changes, or None if it is removed."""
    for patch in patches:
        if patch.target == "VIRTUAL_HOST" and patch.operation != "ADD" and matching.at_host(patch, host):
            hits.add(patch.id)
            if patch.operation == "REMOVE":
                return None
            if patch.operation == "REPLACE":
                host = patch.message()  # type: ignore[assignment]
            else:
                patch.merge_into(host)
    of_routes = [patch for patch in patches if patch.target == "HTTP_ROUTE" and matching.at_host(patch, host)]
    if of_routes:
        _patch_each(host, of_routes, hits)
    return host


def _patch_each(host: VirtualHost, patches: Sequence[Patch], hits: set[PatchId]) -> None:
    routes = []
    for route in host.routes:
        removed = False
        for patch in patches:
            if (patch.merges or patch.operation == "REMOVE") and matching.at_route(patch, route):
                hits.add(patch.id)
                removed = patch.operation == "REMOVE"
                if removed:
                    break
                patch.merge_into(route)
        if not removed:
            routes.append(route)
    for patch in patches:
        if patch.merges or patch.operation == "REMOVE":
            continue
        if apply_to_list(
            routes,
            patch,
            lambda one, patch=patch: matching.at_route(patch, one),  # type: ignore[misc]
            named=matching.has_route_match(patch),
            first_needs_match=True,
        ):
            hits.add(patch.id)
    rewrite(host.routes, routes)
