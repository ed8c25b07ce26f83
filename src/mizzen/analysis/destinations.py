"""The hosts that routes and rules may name, each with its ports, and who may see it.

Source of the rules: istio/istio, ``pkg/config/analysis/analyzers/util/service_lookup.go``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from mizzen.analysis.items import Item
from mizzen.analysis.values import labels, mappings, number, texts
from mizzen.resources import hosts
from mizzen.resources.suggesting import Guesses
from mizzen.resources.visibility import seen_by

_EXPORT = "networking.istio.io/exportTo"


@dataclass(frozen=True, eq=False)
class Destination:
    """One host. ``seen_by`` are the namespaces that see it; None stands for all."""

    host: str
    item: Item
    ports: tuple[int, ...]
    seen_by: frozenset[str] | None

    @property
    def selector(self) -> Mapping[str, str]:
        """The labels of the workloads behind it; empty where it has none of the mesh."""
        if self.item.kind == "Service":
            return labels(self.item.spec, "selector")
        return labels(self.item.spec, "workloadSelector", "labels")

    def seen_from(self, namespace: str) -> bool:
        return self.seen_by is None or namespace in self.seen_by


class Destinations:
    """Finds the destination of a host as a resource of some namespace means it."""

    def __init__(self, items: Iterable[Item]) -> None:
        self._exact: dict[str, list[Destination]] = defaultdict(list)
        self._wildcards: list[Destination] = []
        self._by_name: dict[str, str] = {}
        self._meant = Guesses(cutoff=0.9)
        for one in (found for item in items for found in _of(item)):
            self._exact[one.host].append(one)
            self._by_name.setdefault(one.host.partition(".")[0], one.host)
            if hosts.is_wildcard(one.host):
                self._wildcards.append(one)

    def __bool__(self) -> bool:
        return bool(self._exact)

    def full(self, host: str, namespace: str) -> str:
        return hosts.resolve(host, namespace)

    def find(self, host: str, item: Item) -> Destination | None:
        """Returns the destination that a host means to a resource, or a wildcard one around it; None if none is seen.

        Short names are those of the resource's own namespace; it has to be seen from where the resource has effect.
        """
        full = self.full(host, item.namespace)
        candidates = [*self._exact.get(full, ()), *(one for one in self._wildcards if hosts.subset_of(full, one.host))]
        viewers = seen_by(texts(item.spec, "exportTo"), item.namespace) or {item.namespace}
        return next((one for one in candidates if any(map(one.seen_from, viewers))), None)

    def within(self, wildcard: str) -> list[Destination]:
        """Returns the destinations whose hosts are under a wildcard."""
        return [one for host, found in self._exact.items() if hosts.subset_of(host, wildcard) for one in found]

    def hint(self, host: str, namespace: str) -> str:
        """Returns what may be meant by a host that is not found, as the end of a message; "" if nothing comes near."""
        full = self.full(host, namespace)
        if full in self._exact:
            return "; it is not exported to the namespaces in which this has effect"
        meant = self._by_name.get(full.partition(".")[0]) or self._meant.nearest(full, self._exact)
        return f"; did you mean {meant}?" if meant else ""


def _of(item: Item) -> Iterable[Destination]:
    if item.kind == "Service":
        numbers = tuple(number(port, "port") for port in mappings(item.spec, "ports"))
        exported = [name.strip() for name in item.annotations.get(_EXPORT, "").split(",") if name.strip()]
        host = hosts.resolve(item.name, item.namespace)
        yield Destination(host, item, numbers, seen_by(exported, item.namespace))
        return
    numbers = tuple(number(port, "number") for port in mappings(item.spec, "ports"))
    seen = seen_by(texts(item.spec, "exportTo"), item.namespace)
    for host in texts(item.spec, "hosts"):
        yield Destination(hosts.resolve(host, item.namespace), item, numbers, seen)
