"""ServiceEntries: addresses where TCP needs them, and one protocol for each host and port.

Source of the conditions: istio/istio, ``pkg/config/analysis/analyzers/serviceentry``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from mizzen.analysis.items import Item
from mizzen.analysis.messages import Message, message
from mizzen.analysis.values import elements, mapping, number, text, texts
from mizzen.analysis.world import World
from mizzen.resources.hosts import comparable
from mizzen.resources.paths import join
from mizzen.resources.visibility import seen_by


def addresses(world: World) -> Iterator[Message]:
    """IST0134 for a TCP port without an address to tell its connections from others', unless proxies make one up."""
    metadata = mapping(world.mesh_config, "defaultConfig", "proxyMetadata")
    if all(str(metadata.get(name)) == "true" for name in ("ISTIO_META_DNS_CAPTURE", "ISTIO_META_DNS_AUTO_ALLOCATE")):
        return
    for item in world.of("ServiceEntry"):
        if item.spec.get("addresses"):
            continue
        for index, port in elements(item.spec, "ports"):
            if text(port, "protocol").upper() in {"", "TCP"}:
                said = f"port {number(port, 'number')} carries TCP and has no `addresses`: it takes all connections"
                yield message("IST0134", item, join("spec.ports", index), f"{said} to that port")


@dataclass(frozen=True, eq=False)
class _Port:
    item: Item
    path: str
    protocol: str
    seen_by: frozenset[str] | None


def protocols(world: World) -> Iterator[Message]:
    """IST0177 for one host and port with two protocols, once for each ServiceEntry."""
    ports: dict[tuple[str, int], list[_Port]] = defaultdict(list)
    for item in world.of("ServiceEntry"):
        seen = seen_by(texts(item.spec, "exportTo"), item.namespace)
        for host in map(comparable, texts(item.spec, "hosts")):
            for index, port in elements(item.spec, "ports"):
                one = _Port(item, join("spec.ports", index), text(port, "protocol").upper(), seen)
                ports[host, number(port, "number")].append(one)
    told: set[Item] = set()
    for (host, port_number), found in ports.items():
        for one in found:
            others = [other for other in found if other.protocol != one.protocol and _meet(one, other)]
            if others and one.item not in told:
                told.add(one.item)
                names = ", ".join(f"{other.item.full_name} ({other.protocol})" for other in others)
                said = (
                    f"port {port_number} of {host} is {one.protocol} here and another protocol in ServiceEntry {names}"
                )
                yield message("IST0177", one.item, f"{one.path}.protocol", said)


def _meet(one: _Port, other: _Port) -> bool:
    # As in Istio's analyzer, one that is exported to nobody meets those that all see.
    if one.seen_by is None or other.seen_by is None:
        return True
    return bool(one.seen_by & other.seen_by)
