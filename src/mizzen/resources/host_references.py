"""Checks that no two VirtualServices claim one host of the mesh. Pure; a part of :mod:`mizzen.resources.references`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from mizzen.resources import hosts
from mizzen.resources.gateway_names import for_mesh
from mizzen.resources.paths import join
from mizzen.resources.problems import Problem
from mizzen.resources.resource import Resource
from mizzen.resources.virtual_service import VirtualServiceSpec
from mizzen.resources.visibility import meet, seen_by

CONFLICTING_HOSTS = "IST0109"


def conflicting_hosts(routes: Iterable[Resource[VirtualServiceSpec]]) -> Iterator[Problem]:
    """Yields an error for each mesh host that two VirtualServices claim: the oldest would win, and nobody be told."""
    claimed: dict[str, list[tuple[Resource[VirtualServiceSpec], str]]] = defaultdict(list)
    for resource in sorted(routes, key=lambda resource: resource.age):
        if not for_mesh(resource.spec.gateways):
            continue
        for index, host in enumerate(resource.spec.hosts):
            path = join("spec.hosts", index)
            full = hosts.resolve(host, resource.namespace)
            twin = next((one for one, _ in claimed[full] if one is not resource and _overlap(one, resource)), None)
            if twin is not None:
                place = next(where for one, where in claimed[full] if one is twin)
                message = (
                    f"{full} is claimed by two VirtualServices: {twin.key} at {twin.source.position(place)} has it too"
                )
                hint = "put the routes into one VirtualService, or delete one of them"
                yield resource.problem(CONFLICTING_HOSTS, path, message, hint)
            claimed[full].append((resource, path))


def _overlap(one: Resource[VirtualServiceSpec], other: Resource[VirtualServiceSpec]) -> bool:
    """Says whether some namespace sees both."""
    return meet(*(seen_by(resource.spec.export_to, resource.namespace) for resource in (one, other)))
