"""What follows from the services of a scope and their DestinationRules, and stays when routes change."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from mizzen.compile import clusters, listener_views, load_balancers, localities, server_names, tcp_routes
from mizzen.compile.builders import Builders
from mizzen.compile.clusters import ClusterView
from mizzen.compile.egress import PortEgress
from mizzen.compile.localities import Caller, LocalityPolicy
from mizzen.compile.memory import Named, by_name
from mizzen.compile.seats import Seat
from mizzen.mesh.model import Labels, Resolution, ServiceId
from mizzen.mesh.scope import Scope, ScopedService
from mizzen.resources.credentials import names_secrets


@dataclass(frozen=True)
class Assigned:
    """Which endpoints a cluster has: those of a service's port that carry the labels; with ``locality`` it depends on who
    calls how it uses them.
    """

    cluster: str
    service: ServiceId
    port: int
    labels: Labels
    locality: LocalityPolicy | None = None


class Policies:
    """What follows from the services of a scope and their DestinationRules, and from no VirtualService.

    ``rules`` are the DestinationRules by host, of calls and of what is called.
    """

    def __init__(
        self,
        scope: Scope,
        seat: Seat,
        builders: Builders,
        tcp: Iterable[tcp_routes.TcpRoutes],
        ports: Iterable[PortEgress],
    ) -> None:
        reached = list(scope.reached)
        self.rules = {scoped.service.host: scoped.destination_rules for scoped in reached}
        self.inbound_rules = {scoped.service.host: scoped.inbound_rules for scoped in reached}
        self.targets = listener_views.targets_of(
            [*scope.services, *(one for port in ports if port.at_services for one in port.services)]
        )
        views = [view for scoped in reached for view in clusters.cluster_views(scoped, seat, scope.mesh_config)]
        found = _locality_policies(scope, reached, views)
        # These are others at gateways, which have Secrets.
        named = {host for host, rules in self.rules.items() if any(names_secrets(rule.spec) for rule in rules)}
        self.with_secrets = [
            (view, found.get(view.cluster))
            for view, _ in views
            if view.host in named and view.resolution is not Resolution.DIALLED
        ]
        # Where these lead depends on how the caller's traffic is captured, or on where the caller is.
        self.dialled = [view for view, _ in views if view.resolution is Resolution.DIALLED]
        self.placed = [(view, found[view.cluster]) for view, _ in views if view.named and view.cluster in found]
        elsewhere = {view.cluster for view in (*self.dialled, *(view for view, _ in self.placed))}
        made = [builders.cluster(view) for view, _ in views if view.cluster not in elsewhere] + [
            builders.sni_cluster(view) for one in tcp for view in one.sni_clusters()
        ]
        asked = [view for scoped in reached for view in server_names.views_of(scoped, seat, scope.mesh_config)]
        self.name_listeners: Named = by_name(map(builders.name_listener, asked))
        self.clusters: Named = by_name([*made, *map(builders.name_cluster, asked)])
        unassigned = {
            name
            for scoped in reached
            for name, given in clusters.balancers(scoped, seat)
            if load_balancers.passes_through(given)
        }
        ids = {scoped.service.host: scoped.service.id for scoped in reached}
        self.assigned = [
            Assigned(view.cluster, ids[view.host], view.port.number, labels, found.get(view.cluster))
            for view, labels in views
            if view.resolution is Resolution.TOLD and view.cluster not in unassigned
        ]
        self.asked = localities.asked_labels(found.values())
        self.asks = bool(found)


def placed(view: ClusterView, policy: LocalityPolicy | None, caller: Caller) -> ClusterView:
    """Returns a cluster that holds endpoints by name as a caller prefers these."""
    return replace(view, spread=localities.spread_for(policy, caller)) if policy and view.named else view


def _locality_policies(
    scope: Scope, reached: Iterable[ScopedService], views: Iterable[tuple[ClusterView, Labels]]
) -> dict[str, LocalityPolicy]:
    """Returns the clusters whose endpoints depend on where the caller is."""
    concerned = {
        one.service.host for one in reached if localities.may_concern(one.destination_rules, scope.mesh_config)
    }
    found = (
        (view.cluster, localities.locality_policy(clusters.policy_of(view), scope.mesh_config))
        for view, _ in views
        if view.host in concerned
    )
    return {cluster: policy for cluster, policy in found if policy}
