"""The stage of the compiler that applies EnvoyFilters to all that a proxy has for one instance.

It goes through what has changed since the last time and through nothing else; each resource is remembered by its view.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeAlias

from mizzen.compile.memory import Named, remember, remember_in_use
from mizzen.compile.patches.clusters import TARGETS as CLUSTER_TARGETS
from mizzen.compile.patches.clusters import ClusterView, for_cluster, patch_cluster
from mizzen.compile.patches.filters import merge_discovered
from mizzen.compile.patches.listeners import ListenerView, patch_listener
from mizzen.compile.patches.matching import added_in, in_context
from mizzen.compile.patches.patch import Patch, Patched, Patches, PatchId, changed
from mizzen.compile.patches.places import INBOUND, RoutesPlace, Subject
from mizzen.compile.patches.routes import PatchHost, patch_host, patch_routes
from mizzen.compile.resource import CLUSTER, FILTERS, LISTENER, ROUTES, Resources, TypeUrl, XdsResource, encode
from mizzen.resources.envoy_filter import OF_LISTENERS, OF_ROUTES
from mizzen.stubs.envoy.config.cluster.v3.cluster_pb2 import Cluster
from mizzen.stubs.envoy.config.core.v3.extension_pb2 import TypedExtensionConfig
from mizzen.stubs.envoy.config.listener.v3.listener_pb2 import Listener
from mizzen.stubs.envoy.config.route.v3.route_pb2 import RouteConfiguration

Hits: TypeAlias = frozenset[PatchId]
_NONE: Hits = frozenset()


@dataclass(frozen=True)
class RoutesView:
    """Everything that a patched route configuration depends on."""

    resource: XdsResource
    place: RoutesPlace
    patches: Patches


@dataclass(frozen=True)
class FilterView:
    """Everything that a patched filter which comes by itself depends on."""

    resource: XdsResource
    patches: Patches


def patch_route_configuration(view: RoutesView, host: PatchHost = patch_host) -> Patched:
    config = RouteConfiguration.FromString(view.resource.body)
    return changed(view.resource, config, patch_routes(config, view.place, view.patches, host))


def patch_filter(view: FilterView) -> Patched:
    config = TypedExtensionConfig.FromString(view.resource.body)
    return changed(view.resource, config, [patch.id for patch in view.patches if merge_discovered(config, patch)])


@dataclass
class _Done:
    """What was made for an instance: of each type what it was made from, and what it became.

    ``filters`` are those that come by themselves and that listeners have patches for; ``routes`` are each beside what
    it was made from.
    """

    patches: Patches
    subject: Subject
    made: dict[TypeUrl, tuple[tuple[object, ...], Named, Hits]] = field(default_factory=dict)
    filters: Mapping[str, Patches] = field(default_factory=dict)
    routes: Mapping[str, tuple[XdsResource, Patched]] = field(default_factory=dict)
    whole: tuple[Resources, Resources] | None = None

    def of(self, targets: frozenset[str]) -> Patches:
        return tuple(one for one in self.patches if one.target in targets)

    def changed(self, type_url: TypeUrl, basis: tuple[Any, ...], change: _Change) -> Named:
        """Returns the resources of a type, changed anew only where one of ``basis`` is another object than before."""
        known = self.made.get(type_url)
        if known is None or [*map(id, known[0])] != [*map(id, basis)]:
            known = self.made[type_url] = (basis, *change(self, basis[0]))
        return known[1]


_Change: TypeAlias = Callable[[_Done, Named], tuple[Named, Hits]]


class Patcher:
    """Applies patches, and remembers what it made from what."""

    def __init__(self) -> None:
        host = remember(patch_host)
        self._listener = remember(partial(patch_listener, host=host))
        self._cluster = remember(patch_cluster)
        self._routes = remember_in_use(partial(patch_route_configuration, host=host))
        self._filter = remember(patch_filter)
        self._done: dict[tuple[str, str], _Done] = {}

    def keep(self, served: Collection[tuple[str, str]]) -> None:
        """Forgets all instances but these, each by the proxy that serves it."""
        self._done = {key: one for key, one in self._done.items() if key in served}

    def forget(self, key: tuple[str, str]) -> None:
        """Forgets an instance for which there are no patches any more."""
        self._done.pop(key, None)

    def hits(self, key: tuple[str, str]) -> Hits:
        """Returns the patches that changed something of an instance when it was last looked at."""
        done = self._done.get(key)
        return frozenset().union(*(hits for _, _, hits in done.made.values())) if done else _NONE

    def patched(self, key: tuple[str, str], subject: Subject, resources: Resources, patches: Patches) -> Resources:
        """Returns the resources of an instance with all patches applied; the same objects where nothing has changed."""
        done = self._done.get(key)
        if done is None or done.patches != patches or done.subject != subject:
            done = self._done[key] = _Done(patches, subject)
        if done.whole and done.whole[0] is resources:
            return done.whole[1]
        made = dict(resources)
        made[CLUSTER] = done.changed(CLUSTER, (resources[CLUSTER],), self._clusters)
        made[LISTENER] = done.changed(LISTENER, (resources[LISTENER],), self._listeners)
        made[ROUTES] = done.changed(ROUTES, (resources[ROUTES],), self._route_configurations)
        made[FILTERS] = done.changed(FILTERS, (resources[FILTERS], done.filters), self._filters)
        done.whole = (resources, made)
        return made

    def _clusters(self, done: _Done, named: Named) -> tuple[Named, Hits]:
        patches, subject = done.of(CLUSTER_TARGETS), done.subject
        if not patches:
            return named, _NONE
        made, hits = dict(named), set[PatchId]()
        for name, resource in named.items():
            # What all seats of a proxy share belongs to none of them.
            place = subject.cluster(name)
            if mine := for_cluster(patches, place) if place else ():
                result = self._cluster(ClusterView(resource, mine))
                hits |= result.hits
                _put(made, name, result.resource)
        for patch in _added(patches, subject):
            _add(made, hits, patch, _at_seat(patch.message(), subject))
        return made, frozenset(hits)

    def _listeners(self, done: _Done, named: Named) -> tuple[Named, Hits]:
        of_listeners, of_all = done.of(OF_LISTENERS), done.of(OF_LISTENERS | OF_ROUTES)
        if not of_all:
            return named, _NONE
        made, hits = dict(named), set[PatchId]()
        filters: dict[str, Patches] = {}
        for name, resource in named.items():
            place = done.subject.listener(name)
            if place is None:
                continue
            # The routes of an inbound listener stand in it.
            known = of_all if place.context == INBOUND else of_listeners
            if mine := tuple(one for one in known if in_context(one, place.context)):
                view = ListenerView(resource, place, mine, done.subject.seat.prefix)
                result = self._listener(view)
                hits |= result.hits
                filters.update(result.filters)
                _put(made, name, result.resource)
        for patch in () if done.subject.instance.closing else _added(of_listeners, done.subject):
            _add(made, hits, patch, _at_seat(patch.message(), done.subject))
        done.filters = filters
        return made, frozenset(hits)

    def _route_configurations(self, done: _Done, named: Named) -> tuple[Named, Hits]:
        mine = tuple(one for one in done.of(OF_ROUTES) if in_context(one, done.subject.outward))
        if not mine:
            return named, _NONE
        routes = {}
        for name, resource in named.items():
            known = done.routes.get(name)
            if known is None or known[0] is not resource:
                known = resource, self._routes(RoutesView(resource, done.subject.routes(name), mine))
            routes[name] = known
        done.routes = routes
        made = {name: one.resource for name, (_, one) in routes.items() if one.resource}
        return made, frozenset().union(*(one.hits for _, one in routes.values()))

    def _filters(self, done: _Done, named: Named) -> tuple[Named, Hits]:
        added = done.of(frozenset({"EXTENSION_CONFIG"}))
        made, hits = dict(named), set[PatchId]()
        for name, patches in done.filters.items():
            if name in named:
                # Its listener has counted these patches already.
                _put(made, name, self._filter(FilterView(named[name], patches)).resource)
        for patch in added:
            _add(made, hits, patch, _at_seat(patch.message(), done.subject))
        return made if added or done.filters else named, frozenset(hits)


def _added(patches: Patches, subject: Subject) -> Iterator[Patch]:
    """Yields the patches that add listeners or clusters to a proxy."""
    contexts = (subject.outward,) if subject.is_gateway else (subject.outward, INBOUND)
    for one in patches:
        of_proxy = one.target in ("LISTENER", "CLUSTER") and one.operation == "ADD"
        if of_proxy and any(added_in(one, context) for context in contexts):
            yield one


def _add(made: dict[str, XdsResource], hits: set[PatchId], patch: Patch, message: Any) -> None:
    """Adds a resource, unless there is one of its name: it must not take the place of what the mesh needs."""
    if message.name not in made:
        made[message.name] = encode(message.name, message, [patch.key])
        hits.add(patch.id)


def _put(made: dict[str, XdsResource], name: str, resource: XdsResource | None) -> None:
    if resource is None:
        del made[name]
    else:
        made[name] = resource


def _at_seat(added: Any, subject: Subject) -> Any:
    """Opens what is added where the workload is, and names it so that others may add one of its name, too."""
    if not subject.seat.shared:
        return added
    if not added.name.startswith(subject.seat.prefix):  # one of the mesh's own has it already
        added.name = subject.seat.named(added.name)
    if isinstance(added, Listener) and added.address.HasField("socket_address"):
        added.address.socket_address.network_namespace_filepath = subject.seat.netns
    if isinstance(added, Cluster) and not added.HasField("upstream_bind_config"):
        called = [one.endpoint.address for group in added.load_assignment.endpoints for one in group.lb_endpoints]
        if all(address.HasField("socket_address") for address in called):
            is_ipv6 = any(":" in address.socket_address.address for address in called)
            subject.seat.open_inside(added, "::" if is_ipv6 else "0.0.0.0")
    return added
