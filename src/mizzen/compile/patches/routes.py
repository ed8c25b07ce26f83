"""Patches of route configurations, their virtual hosts, and the routes in these (Istio 2.19)."""

from __future__ import annotations

from collections.abc import Sequence

from mizzen.compile.patches import matching
from mizzen.compile.patches.lists import apply_to_list, rewrite
from mizzen.compile.patches.patch import Patch, PatchId
from mizzen.compile.patches.places import RoutesPlace
from mizzen.stubs.envoy.config.route.v3.route_components_pb2 import VirtualHost
from mizzen.stubs.envoy.config.route.v3.route_pb2 import RouteConfiguration

TARGETS = frozenset({"ROUTE_CONFIGURATION", "VIRTUAL_HOST", "HTTP_ROUTE"})


def patch_routes(config: RouteConfiguration, place: RoutesPlace, patches: Sequence[Patch]) -> set[PatchId]:
    """Changes a route configuration; returns the patches that changed something in it."""
    hits: set[PatchId] = set()
    for patch in patches:
        if patch.target == "ROUTE_CONFIGURATION" and matching.at_routes(patch, place):
            patch.merge_into(config)
            hits.add(patch.id)
    hosts = []
    for host in config.virtual_hosts:
        here = [patch for patch in patches if matching.at_routes(patch, place, host)]
        if (left := _patch_host(host, here, hits)) is not None:
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
