"""VirtualServices whose routes stand in other ones: puts these in their place (Istio 2.3, Delegates)."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator, Mapping, Sequence

from mizzen.mesh.model import VirtualService
from mizzen.resources.delegates import delegations, in_full, merged
from mizzen.resources.virtual_service import HTTPRoute
from mizzen.resources.visibility import visibility


def with_delegates(rules: Sequence[VirtualService]) -> list[VirtualService]:
    """Returns the VirtualServices that route something, each with the routes of its delegates, in the same order.

    Who delegates to what is not there, or not exported to it, is left without that route.
    """
    delegates = {(rule.namespace, rule.name): rule for rule in rules if not rule.spec.hosts}
    return [_whole(rule, delegates) if any(delegations(rule.spec.http)) else rule for rule in rules if rule.spec.hosts]


def _whole(root: VirtualService, delegates: Mapping[tuple[str, str], VirtualService]) -> VirtualService:
    found: dict[int, VirtualService] = {}
    for index, route in delegations(root.spec.http):
        if route.delegate is not None:
            delegate = delegates.get((route.delegate.namespace or root.namespace, route.delegate.name))
            if delegate and visibility(delegate.spec.export_to, delegate.namespace, root.namespace) is not None:
                found[index] = delegate
    routes = tuple(_routes(root, found))
    # It is another one when any of its parts is.
    digests = "".join(rule.digest for rule in (root, *found.values()))
    return dataclasses.replace(
        root,
        digest=hashlib.sha256(digests.encode()).hexdigest(),
        spec=root.spec.model_copy(update={"http": routes}),
        parts=tuple(sorted({rule.key for rule in found.values()})),
    )


def _routes(root: VirtualService, found: Mapping[int, VirtualService]) -> Iterator[HTTPRoute]:
    for index, route in enumerate(root.spec.http):
        if route.delegate is None:
            yield route
        elif index in found:
            here = in_full(route, root.namespace)  # its mirrors
            for own in found[index].spec.http:
                # One level: a delegate that delegates is refused when it is written.
                whole = merged(here, in_full(own, found[index].namespace)) if own.delegate is None else None
                if whole is not None:
                    yield whole
