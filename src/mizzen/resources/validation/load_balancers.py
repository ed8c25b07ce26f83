"""Istio's rules for load balancers, consistent hashing, locality and warm-up."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mizzen.resources.destination_rule import (
    ConsistentHashLB,
    Distribute,
    Failover,
    HTTPCookie,
    LoadBalancerSettings,
    LocalityLbSetting,
    Warmup,
)
from mizzen.resources.findings import Finding, warning
from mizzen.resources.paths import join
from mizzen.resources.validation import names

_COLD = ("RANDOM", "PASSTHROUGH")
_LARGEST_TABLE = 5_000_011
# Envoy's own limit.
_LARGEST_RING = 8 << 20


def load_balancer(path: str, given: LoadBalancerSettings | None, *, detects: bool) -> Iterator[Finding]:
    """Checks a load balancer; ``detects`` says whether outlier detection stands beside it, which failover needs."""
    if given is None:
        return
    if given.simple == "LEAST_CONN":
        yield warning(
            f"{path}.simple", "LEAST_CONN is deprecated", "write LEAST_REQUEST, which does the same", "IST0002"
        )
    if given.simple == "PASSTHROUGH":
        message = "PASSTHROUGH leads to the address that the client dialled, not to an endpoint of the service"
        hint = "it works where capture is transparent and for addresses of workloads; elsewhere requests fail"
        yield warning(f"{path}.simple", message, hint)
    if given.consistent_hash is not None:
        yield from _consistent_hash(f"{path}.consistentHash", given.consistent_hash)
    if given.locality_lb_setting is not None:
        yield from locality(f"{path}.localityLbSetting", given.locality_lb_setting, detects=detects)
        if given.zone_aware_lb_setting is not None:
            yield Finding(path, "only one of localityLbSetting or zoneAwareLbSetting can be set")
    yield from _warmup(path, given)


def _consistent_hash(path: str, given: ConsistentHashLB) -> Iterator[Finding]:
    if given.minimum_ring_size and (given.ring_hash or given.maglev):
        yield Finding(path, "only one of MinimumRingSize or Maglev/Ringhash can be specified")
    if given.minimum_ring_size:
        hint = "write `ringHash: {minimumRingSize: ...}`"
        yield warning(f"{path}.minimumRingSize", "minimumRingSize is deprecated", hint, "IST0002")
    yield from _ring(f"{path}.minimumRingSize", given.minimum_ring_size)
    yield from _ring(f"{path}.ringHash.minimumRingSize", given.ring_hash.minimum_ring_size if given.ring_hash else 0)
    if given.maglev is not None:
        size = given.maglev.table_size
        if not 0 < size < _LARGEST_TABLE or not _is_prime(size):
            yield Finding(f"{path}.maglev.tableSize", f"tableSize {size} must be a prime number below {_LARGEST_TABLE}")
    for name, text in (
        ("httpHeaderName", given.http_header_name),
        ("httpQueryParameterName", given.http_query_parameter_name),
    ):
        if text == "":
            yield Finding(f"{path}.{name}", f"{name} must not be empty")
    if given.http_cookie is not None:
        yield from _cookie(f"{path}.httpCookie", given.http_cookie)


def _ring(path: str, size: int) -> Iterator[Finding]:
    if not 0 <= size <= _LARGEST_RING:
        yield Finding(path, f"minimumRingSize must be in range [0, {_LARGEST_RING}]")


def _cookie(path: str, given: HTTPCookie) -> Iterator[Finding]:
    if not given.name:
        yield Finding(path, "name required for HttpCookie")
    if given.ttl is not None and given.ttl < 0:
        yield Finding(f"{path}.ttl", "ttl must not be negative")
    seen: set[str] = set()
    for index, attribute in enumerate(given.attributes):
        if attribute.name in seen:
            yield Finding(join(f"{path}.attributes", index), f"duplicate attribute name {attribute.name!r}")
        seen.add(attribute.name)


def _is_prime(number: int) -> bool:
    return number > 1 and all(number % divisor for divisor in range(2, int(number**0.5) + 1))


def locality(path: str, given: LocalityLbSetting, *, detects: bool) -> Iterator[Finding]:
    """Checks a policy for places; ``detects`` as for :func:`load_balancer`."""
    if given.distribute and (given.failover or given.failover_priority):
        yield Finding(path, "can not simultaneously specify 'distribute' and 'failover' or 'failover_priority'")
    localities: list[str] = []
    for index, share in enumerate(given.distribute):
        where = join(f"{path}.distribute", index)
        yield from _overlapping(f"{where}.from", share.from_, localities)
        localities.append(share.from_)
        yield from _shares(where, share)
    yield from _failovers(f"{path}.failover", given.failover)
    if (given.failover or given.failover_priority) and not detects:
        yield warning(path, "outlier detection policy must be provided for failover")


def _shares(path: str, share: Distribute) -> Iterator[Finding]:
    targets: list[str] = []
    for locality, weight in share.to.items():
        where = join(f"{path}.to", locality)
        if not 1 <= weight <= 100:
            yield Finding(where, f"locality weight must be in range [1, 100], not {weight}")
        yield from _overlapping(where, locality, targets)
        targets.append(locality)
    if share.to and sum(share.to.values()) != 100:
        yield Finding(f"{path}.to", f"total locality weight {sum(share.to.values())} != 100")


def _overlapping(path: str, locality: str, others: Sequence[str]) -> Iterator[Finding]:
    if "*" in locality.removesuffix("*"):
        yield Finding(path, f"locality {locality!r} wildcard '*' number can not exceed 1 and must be in the end")
    for other in others:
        one, two = locality.removesuffix("*").rstrip("/"), other.removesuffix("*").rstrip("/")
        if one == two or f"{one}/".startswith(f"{two}/") or f"{two}/".startswith(f"{one}/") or not one or not two:
            yield Finding(path, f"locality {locality!r} overlaps with {other!r}")


def _failovers(path: str, failovers: Sequence[Failover]) -> Iterator[Finding]:
    for index, failover in enumerate(failovers):
        where = join(path, index)
        if failover.from_ == failover.to:
            yield Finding(where, "locality lb failover settings must specify different regions")
        for name, region in (("from", failover.from_), ("to", failover.to)):
            if "*" in region:
                yield Finding(
                    f"{where}.{name}", f"locality lb failover region {region!r} should not contain '*' wildcard"
                )
            if "/" in region:
                yield Finding(f"{where}.{name}", f"locality lb failover only specify region, not {region!r}")


def _warmup(path: str, given: LoadBalancerSettings) -> Iterator[Finding]:
    if given.warmup_duration_secs is not None:
        where = f"{path}.warmupDurationSecs"
        yield from names.duration(where, given.warmup_duration_secs)
        yield warning(where, "warmupDurationSecs is deprecated", "write `warmup: {duration: ...}`", "IST0002")
        if given.warmup is not None:
            yield warning(where, "warmupDurationSecs has no effect beside warmup", "remove it")
    other = "consistentHash" if given.consistent_hash else given.simple if given.simple in _COLD else ""
    if other and (given.warmup is not None or given.warmup_duration_secs is not None):
        yield warning(path, f"warm-up has no effect with {other}", "write LEAST_REQUEST or ROUND_ROBIN")
    if given.warmup is not None:
        yield from _warmup_block(f"{path}.warmup", given.warmup)


def _warmup_block(path: str, given: Warmup) -> Iterator[Finding]:
    if given.duration is None:
        yield Finding(path, "warmup duration is required")
    yield from names.duration(f"{path}.duration", given.duration)
    if given.minimum_percent is not None and not 0 <= given.minimum_percent <= 100:
        yield Finding(f"{path}.minimumPercent", "minimumPercent must be in range [0, 100]")
    if given.aggression is not None and given.aggression <= 0:
        yield Finding(f"{path}.aggression", "aggression must be greater than 0")
