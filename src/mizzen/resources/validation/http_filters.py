"""Istio's rules for faults, mirrors and CORS."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mizzen.resources.findings import Finding, warning
from mizzen.resources.model import Percent, StringMatch
from mizzen.resources.paths import join
from mizzen.resources.validation import names
from mizzen.resources.validation.destinations import destination
from mizzen.resources.virtual_service import (
    GRPC_STATUSES,
    CorsPolicy,
    FaultAbort,
    FaultDelay,
    HTTPFaultInjection,
    HTTPRoute,
)

_METHODS = frozenset(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "CONNECT", "OPTIONS", "TRACE", "*"])

_ALL = "write `percentage: {value: 100}` for all requests"


def mirrors(path: str, route: HTTPRoute) -> Iterator[Finding]:
    if route.mirror is not None and route.mirrors:
        yield Finding(path, "HTTP route cannot contain both mirror and mirrors")
    if route.mirror is not None:
        yield from destination(f"{path}.mirror", route.mirror)
    elif route.mirror_percentage is not None or route.mirror_percent is not None:
        name = "mirrorPercentage" if route.mirror_percentage is not None else "mirrorPercent"
        hint = "write `mirror`, or a `percentage` in each of `mirrors`"
        yield warning(f"{path}.{name}", f"{name} has no effect without mirror", hint)
    if (route.mirror or route.mirrors) and (route.redirect or route.direct_response):
        name = "mirror" if route.mirror else "mirrors"
        yield warning(f"{path}.{name}", "what is not passed on is not mirrored", "remove it, or write a `route`")
    for index, policy in enumerate(route.mirrors):
        where = join(f"{path}.mirrors", index)
        if policy.destination is None:
            yield Finding(where, "destination is required for mirrors")
        else:
            yield from destination(f"{where}.destination", policy.destination)
        yield from percentage(f"{where}.percentage", policy.percentage)
    if route.mirror_percent is not None:
        if not 0 <= route.mirror_percent <= 100:
            yield Finding(
                f"{path}.mirrorPercent", "mirror_percent must have a max value of 100 (it has range 0 to 100)"
            )
        hint = "use mirrorPercentage"
        yield warning(f"{path}.mirrorPercent", "using deprecated setting mirrorPercent", hint, "IST0002")
    yield from percentage(f"{path}.mirrorPercentage", route.mirror_percentage)


def fault(path: str, given: HTTPFaultInjection | None) -> Iterator[Finding]:
    if given is None:
        return
    if given.delay is None and given.abort is None:
        yield Finding(path, "HTTP fault injection must have an abort and/or a delay")
    if given.delay is not None:
        yield from _delay(f"{path}.delay", given.delay)
    if given.abort is not None:
        yield from _abort(f"{path}.abort", given.abort)


def _delay(path: str, given: FaultDelay) -> Iterator[Finding]:
    if given.fixed_delay is None and given.exponential_delay is None:
        yield warning(path, "delay has no duration, so nothing is delayed", "write `fixedDelay`")
    yield from names.duration(f"{path}.fixedDelay", given.fixed_delay)
    if given.percent:
        yield warning(f"{path}.percent", "using deprecated setting percent", "use percentage", "IST0002")
        if not 0 <= given.percent <= 100:
            yield Finding(f"{path}.percent", f"percentage {given.percent} is not in range 0..100")
    elif given.percentage is None:
        yield warning(path, "delay has no percentage, so nothing is delayed", _ALL)
    yield from percentage(f"{path}.percentage", given.percentage)


def _abort(path: str, given: FaultAbort) -> Iterator[Finding]:
    if given.http_status is not None and not 200 <= given.http_status <= 599:
        yield Finding(f"{path}.httpStatus", f"HTTP status {given.http_status} is not in range 200-599")
    if given.grpc_status is not None and given.grpc_status not in GRPC_STATUSES:
        yield Finding(f"{path}.grpcStatus", f"gRPC status {given.grpc_status!r} is not supported")
    if given.http_status is None and given.grpc_status is None and given.http2_error is None:
        yield warning(path, "abort has no error type, so nothing is aborted", "write `httpStatus` or `grpcStatus`")
    if given.percentage is None:
        yield warning(path, "abort has no percentage, so nothing is aborted", _ALL)
    yield from percentage(f"{path}.percentage", given.percentage)


def percentage(path: str, given: Percent | None) -> Iterator[Finding]:
    if given is not None and given.value != 0 and not 0.0001 <= given.value <= 100:
        message = (
            f"percentage {given.value} is neither 0.0, nor in range [0.0001, 100.0]; it must have a max value of 100"
        )
        yield Finding(f"{path}.value", message)


def cors(path: str, given: CorsPolicy | None) -> Iterator[Finding]:
    if given is None:
        return
    if given.allow_origin:
        hint = "write `allowOrigins` with `exact`" if not given.allow_origins else "remove it: allowOrigins decides"
        yield warning(f"{path}.allowOrigin", "using deprecated setting allowOrigin", hint, "IST0002")
    yield from _origins(f"{path}.allowOrigins", given.allow_origins)
    for index, method in enumerate(given.allow_methods):
        if method not in _METHODS:
            yield Finding(join(f"{path}.allowMethods", index), f"{method!r} is not a supported HTTP method")
    for name, headers in (("allowHeaders", given.allow_headers), ("exposeHeaders", given.expose_headers)):
        for index, header in enumerate(headers):
            if header != "*":
                yield from names.header_name(join(f"{path}.{name}", index), header)
    if given.max_age is not None and (given.max_age % 1 or given.max_age < 0):
        yield Finding(f"{path}.maxAge", "max_age duration is accurate only to seconds precision")


def _origins(path: str, origins: Sequence[StringMatch]) -> Iterator[Finding]:
    for index, origin in enumerate(origins):
        where = join(path, index)
        if not origin.model_fields_set:
            yield Finding(where, "origin needs one of exact, prefix, regex")
        elif origin.prefix == "":
            yield Finding(f"{where}.prefix", "prefix string match should not be empty")
        elif origin.regex is not None:
            yield from names.regex(f"{where}.regex", origin.regex)
