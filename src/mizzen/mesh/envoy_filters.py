"""Which EnvoyFilters are for a workload's proxy, and in which order they come (Istio 2.19)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import re2  # type: ignore[import-untyped]

from mizzen.mesh.model import EnvoyFilter, Labels, labels_of, selects
from mizzen.resources.envoy_filter import ProxyMatch

VERSION = "ISTIO_VERSION"


def selected(filters: Iterable[EnvoyFilter], namespace: str, labels: Labels, root: str) -> tuple[EnvoyFilter, ...]:
    """Returns the EnvoyFilters for a workload: by priority, then those of the root namespace, then by age."""
    found = [one for one in filters if one.namespace in (namespace, root) and _picks(one, labels)]
    return tuple(sorted(found, key=lambda one: _order(one, root)))


def _picks(one: EnvoyFilter, labels: Labels) -> bool:
    selector = one.spec.workload_selector
    return selector is None or selects(labels_of(selector.labels), labels)


def _order(one: EnvoyFilter, root: str) -> tuple[int, bool, int, str]:
    return (one.spec.priority, one.namespace != root, one.created, f"{one.name}.{one.namespace}")


def is_for_proxy(match: ProxyMatch | None, metadata: Mapping[str, str]) -> bool:
    """Tells whether a condition on a proxy holds for one with this metadata.

    A version is found by its expression anywhere in ``ISTIO_VERSION``; a proxy without one fits no expression.
    """
    if match is None:
        return True
    if match.proxy_version:
        version = metadata.get(VERSION, "")
        if not version or re2.search(match.proxy_version, version) is None:
            return False
    return all(metadata.get(name) == value for name, value in match.metadata.items())
