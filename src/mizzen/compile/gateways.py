"""What a gateway has: the clusters and endpoints of its namespace's scope, and the listeners and routes of its Gateways.

A gateway has no application and takes traffic from outside the mesh. It calls services as any member of the mesh does: with
mutual TLS, by its own identity, and by the DestinationRules that its namespace sees.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import partial

from mizzen.compile import elsewhere, gateway_listeners, gateway_routes
from mizzen.compile.gateway_views import GatewayViews
from mizzen.compile.limits import Limits
from mizzen.compile.memory import Named, by_name, kept, remember, remember_in_use
from mizzen.compile.outbound import Outbound
from mizzen.compile.resource import CLUSTER, ENDPOINTS, FILTERS, LISTENER, ROUTES, Resources
from mizzen.compile.tcp_routes import build_tcp_route
from mizzen.mesh.model import Instance, Snapshot
from mizzen.mesh.rate_limits import limit_of


class Builder:
    """Builds gateways, and remembers what it built from what, as long as that stays the same."""

    def __init__(self) -> None:
        self._listener = remember(gateway_listeners.build_gateway_listener)
        host = remember(gateway_routes.build_gateway_host)
        self._routes = remember_in_use(partial(gateway_routes.build_gateway_routes, build=host))
        self._filter = remember(build_tcp_route)
        self._limits = Limits()
        # The last of each three keeps what the first has the identities of.
        self._made: dict[str, tuple[object, Resources, Sequence[object]]] = {}

    def keep(self, proxies: Collection[str]) -> None:
        """Forgets all gateways but those among these proxies."""
        self._made = {name: made for name, made in self._made.items() if name in proxies}

    def build(self, instance: Instance, outbound: Outbound, assigned: Named, snapshot: Snapshot) -> Resources:
        limit = limit_of(instance, snapshot.rate_limits)
        known = (instance, snapshot.trust_domain, snapshot.gateways, snapshot.virtual_services, limit)
        # These are compared by identity: there are many of them, and they are the same objects where nothing changed.
        basis = (known, id(outbound), id(assigned), id(snapshot.endpoints))
        before, earlier, _ = self._made.get(instance.id, ((), {}, ()))
        if before == basis:
            return earlier
        views = GatewayViews(instance, outbound, snapshot.gateways, snapshot.routing, snapshot.trust_domain)
        made = {
            CLUSTER: {
                **outbound.clusters,
                **outbound.placed_clusters(outbound.caller(instance)),
                **outbound.at_gateway(outbound.caller(instance)),
                **by_name([elsewhere.build_black_hole()]),
            },
            ENDPOINTS: {**assigned, **outbound.published_endpoints(snapshot.endpoints, outbound.caller(instance))},
            LISTENER: {**by_name(map(self._listener, views.listeners())), **outbound.name_listeners},
            ROUTES: by_name(map(self._routes, views.routes())),
            FILTERS: by_name([*map(self._filter, views.filters()), *self._limits.of(instance, limit, gateway=True)]),
        }
        resources = {type_url: kept(named, earlier.get(type_url)) for type_url, named in made.items()}
        self._made[instance.id] = (basis, resources, (outbound, assigned, snapshot.endpoints))
        return resources
