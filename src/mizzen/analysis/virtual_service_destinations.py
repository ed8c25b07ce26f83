"""Where routes lead: to a host that exists, a port that it has, a subset that is defined.

Source of the conditions: istio/istio, ``pkg/config/analysis/analyzers/virtualservice`` (destinationhosts.go,
destinationrules.go).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping

from mizzen.analysis.destinations import Destination
from mizzen.analysis.items import Item
from mizzen.analysis.messages import Message, message
from mizzen.analysis.routes import RouteDestination, destinations, gateways
from mizzen.analysis.values import at, mappings, number, text, texts
from mizzen.analysis.world import World
from mizzen.resources import hosts
from mizzen.resources.suggesting import nearest


def destination_hosts(world: World) -> Iterator[Message]:
    """IST0101 for unknown hosts and ports, IST0112 for ports that are not chosen, IST0140 for subsets without effect."""
    split = _split_hosts(world)
    for item in world.of("VirtualService"):
        for one in destinations(item):
            yield from _destination(world, item, one)
        yield from _without_subset(world, item, split)


def _destination(world: World, item: Item, one: RouteDestination) -> Iterator[Message]:
    if not one.host:
        return
    found = world.destinations.find(one.host, item)
    if found is None:
        if not world.judges(world.destinations.full(one.host, item.namespace), item.namespace):
            return
        what = "mirror host" if one.mirror else "host"
        full = world.destinations.full(one.host, item.namespace)
        meant = f", which means {full}," if full != one.host else ""
        hint = world.destinations.hint(one.host, item.namespace)
        text_ = f"the {what} {one.host!r}{meant} is no Service and in no ServiceEntry{hint}"
        yield message("IST0101", item, f"{one.path}.host", text_)
        return
    yield from _port(item, one, found)


def _port(item: Item, one: RouteDestination, found: Destination) -> Iterator[Message]:
    listed = ", ".join(map(str, found.ports))
    wanted = number(one.value, "port", "number")
    if at(one.value, "port") is None:
        if len(found.ports) > 1:
            text_ = f"{one.host!r} has several ports ({listed}): say which, with `port: {{number: ...}}`"
            yield message("IST0112", item, f"{one.path}.host", text_)
    elif found.ports and wanted not in found.ports:
        text_ = f"{one.host!r} has no port {wanted}; {found.item.shown} has {listed}"
        yield message("IST0101", item, f"{one.path}.port.number", text_)


def _split_hosts(world: World) -> Mapping[str, list[Item]]:
    """Returns the hosts that VirtualServices split into subsets, each with the VirtualServices."""
    found: dict[str, list[Item]] = defaultdict(list)
    for item in world.of("VirtualService"):
        own = {world.destinations.full(host, item.namespace) for host in texts(item.spec, "hosts")}
        for route in mappings(item.spec, "http"):
            for one in mappings(route, "route"):
                host = world.destinations.full(text(one, "destination", "host"), item.namespace)
                if text(one, "destination", "subset") and host in own and item not in found[host]:
                    found[host].append(item)
    return found


def _without_subset(world: World, item: Item, split: Mapping[str, list[Item]]) -> Iterator[Message]:
    """A gateway routes by its own VirtualServices alone, so those of the mesh do not split its requests."""
    if not gateways(item):
        return
    for one in destinations(item):
        if one.subset or one.mirror or not one.path.startswith("spec.http"):
            continue
        for other in split.get(world.destinations.full(one.host, item.namespace), ()):
            if other is not item:
                text_ = (
                    f"the subsets that VirtualService {other.full_name} gives to {one.host!r} are for sidecars alone"
                )
                text_ += ": requests through this gateway are not split by them"
                yield message("IST0140", item, f"{one.path}.host", text_)


def destination_subsets(world: World) -> Iterator[Message]:
    """IST0101 for a subset that no DestinationRule of the host defines."""
    rules: dict[str, dict[str, Item]] = defaultdict(dict)
    ruled: dict[str, list[Item]] = defaultdict(list)
    for rule in world.of("DestinationRule"):
        host = world.destinations.full(text(rule.spec, "host"), rule.namespace)
        ruled[host].append(rule)
        for subset in mappings(rule.spec, "subsets"):
            rules[host][text(subset, "name")] = rule
    wildcards = [host for host in ruled if hosts.is_wildcard(host)]
    for item in world.of("VirtualService"):
        for one in destinations(item):
            host = world.destinations.full(one.host, item.namespace)
            around = [host, *(wide for wide in wildcards if wide != host and hosts.subset_of(host, wide))]
            if one.subset and not any(one.subset in rules.get(known, ()) for known in around):
                known = [rule for each in around for rule in ruled.get(each, ())]
                named = [name for each in around for name in rules.get(each, ())]
                text_ = f"the subset {one.subset!r} of {one.host!r} is not defined{_where(one.subset, known, named)}"
                yield message("IST0101", item, f"{one.path}.subset", text_)


def _where(subset: str, rules: list[Item], named: list[str]) -> str:
    if not rules:
        return ": no DestinationRule is for that host"
    listed = " or ".join(f"DestinationRule {rule.full_name}" for rule in rules)
    near = nearest(subset, named)
    return f" in {listed}" + (f"; did you mean {near!r}?" if near else "")
