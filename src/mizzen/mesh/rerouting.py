"""A scope after the most frequent of all changes: VirtualServices say other routes for the hosts that they had. Pure.

Looking up which policy applies to each of a thousand services takes a hundred times as long as such a change may take, and
has the same outcome as before.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias, TypeVar

from mizzen.mesh.model import Host, Snapshot, VirtualService
from mizzen.mesh.rate_limits import limit_servers
from mizzen.mesh.scope import DEFAULT_HTTP_PORT, LiteralHost, PortScope, Scope, ScopedService
from mizzen.mesh.virtual_services import asks_for
from mizzen.resources.delegates import delegations
from mizzen.resources.hosts import resolve
from mizzen.resources.key import Key
from mizzen.resources.virtual_service import all_destinations

Claimed: TypeAlias = ScopedService | LiteralHost
Changes: TypeAlias = list[tuple[Claimed, Claimed]]
"""What is routed in another way than before, each as it is and as it was."""
ClaimedT = TypeVar("ClaimedT", ScopedService, LiteralHost)
_Rules: TypeAlias = Mapping[Key, tuple[VirtualService, VirtualService]]


class Rerouting:
    """What VirtualServices say in one snapshot otherwise than in the one before; asked for each scope of that."""

    def __init__(self, before: Snapshot, now: Snapshot) -> None:
        self._limits = (before.rate_limits, now.rate_limits)
        same = _same_but_routes(before, now)
        self._changed = _changed(before.virtual_services, now.virtual_services) if same else None

    def rerouted(self, scope: Scope) -> Scope | None:
        """Returns a scope as it is now; None if it has to be made from nothing.

        What did not change is the same object as before, which is the scope itself where it has nothing of what changed. The
        Sidecar that it obeys must be the same.
        """
        if self._changed is None or (scope.narrowed and self._asks_others(scope.namespace)):
            return None
        if any(_leads_elsewhere(one, self._changed) for one in _parts(scope)):
            return None
        return _rerouted(scope, {key: now for key, (_, now) in self._changed.items()})

    def _asks_others(self, namespace: str) -> bool:
        before, now = self._limits
        return before != now and limit_servers(namespace, before) != limit_servers(namespace, now)


def _same_but_routes(before: Snapshot, now: Snapshot) -> bool:
    """Tells whether all that scopes are made of is the same, VirtualServices and RateLimits aside."""
    return (
        before.services is now.services
        and before.destination_rules == now.destination_rules
        and (before.registry_only, before.mesh_config) == (now.registry_only, now.mesh_config)
    )


def _parts(scope: Scope) -> Iterator[Scope]:
    yield scope
    yield from (one.scope for one in scope.ports)


def _leads_elsewhere(scope: Scope, changed: _Rules) -> bool:
    """Tells whether a VirtualService leads to other services than before, where not all are there anyway."""
    if not scope.narrowed:
        return False
    return any(_led_to(before) != _led_to(now) for key, (before, now) in changed.items() if key in scope.claims)


def _led_to(rule: VirtualService) -> set[tuple[str, int]]:
    return {
        (resolve(one.host, rule.namespace), one.port.number if one.port else 0)
        for _, one in all_destinations(rule.spec)
    }


def _rerouted(scope: Scope, changed: Mapping[Key, VirtualService]) -> Scope:
    ports = tuple(_rerouted_port(one, changed) for one in scope.ports)
    if changed.keys().isdisjoint(scope.claims) and all(a is b for a, b in zip(ports, scope.ports, strict=True)):
        return scope
    services = tuple(_obeying(one, changed) for one in scope.services)
    literal_hosts = tuple(_obeying(one, changed) for one in scope.literal_hosts)
    return dataclasses.replace(scope, services=services, literal_hosts=literal_hosts, ports=ports)


def _obeying(one: ClaimedT, changed: Mapping[Key, VirtualService]) -> ClaimedT:
    """Returns what VirtualServices have claimed, with what they say now."""
    for rule in one.virtual_services:  # there are a thousand of these, so nothing is made for most of them
        if rule.key in changed:
            rules = tuple(changed.get(rule.key, rule) for rule in one.virtual_services)
            return dataclasses.replace(one, virtual_services=rules)
    return one


def _rerouted_port(one: PortScope, changed: Mapping[Key, VirtualService]) -> PortScope:
    scope = _rerouted(one.scope, changed)
    return one if scope is one.scope else dataclasses.replace(one, scope=scope)


def only_routes_differ(one: Scope, other: Scope) -> bool:
    """Tells whether two scopes have the same services, obeying the same DestinationRules, by identity, and allow the same beside
    them.
    """
    if len(one.services) != len(other.services) or one.led is not other.led or len(one.ports) != len(other.ports):
        return False
    if _outward(one) != _outward(other):
        return False
    same = all(a is b or _same_rules(a, b) for a, b in zip(one.services, other.services, strict=True))
    return same and all(
        dataclasses.replace(a, scope=b.scope) == b and only_routes_differ(a.scope, b.scope)
        for a, b in zip(one.ports, other.ports, strict=True)
    )


def _outward(scope: Scope) -> tuple[object, ...]:
    """Returns what a scope allows beside its services."""
    return scope.mesh_config, scope.registry_only, scope.elsewhere, scope.looks_up_hosts


def _same_rules(one: ScopedService, other: ScopedService) -> bool:
    return (
        one.service is other.service
        and one.destination_rules is other.destination_rules
        and one.inbound_rules is other.inbound_rules
    )


def rerouted(now: Scope, before: Scope) -> Changes | None:
    """Returns of which hosts VirtualServices say something else; None if others claim hosts than before, or in another order.

    Of the two scopes nothing but routes differs, and what ports have of their own is not looked at.
    """
    if now.claims != before.claims or len(now.literal_hosts) != len(before.literal_hosts):
        return None
    all_now: tuple[Claimed, ...] = (*now.services, *now.literal_hosts)
    all_before: tuple[Claimed, ...] = (*before.services, *before.literal_hosts)
    found = [(one, earlier) for one, earlier in zip(all_now, all_before, strict=True) if one is not earlier]
    return found if all(_claim(one) == _claim(earlier) for one, earlier in found) else None


def _claim(one: Claimed) -> tuple[Host, int, list[Key]]:
    port = one.port if isinstance(one, LiteralHost) else 0
    return one.host, port, [rule.key for rule in one.virtual_services]


def _changed(before: Sequence[VirtualService], now: Sequence[VirtualService]) -> _Rules | None:
    """Returns the VirtualServices that say other routes than before, each as it was and as it is; None if there is any other
    difference.
    """
    if len(before) != len(now):
        return None
    changed = {}
    for old, new in zip(before, now, strict=True):
        if old is not new and old != new:
            if not _claims_the_same(old, new):
                return None
            changed[new.key] = (old, new)
    return changed


def _claims_the_same(old: VirtualService, new: VirtualService) -> bool:
    """Tells whether a VirtualService stands where it stood; one that delegates, or is a delegate, is looked at in full."""
    one, other = old.spec, new.spec
    return (
        (old.key, old.created) == (new.key, new.created)
        and (one.hosts, one.gateways, one.export_to) == (other.hosts, other.gateways, other.export_to)
        and bool(one.http) == bool(other.http)
        and asks_for(old, DEFAULT_HTTP_PORT) == asks_for(new, DEFAULT_HTTP_PORT)
        and bool(one.hosts)
        and not any(delegations(one.http))
        and not any(delegations(other.http))
    )
