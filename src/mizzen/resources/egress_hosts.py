"""What the ``hosts`` of a Sidecar's egress listener select (Istio 2.6). Pure functions over text.

A host is ``namespace/name``. The namespace is a name, ``.`` for that of the workload, ``*`` for any, or ``~`` for none. Where
``~`` stands before a namespace, or alone before a host, what is selected otherwise is left out: ``~shop/*`` is all of ``shop``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from mizzen.resources.hosts import comparable, is_wildcard, matches, subset_of

ANY = "*"
OWN = "."
NONE = "~"


@dataclass(frozen=True)
class _Names:
    """Hosts of one namespace: those that are one name, and wildcards."""

    exact: frozenset[str]
    wildcards: tuple[str, ...]

    def cover(self, host: str) -> bool:
        """Tells whether all that a host stands for is selected."""
        return host in self.exact or any(subset_of(host, wild) for wild in self.wildcards)

    def touch(self, host: str) -> bool:
        """Tells whether something of what a host stands for is selected."""
        if host in self.exact or any(matches(host, wild) for wild in self.wildcards):
            return True
        return is_wildcard(host) and any(matches(host, one) for one in self.exact)


@dataclass(frozen=True)
class EgressHosts:
    """Hosts as the workloads of one namespace mean them; make them with :func:`egress_hosts`."""

    selected: Mapping[str, _Names]
    left_out: Mapping[str, _Names]

    def concerns(self, namespace: str) -> bool:
        """Tells whether anything of a namespace may be selected: of most, nothing is, and this says so at once."""
        return namespace in self.selected or ANY in self.selected

    def service(self, host: str, namespace: str) -> bool:
        """Tells whether a service of a namespace is selected: all that its host stands for must be."""
        if any(names.cover(host) for names in _of(self.left_out, namespace)):
            return False
        return any(names.cover(host) for names in _of(self.selected, namespace))

    def virtual_service(self, hosts: Iterable[str], namespace: str) -> bool:
        """Tells whether a VirtualService is selected: it is as a whole, where one of its hosts has a name in common.

        So ``*/a.com`` selects one for ``*.com``, but no service ``*.com``: Istio keeps this for old times' sake.
        """
        return any(
            any(names.touch(host) for names in _of(self.selected, namespace))
            and not any(names.cover(host) for names in _of(self.left_out, namespace))
            for host in hosts
        )


def _of(names: Mapping[str, _Names], namespace: str) -> list[_Names]:
    return [found for key in (namespace, ANY) if (found := names.get(key))]


@lru_cache(maxsize=4096)
def egress_hosts(hosts: tuple[str, ...], namespace: str) -> EgressHosts:
    """Returns what is selected for the workloads of a namespace."""
    selected: dict[str, list[str]] = defaultdict(list)
    left_out: dict[str, list[str]] = defaultdict(list)
    for written in hosts:
        where, _, host = written.partition("/")
        target = left_out if where.startswith(NONE) else selected
        where = where.removeprefix(NONE) or ANY
        target[namespace if where == OWN else where].append(comparable(host))
    return EgressHosts(_grouped(selected), _grouped(left_out))


def _grouped(hosts: Mapping[str, list[str]]) -> dict[str, _Names]:
    return {
        where: _Names(
            frozenset(one for one in given if not is_wildcard(one)), tuple(one for one in given if is_wildcard(one))
        )
        for where, given in hosts.items()
    }
