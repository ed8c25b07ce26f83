"""Hosts that two VirtualServices claim: sidecars follow one of them, and nobody is told.

Source of the conditions: istio/istio, ``analyzers/virtualservice/conflictingmeshgatewayhosts.go``: two that all namespaces
see conflict where their hosts are equal; one that some namespaces see also with a wildcard that all see.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from mizzen.analysis.items import Item
from mizzen.analysis.messages import Message, message
from mizzen.analysis.routes import in_mesh
from mizzen.analysis.values import texts
from mizzen.analysis.world import World
from mizzen.resources import hosts
from mizzen.resources.paths import join
from mizzen.resources.visibility import meet, seen_by


@dataclass(frozen=True, eq=False)
class _Claim:
    item: Item
    path: str
    host: str
    seen_by: frozenset[str] | None


def conflicting_hosts(world: World) -> Iterator[Message]:
    """IST0109, once for each VirtualService that shares a host with others, with all of their names."""
    claims = [claim for item in world.of("VirtualService") if in_mesh(item) for claim in _claims(world, item)]
    by_host: dict[str, list[_Claim]] = defaultdict(list)
    for claim in claims:
        by_host[claim.host].append(claim)
    public = [one for one in claims if one.seen_by is None]
    private = [one for one in claims if one.seen_by]
    told: set[Item] = set()
    for claim in claims:
        others = [one for one in by_host[claim.host] if meet(claim.seen_by, one.seen_by)]
        others += [one for one in (private if claim.seen_by is None else public) if _around(claim, one)]
        names = dict.fromkeys(one.item.full_name for one in others if one.item is not claim.item)
        if names and claim.item not in told:
            told.add(claim.item)
            text = (
                f"the host {claim.host} is claimed by VirtualService {', '.join(names)} too: sidecars follow only one"
            )
            text += "; put the routes into one VirtualService"
            yield message("IST0109", claim.item, claim.path, text)


def _claims(world: World, item: Item) -> Iterator[_Claim]:
    seen = seen_by(texts(item.spec, "exportTo"), item.namespace)
    for index, host in enumerate(texts(item.spec, "hosts")):
        full = world.destinations.full(host, item.namespace)
        yield _Claim(item, join("spec.hosts", index), full, seen)


def _around(one: _Claim, other: _Claim) -> bool:
    """Says whether a host is part of another's wildcard; ``exportTo`` that names nobody claims nothing."""
    wild = hosts.is_wildcard(one.host) or hosts.is_wildcard(other.host)
    return wild and one.seen_by != frozenset() and hosts.matches(one.host, other.host)
