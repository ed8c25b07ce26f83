"""Rules for RateLimits."""

from __future__ import annotations

from collections.abc import Iterator

from mizzen.resources.findings import Finding
from mizzen.resources.paths import join
from mizzen.resources.rate_limit import (
    ConnectionLimits,
    Descriptor,
    Entry,
    GlobalLimits,
    Limit,
    LimitMatch,
    RateLimitSpec,
    RequestMatch,
    Value,
)
from mizzen.resources.validation import names, string_matches

_MOST = 2**32 - 1
_ROUTE_PARTS = (2, 3)


def rate_limit(spec: RateLimitSpec) -> Iterator[Finding]:
    if not spec.limits and spec.shared is None and spec.connections is None:
        hint = "write `limits`, `connections`, or `global` for a server that counts"
        yield Finding("spec", "nothing is limited", hint=hint)
    if spec.selector is not None:
        yield from names.labels("spec.selector.matchLabels", spec.selector.match_labels)
        if not spec.selector.match_labels:
            yield Finding("spec.selector", "the selector has no `matchLabels`", hint="remove it to mean the namespace")
    seen: set[str] = set()
    for index, limit in enumerate(spec.limits):
        path = join("spec.limits", index)
        yield from _limit(path, limit)
        if limit.name in seen:
            yield Finding(f"{path}.name", f"there are two limits with the name {limit.name!r}")
        seen.add(limit.name)
    if spec.connections:
        yield from _connections("spec.connections", spec.connections)
    if spec.shared:
        yield from _shared("spec.global", spec.shared)
    if spec.enforced and not 0 <= spec.enforced.value <= 100:
        yield Finding("spec.enforced.value", f"percentage {spec.enforced.value} is not in range 0..100")
    if not 400 <= spec.status <= 599:
        yield Finding(
            "spec.status", f"status {spec.status} is no answer to a refused request", hint="one of 400 to 599"
        )


def _limit(path: str, limit: Limit) -> Iterator[Finding]:
    if not names.is_dns_label(limit.name):
        yield Finding(f"{path}.name", f"a limit needs a name, of letters, digits and dashes; it has {limit.name!r}")
    if not 1 <= limit.requests <= _MOST:
        hint = "to refuse all requests, write a VirtualService with a `directResponse`" if limit.requests == 0 else ""
        yield Finding(f"{path}.requests", f"requests must be in range 1..{_MOST}", hint=hint)
    if "unit" not in limit.model_fields_set:
        yield Finding(f"{path}.unit", "a limit needs a unit of time", hint="one of SECOND, MINUTE, HOUR, DAY")
    if "burst" in limit.model_fields_set and not 1 <= limit.burst <= _MOST:
        yield Finding(f"{path}.burst", f"burst must be in range 1..{_MOST}", hint="remove it for as many as `requests`")
    for index, value in enumerate(limit.per):
        yield from _value(join(f"{path}.per", index), value)
    if limit.match:
        yield from _match(f"{path}.match", limit.match)


def _connections(path: str, given: ConnectionLimits) -> Iterator[Finding]:
    written = given.model_fields_set
    if not written & {"new", "open"}:
        yield Finding(path, "no connections are limited", hint="write `new` and its `unit`, or `open`")
    for name in ("new", "burst", "open"):
        if name in written and not 1 <= getattr(given, name) <= _MOST:
            yield Finding(f"{path}.{name}", f"{name} must be in range 1..{_MOST}", hint="remove it for no limit")
    if "new" in written and "unit" not in written:
        yield Finding(f"{path}.unit", "a limit needs a unit of time", hint="one of SECOND, MINUTE, HOUR, DAY")
    for name in ("unit", "burst"):
        if name in written and "new" not in written:
            yield Finding(f"{path}.{name}", f"{name} is for `new` connections", hint="write `new`, or remove it")


def _match(path: str, given: LimitMatch) -> Iterator[Finding]:
    yield from string_matches.match(path, given.as_http())
    parts = given.route.split("/")
    if given.route and (len(parts) not in _ROUTE_PARTS or not all(parts)):
        hint = "write `virtual-service/route`, or with a namespace before it"
        yield Finding(f"{path}.route", f"{given.route!r} names no route", hint=hint)


def _value(path: str, value: Value) -> Iterator[Finding]:
    if value.header:
        yield from names.header_name(f"{path}.header", value.header)
    if not (value.header or value.query_parameter or value.client_address or getattr(value, "value", "")):
        written = "`value`, " if isinstance(value, Entry) else ""
        yield Finding(path, f"says no value: write {written}`header`, `queryParameter` or `clientAddress: true`")


def _shared(path: str, shared: GlobalLimits) -> Iterator[Finding]:
    if shared.server is None or not shared.server.host:
        yield Finding(f"{path}.server", "nobody is asked: write `host` and `port` of a rate limit service")
    else:
        yield from names.port_number(f"{path}.server.port", shared.server.port)
    if not shared.domain:
        yield Finding(f"{path}.domain", "domain must be set: by it the server tells its clients apart")
    if shared.timeout <= 0:
        yield Finding(f"{path}.timeout", "timeout must be longer than 0")
    if not shared.descriptors:
        yield Finding(f"{path}.descriptors", "the server is asked about nothing: write at least one descriptor")
    for index, descriptor in enumerate(shared.descriptors):
        yield from _descriptor(join(f"{path}.descriptors", index), descriptor)


def _descriptor(where: str, descriptor: Descriptor) -> Iterator[Finding]:
    if not descriptor.entries:
        yield Finding(f"{where}.entries", "a descriptor needs at least one entry")
    for at, entry in enumerate(descriptor.entries):
        yield from _value(join(f"{where}.entries", at), entry)
        if not entry.key:
            yield Finding(f"{join(f'{where}.entries', at)}.key", "an entry needs a key")
    if descriptor.match:
        yield from _told(where, descriptor, descriptor.match)
        yield from string_matches.match(f"{where}.match", descriptor.match.as_http())


def _told(where: str, descriptor: Descriptor, match: RequestMatch) -> Iterator[Finding]:
    """A server is told of each condition that it fits, in an entry; parameters of a query are conditions of their own."""
    others = match.model_fields_set - {"query_params", "ignore_uri_case"}
    conditions = len(match.query_params) + bool(others)
    written = sum(bool(entry.value) for entry in descriptor.entries)
    if written < conditions:
        message = f"the match needs {conditions} entries with a written `value`, which tell the server that it fits"
        yield Finding(
            f"{where}.entries", message, hint="add `{key: route, value: search}`, in words that the server knows"
        )
