"""How a delegate's routes take the place of the route that delegates to it (Istio 2.3, Delegates). Pure.

:func:`with_delegates` does it for all VirtualServices, with :func:`merged` for one route.

What the root asks of a request, the delegate may narrow and not widen: each of its matches is joined with each of the root's
that does not exclude it, and a route of which some match fits none is left out. What a route does beside that is the
delegate's word, or else the root's, each field as a whole.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from mizzen.resources.gateway_names import gateway_name
from mizzen.resources.hosts import resolve
from mizzen.resources.model import StringMatch
from mizzen.resources.resource import Resource
from mizzen.resources.virtual_service import Destination, HTTPMatchRequest, HTTPRoute, VirtualServiceSpec
from mizzen.resources.visibility import visibility

VirtualService: TypeAlias = Resource[VirtualServiceSpec]

_INHERITED = (
    "rewrite",
    "direct_response",
    "timeout",
    "retries",
    "fault",
    "mirror",
    "mirrors",
    "mirror_percentage",
    "mirror_percent",
    "cors_policy",
    "headers",
)
_STRINGS = ("uri", "scheme", "method", "authority")
_MAPPINGS = ("headers", "without_headers", "query_params")


def merged(root: HTTPRoute, delegate: HTTPRoute) -> HTTPRoute | None:
    """Returns a route of a delegate as the root has it, or None if its matches do not fit the root's."""
    matches = _matches(root.match, delegate.match)
    if matches is None:
        return None
    changes: dict[str, Any] = {"match": matches, "name": _joined(root.name, delegate.name)}
    # `mirrors` is a list, of which an empty one says nothing.
    changes |= {name: getattr(root, name) for name in _INHERITED if getattr(delegate, name) in (None, ())}
    return delegate.model_copy(update=changes)


def in_full(route: HTTPRoute, namespace: str) -> HTTPRoute:
    """Returns a route with the names in it in full, of hosts and of Gateways, so that it means the same in another namespace."""

    def full(destination: Destination | None) -> Destination | None:
        return destination and destination.model_copy(update={"host": resolve(destination.host, namespace)})

    changes: dict[str, object] = {
        "route": tuple(one.model_copy(update={"destination": full(one.destination)}) for one in route.route),
        "mirror": full(route.mirror),
        "mirrors": tuple(one.model_copy(update={"destination": full(one.destination)}) for one in route.mirrors),
    }
    if any(match.gateways for match in route.match):
        changes["match"] = tuple(
            match.model_copy(update={"gateways": tuple(gateway_name(name, namespace) for name in match.gateways)})
            for match in route.match
        )
    return route.model_copy(update=changes)


def _joined(root: str, delegate: str) -> str:
    return "-".join(name for name in (root, delegate) if name)


def _matches(
    root: Sequence[HTTPMatchRequest], delegate: Sequence[HTTPMatchRequest]
) -> tuple[HTTPMatchRequest, ...] | None:
    """Returns all pairs of matches that fit; without any on one side the other's."""
    if not root or not delegate:
        return tuple(root or delegate)
    found: list[HTTPMatchRequest] = []
    for own in delegate:
        fitting = [_match(one, own) for one in root if not _excludes(one, own)]
        if not fitting:
            return None
        found += fitting
    return tuple(found)


def _match(root: HTTPMatchRequest, delegate: HTTPMatchRequest) -> HTTPMatchRequest:
    changes: dict[str, Any] = {"name": _joined(root.name, delegate.name)}
    for name in (*_STRINGS, "port", "source_namespace", "gateways", "stat_prefix"):
        changes[name] = getattr(delegate, name) or getattr(root, name)
    for name in (*_MAPPINGS, "source_labels"):
        changes[name] = {**getattr(root, name), **getattr(delegate, name)}
    return delegate.model_copy(update=changes)


def _excludes(root: HTTPMatchRequest, delegate: HTTPMatchRequest) -> bool:
    """Tells whether a delegate's match asks for what the root's does not allow."""
    return (
        any(_differ(getattr(root, name), getattr(delegate, name)) for name in _STRINGS)
        or any(_differ_in_some(getattr(root, name), getattr(delegate, name)) for name in _MAPPINGS)
        or root.ignore_uri_case != delegate.ignore_uri_case
        or bool(root.port and delegate.port and root.port != delegate.port)
        # As in Istio the delegate has to say it too: to say nothing is to ask for callers of all namespaces.
        or bool(root.source_namespace and root.source_namespace != delegate.source_namespace)
        or any(root.source_labels.get(name, value) != value for name, value in delegate.source_labels.items())
        or bool(root.gateways and not set(delegate.gateways) <= set(root.gateways))
    )


def _differ_in_some(root: Mapping[str, StringMatch], delegate: Mapping[str, StringMatch]) -> bool:
    return any(_differ(root.get(name), value) for name, value in delegate.items())


def _differ(root: StringMatch | None, delegate: StringMatch | None) -> bool:
    """Tells whether a comparison is not within another. Nothing is said of expressions: they never are."""
    if root is None or delegate is None:
        return False
    if root.regex or delegate.regex:
        return True
    if root.exact:
        return delegate.exact != root.exact
    narrower = delegate.prefix or delegate.exact
    return not (root.prefix and narrower and narrower.startswith(root.prefix))


def delegations(routes: Sequence[HTTPRoute]) -> Iterator[tuple[int, HTTPRoute]]:
    """Yields the routes that delegate, each with its position."""
    return ((index, route) for index, route in enumerate(routes) if route.delegate is not None)


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
