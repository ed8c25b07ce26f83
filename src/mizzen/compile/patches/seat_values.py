"""What the value of a patch names, as it is called in a proxy that serves several workloads. Pure.

There every name belongs to a seat: what a patch calls as a sidecar would is that of its own seat, and has no way to another's.
Secrets are found by their type wherever they stand, since a name that is merged into one may stand without all the rest. What
cannot be led to a seat is kept out (:func:`trespass`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from mizzen.compile import names
from mizzen.compile.seats import Seat
from mizzen.envoy_api.json_form import ANY, TYPE, field_named, is_map, is_structured, type_of
from mizzen.envoy_api.types import known, of_url

_OF_CLUSTERS = ("outbound|", "inbound|")
_ELSEWHERE = frozenset({names.PASSTHROUGH, names.DYNAMIC_DNS})
_SECRET = "envoy.extensions.transport_sockets.tls.v3.SdsSecretConfig"  # noqa: S105 - a type's name
_WEIGHTED = "envoy.config.route.v3.WeightedCluster.ClusterWeight"
_LUA = "envoy.extensions.filters.http.lua."
_SOURCES = frozenset({"sds_config", "sdsConfig"})
_DISCOVERED = frozenset({"config_discovery", "configDiscovery"})
_TO_CLUSTERS = re.compile(r"(?:.*_)?clusters?(?:_name)?|(?:.*C|c)lusters?(?:Name)?")
_OF_ANOTHER = re.compile(
    r"[^/\s]+\.[^/\s]+/(?:outbound\||inbound\||inside_|sni\||dynamic\||virtual(?:Out|In)bound|PassthroughCluster|BlackHole"
    r"|spiffe:|kubernetes:|file-)"
)
_BY_CALLERS = frozenset({"cluster_header", "clusterHeader"})
_ON_DEMAND = "cert_selectors.on_demand_secret."
_QUOTED = re.compile(r"""(["'])([^"'\\\n]+)\1""")


class Added(NamedTuple):
    """The names of clusters and extensions that patches add for a workload: in a proxy of several each has its own."""

    clusters: frozenset[str] = frozenset()
    extensions: frozenset[str] = frozenset()


NOTHING_ADDED = Added()


def at_seat(value: Mapping[str, Any], target: str, seat: Seat, added: Added = NOTHING_ADDED) -> Mapping[str, Any]:
    """Returns a value, of a message of this type, with the names of clusters, secrets and extensions as they are at a seat."""
    if not seat.shared:
        return value
    found: Mapping[str, Any] = _clusters(_Seated(seat, added).message(value, known(target)), seat)
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


@dataclass(frozen=True)
class _Seated:
    """Goes through values by the types of what stands in them, and leads names to a seat."""

    seat: Seat
    added: Added

    def message(self, value: Any, descriptor: Descriptor) -> Any:
        if not isinstance(value, Mapping):
            return value
        if descriptor.full_name == ANY:
            return self._any(value)
        if not is_structured(descriptor):
            return self._untyped(value)
        made = {name: self._field(item, field_named(descriptor, name)) for name, item in value.items()}
        if descriptor.full_name == _SECRET:
            return self._renamed(made, self.seat.secret_named)
        return self._renamed(made, self._to_cluster) if descriptor.full_name == _WEIGHTED else self._discovered(made)

    def _any(self, value: Mapping[str, Any]) -> Any:
        held = of_url(str(value.get(TYPE)))
        if held is None or held.full_name == ANY:
            return self._untyped(value)
        made = self.message(value, held)
        return self._code(made) if held.full_name.startswith(_LUA) else made

    def _field(self, item: Any, field: FieldDescriptor | None) -> Any:
        if field is None:
            return item
        if field.message_type is None:
            return self._led(field.name, item)
        if is_map(field) and isinstance(item, Mapping):
            inner = type_of(field).fields_by_name["value"].message_type
            keys = {name: name for name in item}
            if field.name == "typed_per_filter_config":
                keys = {name: self._to_extension(name) for name in item}
            return {keys[name]: self.message(one, inner) if inner else one for name, one in item.items()}
        if isinstance(item, list | tuple):
            return [self.message(one, type_of(field)) for one in item]
        return self.message(item, type_of(field))

    def _untyped(self, value: Any) -> Any:
        """The same where Envoy alone knows the type: what stands there is whole, so that a secret has its source beside it."""
        if isinstance(value, Mapping):
            made = {name: self._led(name, self._untyped(inner)) for name, inner in value.items()}
            if not _SOURCES.isdisjoint(made):
                return self._renamed(made, self.seat.secret_named)
            return self._discovered(made)
        if isinstance(value, list | tuple):
            return [self._untyped(inner) for inner in value]
        return value

    def _led(self, name: str, item: Any) -> Any:
        """Returns what a field with this name holds, which may be the name of a cluster, or several."""
        if not _TO_CLUSTERS.fullmatch(name):
            return item
        if isinstance(item, list | tuple):
            return [self._to_cluster(one) for one in item]
        return self._to_cluster(item)

    def _to_cluster(self, name: Any) -> Any:
        return self.seat.named(name) if isinstance(name, str) and name in self.added.clusters else name

    def _to_extension(self, name: str) -> str:
        return self.seat.named(name) if name in self.added.extensions else name

    def _discovered(self, value: Mapping[str, Any]) -> Mapping[str, Any]:
        return value if _DISCOVERED.isdisjoint(value) else self._renamed(value, self._to_extension)

    def _renamed(self, value: Mapping[str, Any], rename: Callable[[str], str]) -> Mapping[str, Any]:
        name = value.get("name")
        return {**value, "name": rename(name)} if isinstance(name, str) and name else value

    def _code(self, value: Any) -> Any:
        """Returns code that calls clusters by their names in quotes."""
        if isinstance(value, Mapping):
            return {name: self._code(inner) for name, inner in value.items()}
        if isinstance(value, list | tuple):
            return [self._code(inner) for inner in value]
        return _QUOTED.sub(self._quoted, value) if isinstance(value, str) else value

    def _quoted(self, found: re.Match[str]) -> str:
        quote, name = found.groups()
        return f"{quote}{_clusters(self._to_cluster(name), self.seat)}{quote}"
