"""Whether a match takes all that another would take, so that the other is of no use after it.

Every condition of the one has to follow from those of the other. Of regular expressions nothing is known but that they are
the same; to say too little is right here, because what is said to be of no use is refused.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from typing import TypeAlias

from mizzen.resources.gateway_names import MESH
from mizzen.resources.model import StringMap, StringMatch
from mizzen.resources.virtual_service import HTTPMatchRequest, L4MatchAttributes, TLSMatchAttributes

Connections: TypeAlias = L4MatchAttributes | TLSMatchAttributes


def covers_requests(wide: HTTPMatchRequest, narrow: HTTPMatchRequest, gateways: Sequence[str]) -> bool:
    """Tells whether the first match takes each request of the second. ``gateways`` are those of the VirtualService."""
    pairs = ((getattr(wide, name), getattr(narrow, name)) for name in ("scheme", "method", "authority"))
    return (
        _covers_path(wide, narrow)
        and all(one is None or _covers_text(one, other) for one, other in pairs)
        and _covers_all(wide.headers, narrow.headers)
        and _covers_all(wide.query_params, narrow.query_params)
        and wide.without_headers.items() <= narrow.without_headers.items()
        and wide.port in (0, narrow.port)
        and _named(narrow.gateways, gateways) <= _named(wide.gateways, gateways)
        and _covers_source(*_source(wide), *_source(narrow))
    )


def covers_connections(wide: Connections, narrow: Connections, gateways: Sequence[str]) -> bool:
    """Tells the same of connections. Server names are not looked at: each is by itself, and the most specific one counts."""
    return (
        wide.port in (0, narrow.port)
        and _named(narrow.gateways, gateways) <= _named(wide.gateways, gateways)
        and _covers_source(wide.source_namespace, wide.source_labels, narrow.source_namespace, narrow.source_labels)
        and _covers_addresses(wide.destination_subnets, narrow.destination_subnets)
    )


def _covers_path(wide: HTTPMatchRequest, narrow: HTTPMatchRequest) -> bool:
    if wide.uri is None or wide.uri.prefix == "/" or wide.uri.regex == ".*":
        return True
    if wide.uri.regex is not None or narrow.uri is None:
        return wide.uri == narrow.uri
    if narrow.ignore_uri_case and not wide.ignore_uri_case:
        return False
    if wide.ignore_uri_case:
        return _covers_text(_lower(wide.uri), _lower(narrow.uri))
    return _covers_text(wide.uri, narrow.uri)


def _lower(match: StringMatch) -> StringMatch:
    return StringMatch(
        **{
            name: value if name == "regex" else value.lower()
            for name, value in match.model_dump(exclude_none=True).items()
        }
    )


def _covers_text(wide: StringMatch, narrow: StringMatch | None) -> bool:
    if wide == narrow:
        return True
    text = narrow and (narrow.exact or narrow.prefix)
    return bool(wide.prefix and text and text.startswith(wide.prefix))


def _covers_all(wide: Mapping[str, StringMatch], narrow: Mapping[str, StringMatch]) -> bool:
    """Of headers and parameters one that only has to be there is there wherever it is compared."""
    return all(
        name in narrow and (one == StringMatch() or _covers_text(one, narrow[name])) for name, one in wide.items()
    )


def _named(own: Sequence[str], gateways: Sequence[str]) -> frozenset[str]:
    return frozenset(own or gateways or (MESH,))


def _source(match: HTTPMatchRequest) -> tuple[str, StringMap]:
    """Returns what counts of the caller: nothing where gateways are named (Istio 2.3)."""
    return ("", {}) if match.gateways else (match.source_namespace, match.source_labels)


def _covers_source(wide_namespace: str, wide: StringMap, narrow_namespace: str, narrow: StringMap) -> bool:
    return wide_namespace in ("", narrow_namespace) and wide.items() <= narrow.items()


def _covers_addresses(wide: Sequence[str], narrow: Sequence[str]) -> bool:
    if not wide or set(narrow) <= set(wide):
        return not wide or bool(narrow)
    try:
        around = [ipaddress.ip_network(subnet, strict=False) for subnet in wide]
        inside = [ipaddress.ip_network(subnet, strict=False) for subnet in narrow]
    except ValueError:  # it is told of where it stands
        return False
    return bool(inside) and all(any(_within(one, other) for other in around) for one in inside)


def _within(
    inner: ipaddress.IPv4Network | ipaddress.IPv6Network, outer: ipaddress.IPv4Network | ipaddress.IPv6Network
) -> bool:
    if isinstance(inner, ipaddress.IPv4Network) and isinstance(outer, ipaddress.IPv4Network):
        return inner.subnet_of(outer)
    if isinstance(inner, ipaddress.IPv6Network) and isinstance(outer, ipaddress.IPv6Network):
        return inner.subnet_of(outer)
    return False
