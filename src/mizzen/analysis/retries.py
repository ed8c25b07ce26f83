"""Retries that can repeat a request which may have been acted on: Mizzen's own message.

A request that failed with a response, or whose connection broke after it was sent, may have taken effect. To send it
again is harmless where its method is safe or idempotent (RFC 9110, 9.2), and pays twice elsewhere. What Istio retries
without being told (connection failures, refused streams and the like) cannot have been acted on.
"""

from __future__ import annotations

from collections.abc import Iterator

from mizzen.analysis.messages import Message, message
from mizzen.analysis.values import Values, at, elements, mapping, mappings, number, text
from mizzen.analysis.world import World
from mizzen.resources.paths import join

IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})
"""Methods for which twice is the same as once (RFC 9110, 9.2.2)."""

UNSAFE = frozenset(
    {"5xx", "gateway-error", "reset", "http3-post-connect-failure", "retriable-4xx", "retriable-headers"}
)
UNSAFE_GRPC = frozenset({"cancelled", "deadline-exceeded", "internal", "unavailable"})
_STATUS = "retriable-status-codes"


def unsafe(world: World) -> Iterator[Message]:
    """MZN0004 for each route with such a policy that is not for safe methods alone."""
    for item in world.of("VirtualService"):
        for index, route in elements(item.spec, "http"):
            retries = mapping(route, "retries")
            conditions = _conditions(text(retries, "retryOn"))
            if conditions and _attempts(retries) and not _only_idempotent(route):
                path = f"{join('spec.http', index)}.retries.retryOn"
                said = f"`retryOn: {','.join(conditions)}` can repeat a request that may have been acted on:"
                said += " match `method` GET or another that can be repeated, or leave to `retryOn` what comes before"
                said += " a request is sent (connect-failure, refused-stream, reset-before-request)"
                yield message("MZN0004", item, path, said)


def _conditions(written: str) -> list[str]:
    found = [one.strip() for one in written.split(",")]
    return [one for one in found if one in UNSAFE or one in UNSAFE_GRPC or one == _STATUS or _server_error(one)]


def _server_error(condition: str) -> bool:
    """Says whether a condition is a status code after which a request may have had an effect."""
    return condition.isdecimal() and 500 <= int(condition) <= 599


def _attempts(retries: Values) -> bool:
    return at(retries, "attempts") is None or number(retries, "attempts") > 0


def _only_idempotent(route: Values) -> bool:
    """Says whether all of a route's matches are for methods that can be repeated."""
    matches = mappings(route, "match")
    return bool(matches) and all(_methods(match) for match in matches)


def _methods(match: Values) -> bool:
    method = mapping(match, "method")
    if exact := text(method, "exact"):
        return exact in IDEMPOTENT
    choices = text(method, "regex").strip("^$").removeprefix("(").removesuffix(")").removeprefix("?:")
    return bool(choices) and set(choices.split("|")) <= IDEMPOTENT
