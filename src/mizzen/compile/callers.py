"""Which Outbound is whose: who sees the same and obeys the same rules has the same, for as long as its scope says the same."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

from mizzen.compile.builders import Builders
from mizzen.compile.localities import Caller
from mizzen.compile.memory import Named
from mizzen.compile.outbound import Outbound
from mizzen.compile.seats import ALONE, Seat
from mizzen.mesh.destination_rules import selecting
from mizzen.mesh.model import DestinationRule, Instance, Sidecar, Snapshot
from mizzen.mesh.narrowing import narrowed_scope
from mizzen.mesh.proxy_configs import taking_http10
from mizzen.mesh.rerouting import Rerouting
from mizzen.mesh.scope import Scope, scope_of
from mizzen.mesh.sidecars import SidecarIndex
from mizzen.resources.key import Key

_Place: TypeAlias = tuple[tuple[str, Key | None, frozenset[Key], bool], Seat]


class _Callers(NamedTuple):
    """Who sees the same: those of a namespace that obey a Sidecar, or none, and are selected by the same DestinationRules.

    Listeners are others where a proxy takes HTTP/1.0, too.
    """

    namespace: str
    sidecar: Sidecar | None = None
    chosen: frozenset[Key] = frozenset()
    http10: bool = False

    @property
    def place(self) -> tuple[str, Key | None, frozenset[Key], bool]:
        """What stays when the Sidecar is changed."""
        return (self.namespace, self.sidecar.key if self.sidecar else None, self.chosen, self.http10)


class Outbounds:
    """The Outbounds of a snapshot's proxies, made as they are asked for; ``turn_to`` says which snapshot that is."""

    def __init__(self) -> None:
        self._builders = Builders()
        self._sidecars = SidecarIndex((), "")
        self._selecting: list[DestinationRule] = []
        self._http10 = taking_http10((), "")
        self._scopes: dict[_Callers, Scope] = {}
        self._earlier: tuple[Rerouting, dict[_Callers, Scope]] | None = None
        self._outbound: dict[_Place, Outbound] = {}
        self._stale: dict[_Place, Outbound] = {}
        self._endpoints: dict[tuple[int, Caller], tuple[Outbound, Named]] = {}

    def turn_to(self, snapshot: Snapshot, before: Snapshot | None) -> None:
        """Prepares for a snapshot; ``before`` is the one until now."""
        self._endpoints = {}
        if before is None or _proxies_as(before) != _proxies_as(snapshot):
            self._http10 = taking_http10(snapshot.proxy_configs, snapshot.root_namespace)
        if before is None or not _same_policy(before, snapshot):
            self._selecting = [rule for rule in snapshot.destination_rules if rule.spec.workload_selector]
            # Those that nobody has asked for since the last change are dropped.
            self._earlier = (Rerouting(before, snapshot), self._scopes) if before else None
            self._stale, self._outbound, self._scopes = self._outbound, {}, {}
            self._sidecars = SidecarIndex(snapshot.sidecars, snapshot.root_namespace)

    def sidecar_of(self, instance: Instance) -> Sidecar | None:
        """Returns the Sidecar that an instance obeys."""
        return self._sidecars.of(instance.namespace, instance.labels)

    def of(
        self, snapshot: Snapshot, instance: Instance, sidecar: Sidecar | None = None, seat: Seat = ALONE
    ) -> Outbound:
        """Returns the Outbound of an instance under a Sidecar, at its seat."""
        chosen = selecting(self._selecting, instance.namespace, instance.labels)
        http10 = self._http10(instance.namespace, instance.labels)
        return self._of(snapshot, _Callers(instance.namespace, sidecar, chosen, http10), seat)

    def of_namespace(self, snapshot: Snapshot, namespace: str) -> Outbound:
        """Returns the Outbound of who has no labels."""
        return self._of(snapshot, _Callers(namespace, self._sidecars.of(namespace)), ALONE)

    def endpoints(
        self, snapshot: Snapshot, outbound: Outbound, caller: Caller, served: frozenset[str] = frozenset()
    ) -> Named:
        """Returns the load assignments of a caller; ``served`` are the instances that the same proxy serves."""
        known = self._endpoints.get((id(outbound), caller))
        if known is None:
            # The Outbound is held, too, so that no other can have its identity.
            known = outbound, outbound.endpoints(snapshot.endpoints, served, caller)
            self._endpoints[id(outbound), caller] = known
        return known[1]

    def _of(self, snapshot: Snapshot, callers: _Callers, seat: Seat) -> Outbound:
        key = (callers.place, seat)
        if key not in self._outbound:
            if callers not in self._scopes:
                self._scopes[callers] = self._scope_of(snapshot, callers)
            scope, before = self._scopes[callers], self._stale.pop(key, None)
            if before is None or before.scope != scope:
                before = Outbound(scope, self._builders, before, seat, http10=callers.http10)
            self._outbound[key] = before
        return self._outbound[key]

    def _scope_of(self, snapshot: Snapshot, callers: _Callers) -> Scope:
        if self._earlier:
            rerouting, scopes = self._earlier
            if (earlier := scopes.get(callers)) and (scope := rerouting.rerouted(earlier)):
                return scope
        if callers.sidecar:
            return narrowed_scope(snapshot, callers.namespace, callers.sidecar, callers.chosen)
        return scope_of(snapshot, callers.namespace, callers.chosen)


def _proxies_as(snapshot: Snapshot) -> tuple[object, ...]:
    return snapshot.proxy_configs, snapshot.root_namespace


def _same_policy(one: Snapshot, other: Snapshot) -> bool:
    """Tells whether two snapshots have the same scopes: all but endpoints and proxies."""
    return (
        one.services == other.services
        and one.virtual_services == other.virtual_services
        and one.destination_rules == other.destination_rules
        and one.sidecars == other.sidecars
        and one.rate_limits == other.rate_limits
        and one.registry_only == other.registry_only
        and one.mesh_config == other.mesh_config
    )
