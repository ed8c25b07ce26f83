"""Which endpoints a caller prefers because of where they are (LocalityLoadBalancerSetting, Istio 2.10).

Endpoints are told in groups, one for each place. A policy gives groups shares of the requests, or priorities: Envoy calls
what is of a lower priority when too much of the higher ones has been ejected, so these need outlier detection.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from mizzen.mesh.localities import FARTHEST, UNPLACED, Locality, distance, fits, topology
from mizzen.mesh.model import DestinationRule, Endpoint, Instance, Labels, MeshConfig
from mizzen.resources.destination_rule import (
    LoadBalancerSettings,
    LocalityLbSetting,
    PortTrafficPolicy,
    TrafficPolicy,
    levels,
)

# So that the share of one place of several comes out right to a thousandth of a per cent; Istio rounds to whole ones.
_PARTS = 1000
# More than distances there are, so that what labels say comes first.
_DISTANCES = 5


class Caller(NamedTuple):
    """What of a caller the choice of endpoints may depend on: where it is, and those labels that a policy compares."""

    locality: Locality = UNPLACED
    labels: Labels = ()


ANYBODY = Caller()


class Spread(NamedTuple):
    """A policy as one caller has it: the ``shares`` of places, or how their priority follows from how near they are to it.

    ``labels`` are compared in order, each with the value that the caller wants; ``near`` is None if distance does not
    count. ``next_region`` is where calls go if the caller's own region fails, "" for any other.
    """

    shares: tuple[tuple[str, int], ...] = ()
    labels: Labels = ()
    near: Locality | None = None
    next_region: str = ""


class Group(NamedTuple):
    """The endpoints of one place that have one priority, and the weight of them all."""

    locality: Locality
    priority: int
    weight: int
    endpoints: tuple[Endpoint, ...]


class LocalityPolicy(NamedTuple):
    """What is written about a cluster; ``detects`` says that it has outlier detection."""

    setting: LocalityLbSetting
    detects: bool


def locality_setting(balancer: LoadBalancerSettings | None, mesh: MeshConfig | None) -> LocalityLbSetting | None:
    """Returns the setting in force: the rule's in place of the mesh's whole; None if it is turned off (Istio 2.10)."""
    own = balancer.locality_lb_setting if balancer else None
    found = own or (mesh.spec.locality_lb_setting if mesh else None) or LocalityLbSetting()
    return None if found.enabled is False else found


def locality_policy(policy: TrafficPolicy | None, mesh: MeshConfig | None) -> LocalityPolicy | None:
    """Returns what makes a cluster's endpoints depend on who calls; None if nothing does."""
    setting = locality_setting(policy.load_balancer if policy else None, mesh)
    detects = bool(policy and policy.outlier_detection)
    return LocalityPolicy(setting, detects) if setting and (setting.distribute or detects) else None


def may_concern(rules: Iterable[DestinationRule], mesh: MeshConfig | None) -> bool:
    """Tells whether :func:`locality_policy` may find something for a service with these rules: mostly it does not."""
    if mesh and mesh.spec.locality_lb_setting and mesh.spec.locality_lb_setting.distribute:
        return True
    if mesh and mesh.spec.default_traffic_policy and mesh.spec.default_traffic_policy.outlier_detection:
        return True
    return any(_concerns(level) for rule in rules for _, level in levels(rule.spec))


def _concerns(level: TrafficPolicy | PortTrafficPolicy) -> bool:
    return bool(level.outlier_detection or (level.load_balancer and level.load_balancer.locality_lb_setting))


def asked_labels(policies: Iterable[LocalityPolicy]) -> frozenset[str]:
    """Returns the names of the caller's labels that the policies compare."""
    written = (label for policy in policies for label in policy.setting.failover_priority)
    return frozenset(label for label in written if "=" not in label)


def caller_of(instance: Instance, asked: Collection[str]) -> Caller:
    known = {**topology(instance.locality), **dict(instance.labels)}
    return Caller(instance.locality, tuple((name, known[name]) for name in sorted(asked) if name in known))


def spread_for(policy: LocalityPolicy, caller: Caller) -> Spread | None:
    """Returns a policy as a caller has it; None if it has nothing to say about this one."""
    setting = policy.setting
    if setting.distribute:
        # Only the first that is for the caller's place counts.
        found = next((one.to for one in setting.distribute if fits(caller.locality, one.from_)), None)
        return Spread(shares=tuple(found.items())) if found else None
    if not policy.detects:
        return None
    labels = tuple(_wanted(setting.failover_priority, dict(caller.labels)))
    if labels and not setting.failover:
        return Spread(labels=labels)
    region = next((one.to for one in setting.failover if one.from_ == caller.locality.region), "")
    return Spread(labels=labels, near=caller.locality, next_region=region)


def _wanted(priorities: Sequence[str], own: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for written in priorities:
        name, equals, value = written.partition("=")
        yield name, value if equals else own.get(name, "")


def grouped(endpoints: Sequence[Endpoint], spread: Spread | None) -> list[Group]:
    """Returns the endpoints by place, in order; without a policy all have one priority, and weigh what they weigh."""
    if spread and spread.shares:
        return list(_shared_out(_by_place(endpoints, None), spread.shares))
    groups = _by_place(endpoints, spread)
    # Priorities must have no gaps (Envoy).
    rank = {priority: number for number, priority in enumerate(sorted({one.priority for one in groups}))}
    return [one._replace(priority=rank[one.priority]) for one in groups]


def _by_place(endpoints: Iterable[Endpoint], spread: Spread | None) -> list[Group]:
    places: dict[tuple[int, Locality], list[Endpoint]] = {}
    for one in endpoints:
        priority = _priority(one, spread) if spread else 0
        places.setdefault((priority, one.locality), []).append(one)
    return [
        Group(locality, priority, sum(one.weight for one in members), tuple(members))
        for (priority, locality), members in sorted(places.items(), key=lambda item: item[0])
    ]


def _priority(endpoint: Endpoint, spread: Spread) -> int:
    by_labels = _mismatch(endpoint, spread.labels) if spread.labels else 0
    if spread.near is None:
        return by_labels
    away = distance(spread.near, endpoint.locality)
    if away == FARTHEST and spread.next_region not in ("", endpoint.locality.region):
        away += 1
    return by_labels * _DISTANCES + away


def _mismatch(endpoint: Endpoint, wanted: Labels) -> int:
    """Returns how many of the labels count for nothing: the first that is another, and all after it."""
    own = {**topology(endpoint.locality), **dict(endpoint.labels)}
    fitting = next((at for at, (name, value) in enumerate(wanted) if own.get(name, "") != value), len(wanted))
    return len(wanted) - fitting


def _shared_out(groups: Iterable[Group], shares: Sequence[tuple[str, int]]) -> Iterator[Group]:
    """Yields the groups that have a share; several that share one divide it by their own weights."""
    placed: dict[str, list[Group]] = {pattern: [] for pattern, _ in shares}
    for group in groups:
        pattern = next((one for one, _ in shares if fits(group.locality, one)), None)
        if pattern is not None:
            placed[pattern].append(group)
    for pattern, percent in shares:
        total = sum(group.weight for group in placed[pattern])
        for group in placed[pattern]:
            yield group._replace(weight=math.ceil(group.weight * percent * _PARTS / total))
