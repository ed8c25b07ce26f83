"""Limits of connections: how many a proxy takes on ports of bytes, and a gateway on all (RateLimit's ``connections``).

Two filters are before what passes bytes on, one that counts new connections and one for those that are open. As the filters for
requests (:mod:`mizzen.compile.rate_limits`) they come by themselves (ECDS), and where nothing is limited they do nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

from mizzen.compile.protos import ads, duration, uint32, uint64
from mizzen.compile.rate_limits import RateLimitView, encoded_filter, place_of
from mizzen.compile.resource import XdsResource
from mizzen.compile.seats import ALONE, Seat
from mizzen.mesh.model import Instance, RateLimit
from mizzen.resources.rate_limit import SECONDS, ConnectionLimits
from mizzen.stubs.envoy.config.core.v3.base_pb2 import RuntimeFeatureFlag
from mizzen.stubs.envoy.config.listener.v3.listener_components_pb2 import Filter
from mizzen.stubs.envoy.extensions.filters.network.connection_limit.v3.connection_limit_pb2 import ConnectionLimit
from mizzen.stubs.envoy.extensions.filters.network.local_ratelimit.v3.local_rate_limit_pb2 import LocalRateLimit

_NEW, _OPEN = "new-connection-limit|", "open-connection-limit|"
_STAT_PREFIX = "connection_limit"
# No layer of an Envoy's runtime says anything of it; the API wants a name.
_RUNTIME_KEY = "mizzen.connection_limit"
_ONE_SECOND = 1.0


def slots(place: str, seat: Seat = ALONE) -> Iterator[Filter]:
    """Yields the places of both filters in a chain."""
    for prefix, known in ((_NEW, LocalRateLimit.DESCRIPTOR), (_OPEN, ConnectionLimit.DESCRIPTOR)):
        slot = Filter(name=seat.named(f"{prefix}{place}"))
        slot.config_discovery.config_source.CopyFrom(ads())
        slot.config_discovery.type_urls.append(f"type.googleapis.com/{known.full_name}")
        yield slot


def is_slot(name: str) -> bool:
    """Tells whether a resource of this name is a filter for connections, of a proxy that asks for filters."""
    return name.rpartition("/")[2].startswith((_NEW, _OPEN))


def no_limit(name: str) -> XdsResource:
    """Builds a filter that does nothing, for a place that nothing else is for."""
    new = name.rpartition("/")[2].startswith(_NEW)
    message = _counting_new(1, _ONE_SECOND, 1, "") if new else _counting_open(1)
    message.runtime_enabled.CopyFrom(RuntimeFeatureFlag(runtime_key=_RUNTIME_KEY))
    message.runtime_enabled.default_value.value = False
    return encoded_filter(name, message)


def build_new(view: RateLimitView) -> XdsResource:
    """Builds the filter that counts new connections."""
    name = view.seat.named(f"{_NEW}{view.place}")
    if (limits := _given(view)) and limits.new:
        message = _counting_new(limits.new, SECONDS[limits.unit], limits.burst or limits.new, name)
        return encoded_filter(name, message, view.rule)
    return no_limit(name)


def build_open(view: RateLimitView) -> XdsResource:
    """Builds the filter that counts open connections."""
    name = view.seat.named(f"{_OPEN}{view.place}")
    if (limits := _given(view)) and limits.open:
        return encoded_filter(name, _counting_open(limits.open), view.rule)
    return no_limit(name)


def views_of(
    instance: Instance, rule: RateLimit | None, seat: Seat = ALONE, *, gateway: bool = False
) -> Iterator[RateLimitView]:
    """Yields what limits the connections of an instance: of each port that may carry bytes, or of a gateway."""
    places = [place_of(port.number) for port in instance.inbound if not port.protocol.is_http]
    for place in [place_of()] if gateway else places:
        yield RateLimitView(place, rule, seat)


def _given(view: RateLimitView) -> ConnectionLimits | None:
    return view.rule.spec.connections if view.rule else None


def _counting_new(connections: int, seconds: float, burst: int, shared: str) -> LocalRateLimit:
    message = LocalRateLimit(stat_prefix=_STAT_PREFIX, share_key=shared)
    message.token_bucket.max_tokens = burst
    message.token_bucket.tokens_per_fill.CopyFrom(uint32(connections))
    message.token_bucket.fill_interval.CopyFrom(duration(seconds))
    return message


def _counting_open(connections: int) -> ConnectionLimit:
    return ConnectionLimit(stat_prefix=_STAT_PREFIX, max_connections=uint64(connections))
