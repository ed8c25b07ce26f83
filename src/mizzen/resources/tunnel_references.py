"""Checks that the destinations of a route agree about the tunnel that leads to them. Pure; a part of
:mod:`mizzen.resources.references`.

Envoy has one tunnel for a route.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from mizzen.resources import hosts
from mizzen.resources.destination_rule import DestinationRuleSpec, TunnelSettings
from mizzen.resources.paths import join
from mizzen.resources.problems import Problem
from mizzen.resources.resource import Resource
from mizzen.resources.virtual_service import Destination, RouteDestination, VirtualServiceSpec

RulesFor = Callable[[str, str], Sequence[Resource[DestinationRuleSpec]]]
"""The rules for a host that a namespace may see."""


def check_tunnels(routes: Iterable[Resource[VirtualServiceSpec]], rules_for: RulesFor) -> Iterator[Problem]:
    """Yields an error for each route whose destinations are to be reached through different tunnels, or some through none."""
    for resource in routes:
        for path, destinations in _divided(resource.spec):
            named = [one.destination for one in destinations if one.destination]
            tunnels = [_tunnel(one, resource.namespace, rules_for) for one in named]
            if any(one != tunnels[0] for one in tunnels):
                message = "the destinations of one route are reached through different tunnels, or some through none"
                hint = "give their DestinationRules the same `tunnel`, or write a route for each"
                yield resource.problem("SeveralTunnels", path, message, hint)


def _divided(spec: VirtualServiceSpec) -> Iterator[tuple[str, Sequence[RouteDestination]]]:
    """Yields the destinations of each route for connections that has several."""
    tcp = ((f"{join('spec.tcp', index)}.route", route.route) for index, route in enumerate(spec.tcp))
    tls = ((f"{join('spec.tls', index)}.route", route.route) for index, route in enumerate(spec.tls))
    return ((path, found) for path, found in (*tcp, *tls) if len(found) > 1)


def _tunnel(destination: Destination, namespace: str, rules_for: RulesFor) -> TunnelSettings | None:
    found = rules_for(hosts.resolve(destination.host, namespace), namespace)
    own = (one for rule in found for one in rule.spec.subsets if one.name == destination.subset)
    policies = [*(one.traffic_policy for one in own), *(rule.spec.traffic_policy for rule in found)]
    return next((policy.tunnel for policy in policies if policy and policy.tunnel), None)
