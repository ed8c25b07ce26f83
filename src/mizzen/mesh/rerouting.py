"""A scope after the most frequent of all changes: VirtualServices say other routes for the hosts that they had. Pure.

Looking up which policy applies to each of a thousand services takes a hundred times as long as such a change may take, and
has the same outcome as before.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

from mizzen.mesh.model import Snapshot, VirtualService
from mizzen.mesh.rate_limits import limit_servers
from mizzen.mesh.scope import DEFAULT_HTTP_PORT, PortScope, Scope, ScopedService
from mizzen.mesh.virtual_services import asks_for
from mizzen.resources.delegates import delegations
from mizzen.resources.hosts import resolve
from mizzen.resources.key import Key
from mizzen.resources.virtual_service import all_destinations


class Rerouting:
    """What VirtualServices say in one snapshot otherwise than in the one before; asked for each scope of that."""

    def __init__(self, before: Snapshot, now: Snapshot) -> None:
        self._limits = (before.rate_limits, now.rate_limits)
        self._changed = (
            _changed(before.virtual_services, now.virtual_services) if _same_but_routes(before, now) else None
        )
        self._earlier = {
            rule.key: rule for rule in before.virtual_services if self._changed and rule.key in self._changed
        }

    def rerouted(self, scope: Scope) -> Scope | None:
        """Returns a scope as it is now; None if it has to be made from nothing.

        What did not change is the same object as before, which is the scope itself where it has nothing of what changed. The
        Sidecar that it obeys must be the same.
        """
        if self._changed is None or (scope.narrowed and self._asks_others(scope.namespace)):
            return None
        if any(_leads_elsewhere(one, self._earlier, self._changed) for one in _parts(scope)):
            return None
        return _rerouted(scope, self._changed)

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


def _leads_elsewhere(scope: Scope, before: Mapping[Key, VirtualService], changed: Mapping[Key, VirtualService]) -> bool:
    """Tells whether a VirtualService leads to other services than before, where not all are there anyway."""
    if not scope.narrowed:
        return False
    return any(_led_to(before[key]) != _led_to(changed[key]) for key in scope.claims if key in changed)


def _led_to(rule: VirtualService) -> set[tuple[str, int]]:
    return {
        (resolve(one.host, rule.namespace), one.port.number if one.port else 0)
        for _, one in all_destinations(rule.spec)
    }


def _rerouted(scope: Scope, changed: Mapping[Key, VirtualService]) -> Scope:
    ports = tuple(_rerouted_port(one, changed) for one in scope.ports)
    if changed.keys().isdisjoint(scope.claims) and all(a is b for a, b in zip(ports, scope.ports, strict=True)):
        return scope
    services = tuple(
        dataclasses.replace(one, virtual_services=_with(one.virtual_services, changed))
        if any(rule.key in changed for rule in one.virtual_services)
        else one
        for one in scope.services
    )
    literal_hosts = tuple(
        dataclasses.replace(one, virtual_services=_with(one.virtual_services, changed)) for one in scope.literal_hosts
    )
    return dataclasses.replace(scope, services=services, literal_hosts=literal_hosts, ports=ports)


def _rerouted_port(one: PortScope, changed: Mapping[Key, VirtualService]) -> PortScope:
    scope = _rerouted(one.scope, changed)
    return one if scope is one.scope else dataclasses.replace(one, scope=scope)


def only_routes_differ(one: Scope, other: Scope) -> bool:
    """Tells whether two scopes have the same services, obeying the same DestinationRules, by identity, and the same MeshConfig."""
    if len(one.services) != len(other.services) or one.led is not other.led or len(one.ports) != len(other.ports):
        return False
    if one.mesh_config != other.mesh_config:
        return False
    same = all(a is b or _same_rules(a, b) for a, b in zip(one.services, other.services, strict=True))
    return same and all(
        dataclasses.replace(a, scope=b.scope) == b and only_routes_differ(a.scope, b.scope)
        for a, b in zip(one.ports, other.ports, strict=True)
    )


def _same_rules(one: ScopedService, other: ScopedService) -> bool:
    return (
        one.service is other.service
        and one.destination_rules is other.destination_rules
        and one.inbound_rules is other.inbound_rules
    )


def _changed(before: Sequence[VirtualService], now: Sequence[VirtualService]) -> Mapping[Key, VirtualService] | None:
    """Returns the VirtualServices that say other routes than before; None if there is any other difference."""
    if len(before) != len(now):
        return None
    changed = {}
    for old, new in zip(before, now, strict=True):
        if old is not new and old != new:
            if not _claims_the_same(old, new):
                return None
            changed[new.key] = new
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


def _with(rules: tuple[VirtualService, ...], changed: Mapping[Key, VirtualService]) -> tuple[VirtualService, ...]:
    return tuple(changed.get(rule.key, rule) for rule in rules)
