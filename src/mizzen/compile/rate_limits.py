"""Rate limits: how many requests a proxy lets through to its application, or a gateway into the mesh (RateLimit).

Two filters are in each connection manager that takes what comes in, one that counts by itself and one that asks a server. Both
come by themselves (ECDS): a limit that comes, changes or goes is no change of a listener, and ends no connection. Where nothing
is limited they do nothing. Each connection manager counts by itself, whatever its worker: so does each port of a replica.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from google.protobuf.message import Message

from mizzen.compile import names
from mizzen.compile.protos import ads, duration, millionths, uint32
from mizzen.compile.resource import XdsResource, encode, pack
from mizzen.compile.route_matches import build_match
from mizzen.compile.seats import ALONE, Seat
from mizzen.mesh.model import Instance, RateLimit
from mizzen.resources.hosts import resolve
from mizzen.resources.model import StringMatch
from mizzen.resources.rate_limit import (
    SECONDS,
    Descriptor,
    Entry,
    GlobalLimits,
    Limit,
    LimitServer,
    RequestMatch,
    Value,
)
from mizzen.stubs.envoy.config.core.v3.base_pb2 import RuntimeFractionalPercent
from mizzen.stubs.envoy.config.core.v3.config_source_pb2 import ApiVersion
from mizzen.stubs.envoy.config.core.v3.extension_pb2 import TypedExtensionConfig
from mizzen.stubs.envoy.config.route.v3.route_components_pb2 import HeaderMatcher
from mizzen.stubs.envoy.config.route.v3.route_components_pb2 import RateLimit as Actions
from mizzen.stubs.envoy.extensions.common.ratelimit.v3.ratelimit_pb2 import (
    DRAFT_VERSION_03,
    LocalRateLimitDescriptor,
    RateLimitDescriptor,
)
from mizzen.stubs.envoy.extensions.filters.http.local_ratelimit.v3.local_rate_limit_pb2 import LocalRateLimit
from mizzen.stubs.envoy.extensions.filters.http.ratelimit.v3.rate_limit_pb2 import RateLimit as AskedRateLimit
from mizzen.stubs.envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpFilter,
)
from mizzen.stubs.envoy.type.v3.http_status_pb2 import StatusCode

Action = Actions.Action
_LOCAL, _GLOBAL = "local-rate-limit|", "global-rate-limit|"
_LIMIT = "limit"
_ROUTE = "route"
# How many values one `per` may have before the bucket that was used longest ago is forgotten.
_MOST_VALUES = 10_000
_ALL = 100.0
_STAT_PREFIX = "rate_limit"
_DescriptorEntry = RateLimitDescriptor.Entry
_HEADERS, _QUERY, _FITS = "headers", "query", "yes"


@dataclass(frozen=True)
class RateLimitView:
    """Everything that the two filters of a connection manager depend on; ``rule`` is None where nothing is limited."""

    place: str
    rule: RateLimit | None = None
    seat: Seat = ALONE


def place_of(port: int = 0) -> str:
    """Returns the name of a connection manager: before a port of an application, or all of a gateway."""
    return names.inbound_cluster(port) if port else "gateway"


def slots(place: str, seat: Seat = ALONE) -> Iterator[HttpFilter]:
    """Yields the places of both filters in a connection manager."""
    for name, known in (
        (_local(place, seat), [LocalRateLimit.DESCRIPTOR]),
        (_shared(place, seat), [AskedRateLimit.DESCRIPTOR, LocalRateLimit.DESCRIPTOR]),
    ):
        slot = HttpFilter(name=name)
        slot.config_discovery.config_source.CopyFrom(ads())
        slot.config_discovery.type_urls.extend(f"type.googleapis.com/{one.full_name}" for one in known)
        yield slot


def views_of(
    instance: Instance, rule: RateLimit | None, seat: Seat = ALONE, *, gateway: bool = False
) -> Iterator[RateLimitView]:
    """Yields what limits an instance: one view for each of its ports where requests are read, or for all of a gateway."""
    if gateway:
        yield RateLimitView(place_of(), rule, seat)
    for port in instance.inbound:
        if port.protocol.may_be_http:
            yield RateLimitView(place_of(port.number), rule, seat)


def _local(place: str, seat: Seat) -> str:
    return seat.named(f"{_LOCAL}{place}")


def _shared(place: str, seat: Seat) -> str:
    return seat.named(f"{_GLOBAL}{place}")


def build_local(view: RateLimitView) -> XdsResource:
    """Builds the filter that counts by itself."""
    rule, name = view.rule, _local(view.place, view.seat)
    return encoded_filter(name, _counting(rule), rule) if rule and rule.spec.limits else no_limit(name)


def build_shared(view: RateLimitView) -> XdsResource:
    """Builds the filter that asks a server."""
    rule, name = view.rule, _shared(view.place, view.seat)
    if rule and rule.spec.shared and rule.spec.shared.server:
        return encoded_filter(name, _asking(rule, rule.spec.shared, rule.spec.shared.server, view.seat), rule)
    return no_limit(name)


def is_slot(name: str) -> bool:
    """Tells whether a resource of this name is a filter for requests, of a proxy that asks for filters."""
    return name.rpartition("/")[2].startswith((_LOCAL, _GLOBAL))


def no_limit(name: str) -> XdsResource:
    """Builds a filter that does nothing, for a place that nothing else is for."""
    return encoded_filter(name, LocalRateLimit(stat_prefix=_STAT_PREFIX))


def encoded_filter(name: str, message: Message, rule: RateLimit | None = None) -> XdsResource:
    """Returns a filter that is sent by itself; ``rule`` is what users wrote of it."""
    found = TypedExtensionConfig(name=name, typed_config=pack(message))
    return encode(name, found, [rule.key] if rule else [])


def _counting(rule: RateLimit) -> LocalRateLimit:
    spec = rule.spec
    message = LocalRateLimit(stat_prefix=_STAT_PREFIX)
    message.filter_enabled.CopyFrom(_share(_ALL))
    message.filter_enforced.CopyFrom(_share(spec.enforced.value if spec.enforced else _ALL))
    message.status.code = StatusCode.ValueType(spec.status)
    message.max_dynamic_descriptors.CopyFrom(uint32(_MOST_VALUES))
    message.always_consume_default_token_bucket.value = False
    if spec.response_headers:
        message.enable_x_ratelimit_headers = DRAFT_VERSION_03
        message.enable_retry_after_header = True
    for limit in spec.limits:
        conditions = list(_conditions(limit.match))
        message.rate_limits.append(_counted(limit, [action for _, action in conditions]))
        message.descriptors.append(_bucket(limit, rule.namespace, [key for key, _ in conditions]))
    return message


def _share(percent: float) -> RuntimeFractionalPercent:
    return RuntimeFractionalPercent(default_value=millionths(percent))


def _counted(limit: Limit, conditions: Iterable[Action]) -> Actions:
    """Says which requests a limit is about, and of each what tells its bucket from others: all must be there."""
    actions = Actions()
    actions.actions.add().generic_key.CopyFrom(Action.GenericKey(descriptor_key=_LIMIT, descriptor_value=limit.name))
    actions.actions.extend(conditions)
    if limit.match and limit.match.route:
        route = actions.actions.add().metadata
        route.descriptor_key, route.source, route.skip_if_absent = _ROUTE, Action.MetaData.ROUTE_ENTRY, True
        route.metadata_key.key = "istio"
        route.metadata_key.path.add(key=_ROUTE)
    actions.actions.extend(_taken(value, _key_of(value)) for value in limit.per)
    return actions


def _bucket(limit: Limit, namespace: str, conditions: Iterable[str]) -> LocalRateLimitDescriptor:
    made = LocalRateLimitDescriptor(shadow_mode=limit.shadow)
    made.entries.add(key=_LIMIT, value=limit.name)
    made.entries.extend(_DescriptorEntry(key=key, value=_FITS) for key in conditions)
    if limit.match and limit.match.route:
        made.entries.add(key=_ROUTE, value=limit.match.full_route(namespace))
    # An entry without a value is for each value by itself.
    made.entries.extend(_DescriptorEntry(key=_key_of(value)) for value in limit.per)
    bucket = made.token_bucket
    bucket.max_tokens = limit.burst or limit.requests
    bucket.tokens_per_fill.CopyFrom(uint32(limit.requests))
    bucket.fill_interval.CopyFrom(duration(SECONDS[limit.unit]))
    return made


def _conditions(match: RequestMatch | None) -> Iterator[tuple[str, Action]]:
    """Yields what a request must have to be counted, each with the key of its entry."""
    if match is None:
        return
    built = build_match(match.as_http().model_copy(update={"uri": None}))
    headers = [*_path(match.uri, ignore_case=match.ignore_uri_case), *built.headers]
    if headers:
        yield (
            _HEADERS,
            Action(
                header_value_match=Action.HeaderValueMatch(
                    descriptor_key=_HEADERS, descriptor_value=_FITS, headers=headers
                )
            ),
        )
    for parameter in built.query_parameters:
        found = Action.QueryParameterValueMatch(
            descriptor_key=f"{_QUERY} {parameter.name}", descriptor_value=_FITS, query_parameters=[parameter]
        )
        yield found.descriptor_key, Action(query_parameter_value_match=found)


def _path(uri: StringMatch | None, *, ignore_case: bool) -> Iterator[HeaderMatcher]:
    """Yields what compares a path: the header has the query, too, which a VirtualService does not look at."""
    if uri is None or not uri.model_fields_set:
        return
    if uri.regex is not None:
        text = f"(?:{uri.regex})"
    else:
        text = re.escape(uri.exact if uri.exact is not None else uri.prefix or "")
        if ignore_case:
            text = f"(?i:{text})"
    rest = ".*" if uri.prefix is not None else r"(?:\?.*)?"
    matcher = HeaderMatcher(name=":path")
    matcher.string_match.safe_regex.regex = text + rest
    yield matcher


def _key_of(value: Value) -> str:
    if value.header:
        return f"header {value.header.lower()}"
    return f"query {value.query_parameter}" if value.query_parameter else "remote_address"


def _taken(value: Value, key: str) -> Action:
    """Returns the action that takes a value from a request, under a key where Envoy lets us name it."""
    if value.header:
        return Action(request_headers=Action.RequestHeaders(header_name=value.header.lower(), descriptor_key=key))
    if value.query_parameter:
        taken = Action.QueryParameters(query_parameter_name=value.query_parameter, descriptor_key=key)
        return Action(query_parameters=taken)
    return Action(remote_address=Action.RemoteAddress())


def _asking(rule: RateLimit, shared: GlobalLimits, server: LimitServer, seat: Seat) -> AskedRateLimit:
    spec = rule.spec
    message = AskedRateLimit(domain=shared.domain, stat_prefix=_STAT_PREFIX)
    message.timeout.CopyFrom(duration(shared.timeout))
    message.failure_mode_deny = shared.failure_mode == "DENY"
    message.filter_enforced.CopyFrom(_share(spec.enforced.value if spec.enforced else _ALL))
    message.rate_limited_status.code = StatusCode.ValueType(spec.status)
    if spec.response_headers:
        message.enable_x_ratelimit_headers = AskedRateLimit.DRAFT_VERSION_03
        message.enable_retry_after_header = True
    host = resolve(server.host, rule.namespace)
    cluster = seat.named(names.outbound_cluster(server.port, "", host))
    called = message.rate_limit_service.grpc_service.envoy_grpc
    # Without a host Envoy asks for the cluster's name, in which there are characters that no host has.
    called.cluster_name, called.authority = cluster, f"{host}:{server.port}"
    message.rate_limit_service.transport_api_version = ApiVersion.V3
    message.rate_limits.extend(map(_asked, shared.descriptors))
    return message


def _asked(descriptor: Descriptor) -> Actions:
    """Says what a server is asked. A condition is an entry in Envoy, and takes the place of one with a written value."""
    conditions = (action for _, action in _conditions(descriptor.match))
    return Actions(actions=[_entry(entry, conditions) for entry in descriptor.entries])


def _entry(entry: Entry, conditions: Iterator[Action]) -> Action:
    if not entry.value:
        return _taken(entry, entry.key)
    action = next(conditions, None) or Action(generic_key=Action.GenericKey())
    said = getattr(action, action.WhichOneof("action_specifier") or "")
    said.descriptor_key, said.descriptor_value = entry.key, entry.value
    return action
