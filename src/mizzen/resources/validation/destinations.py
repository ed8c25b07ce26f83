"""Istio's rules for where requests and connections are sent to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mizzen.resources.findings import Finding
from mizzen.resources.paths import join
from mizzen.resources.validation import http_headers, names
from mizzen.resources.virtual_service import Destination, HTTPRouteDestination, RouteDestination


def weighted(path: str, routes: Sequence[HTTPRouteDestination | RouteDestination]) -> Iterator[Finding]:
    """Checks the destinations of one route with their weights."""
    for index, route in enumerate(routes):
        where = join(path, index)
        if route.destination is None:
            yield Finding(where, "destination is required")
        else:
            yield from destination(f"{where}.destination", route.destination)
        if route.weight < 0:
            yield Finding(
                f"{where}.weight", f"weight {route.weight} < 0", hint="a weight is a share of the requests: 0 or more"
            )
        if isinstance(route, HTTPRouteDestination):
            yield from http_headers.headers(f"{where}.headers", route.headers)
    total = sum(route.weight for route in routes)
    if len(routes) > 1 and total == 0:
        yield Finding(path, "total destination weight = 0", hint="write `weight` at the destinations")
    if total > 2**32 - 1:
        yield Finding(path, f"total destination weight = {total} is more than Envoy can hold (4294967295)")


def destination(path: str, given: Destination) -> Iterator[Finding]:
    """Checks where requests are sent to."""
    if given.host == "*" or not given.host:
        what = "`host` is empty" if not given.host else "*"
        yield Finding(f"{path}.host", f"invalid destination host: {what}")
    else:
        yield from (
            Finding(wrong.path, f"invalid destination host: {wrong.message}", hint=wrong.hint)
            for wrong in names.host_or_address(f"{path}.host", given.host)
        )
    if given.subset and not names.is_dns_label(given.subset):
        yield Finding(f"{path}.subset", f"subset name is invalid: {given.subset!r} is no DNS-1123 label")
    if given.port is not None:
        yield from names.port_number(f"{path}.port.number", given.port.number)
