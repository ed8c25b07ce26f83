"""Retries that can repeat a request which may have been acted on (decision 14).

A request that failed with a response, or whose connection broke after it was sent, may have taken effect. To send it
again is harmless where its method is safe or idempotent (RFC 9110, 9.2), and pays twice elsewhere. What Istio retries
without being told (connection failures, refused streams and the like) cannot have been acted on.
"""

from __future__ import annotations

from collections.abc import Iterator

from mizzen.resources.findings import Finding, warning
from mizzen.resources.model import StringMatch
from mizzen.resources.virtual_service import HTTPRetry, HTTPRoute

CODE = "MZN0004"

IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})
"""Methods for which twice is the same as once (RFC 9110, 9.2.2)."""

_UNSAFE = frozenset(
    {
        *("5xx", "gateway-error", "reset", "http3-post-connect-failure", "retriable-4xx", "retriable-headers"),
        *("cancelled", "deadline-exceeded", "internal", "unavailable"),
        "retriable-status-codes",
    }
)


def unsafe_retries(path: str, route: HTTPRoute) -> Iterator[Finding]:
    """Yields a warning for a route with such a policy that is not for methods alone that can be repeated."""
    if not _only_idempotent(route):
        yield from unsafe_policy(f"{path}.retries", route.retries)


def unsafe_policy(path: str, given: HTTPRetry | None) -> Iterator[Finding]:
    """Yields a warning for such a policy, whatever it is for."""
    found = _conditions(given.retry_on) if given and given.attempts > 0 else []
    if found:
        message = f"`retryOn: {','.join(found)}` can repeat a request that may have been acted on"
        hint = (
            "match `method` GET or another that can be repeated, or leave to `retryOn` what comes before a request is"
        )
        hint += " sent (connect-failure, refused-stream, reset-before-request)"
        yield warning(f"{path}.retryOn", message, hint, CODE)


def _conditions(written: str) -> list[str]:
    found = [one.strip() for one in written.split(",")]
    return [one for one in found if one in _UNSAFE or (one.isdecimal() and 500 <= int(one) <= 599)]


def _only_idempotent(route: HTTPRoute) -> bool:
    """Says whether all of a route's matches are for methods that can be repeated."""
    return bool(route.match) and all(_idempotent(match.method) for match in route.match)


def _idempotent(method: StringMatch | None) -> bool:
    if method is None:
        return False
    if method.exact:
        return method.exact in IDEMPOTENT
    choices = (method.regex or "").strip("^$").removeprefix("(").removesuffix(")").removeprefix("?:")
    return bool(choices) and set(choices.split("|")) <= IDEMPOTENT
