"""What the value of a patch names, as it is called in a proxy that serves several workloads. Pure.

There every name belongs to a seat: what a patch calls as a sidecar would is that of its own seat, and has no way to another's.
Secrets are found by their type wherever they stand, since a name that is merged into one may stand without all the rest. What
cannot be led to a seat is kept out (:func:`trespass`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from mizzen.compile import names
from mizzen.compile.seats import Seat
from mizzen.envoy_api.json_form import ANY, TYPE, field_named, is_map, is_structured, type_of
from mizzen.envoy_api.types import known, of_url

_OF_CLUSTERS = ("outbound|", "inbound|")
_ELSEWHERE = frozenset({names.PASSTHROUGH, names.DYNAMIC_DNS})
_SECRET = "envoy.extensions.transport_sockets.tls.v3.SdsSecretConfig"  # noqa: S105 - a type's name
_SOURCES = frozenset({"sds_config", "sdsConfig"})
_OF_ANOTHER = re.compile(
    r"[^/\s]+\.[^/\s]+/(?:outbound\||inbound\||inside_|sni\||dynamic\||virtual(?:Out|In)bound|PassthroughCluster|BlackHole"
    r"|spiffe:|kubernetes:|file-)"
)
_BY_CALLERS = frozenset({"cluster_header", "clusterHeader"})
_ON_DEMAND = "cert_selectors.on_demand_secret."


def at_seat(value: Mapping[str, Any], target: str, seat: Seat) -> Mapping[str, Any]:
    """Returns a value, of a message of this type, with the names of clusters and secrets as they are at a seat."""
    if not seat.shared:
        return value
    found: Mapping[str, Any] = _clusters(_message(value, known(target), seat), seat)
    return found


def trespass(value: object) -> str:
    """Returns why a patch with this value is for no seat: it reaches, or lets callers reach, what is other seats'; or ""."""
    for name, text in _texts(value):
        if name in _BY_CALLERS:
            return f"`{name}` would let callers choose what is of other workloads in it"
        if name == TYPE and _ON_DEMAND in text:
            return "it would take certificates by names that callers give, of other workloads too"
        if _OF_ANOTHER.match(text):
            return f"{text} is of one seat in it, and not for patches"
    return ""


def _texts(value: object, name: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _texts(inner, key)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _texts(inner, name)
    elif isinstance(value, str):
        yield name, value


def _clusters(value: Any, seat: Seat) -> Any:
    if isinstance(value, Mapping):
        return {name: _clusters(inner, seat) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_clusters(inner, seat) for inner in value]
    if isinstance(value, str) and (value.startswith(_OF_CLUSTERS) or value in _ELSEWHERE):
        return seat.named(value)
    return value


def _message(value: Any, descriptor: Descriptor, seat: Seat) -> Any:
    """Returns a message with the names of secrets as they are at a seat."""
    if not isinstance(value, Mapping):
        return value
    if descriptor.full_name == ANY:
        held = of_url(str(value.get(TYPE)))
        return _message(value, held, seat) if held and held.full_name != ANY else _untyped(value, seat)
    if not is_structured(descriptor):
        return _untyped(value, seat)
    fields = ((name, item, field_named(descriptor, name)) for name, item in value.items())
    made = {name: _field(item, field, seat) if field and field.message_type else item for name, item, field in fields}
    return _secret(made, seat) if descriptor.full_name == _SECRET else made


def _field(item: Any, field: FieldDescriptor, seat: Seat) -> Any:
    if is_map(field):
        inner = type_of(field).fields_by_name["value"].message_type
        return {name: _message(one, inner, seat) for name, one in item.items()} if inner else item
    if isinstance(item, list | tuple):
        return [_message(one, type_of(field), seat) for one in item]
    return _message(item, type_of(field), seat)


def _untyped(value: Any, seat: Seat) -> Any:
    """The same in what says of what type it is where Envoy alone knows it: as a whole, so that a secret has its source there."""
    if isinstance(value, Mapping):
        made = {name: _untyped(inner, seat) for name, inner in value.items()}
        return made if _SOURCES.isdisjoint(made) else _secret(made, seat)
    if isinstance(value, list | tuple):
        return [_untyped(inner, seat) for inner in value]
    return value


def _secret(value: Mapping[str, Any], seat: Seat) -> Mapping[str, Any]:
    name = value.get("name")
    return {**value, "name": seat.secret_named(name)} if isinstance(name, str) and name else value
