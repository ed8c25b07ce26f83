"""Which RateLimit is for an instance, and which servers count. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from mizzen.mesh.model import Host, Instance, RateLimit, labels_of, selects
from mizzen.resources.hosts import resolve


def limit_of(instance: Instance, rules: Iterable[RateLimit]) -> RateLimit | None:
    """Returns the oldest RateLimit that selects an instance; `resources.rate_limit_references` refuses a second one."""
    for rule in rules:
        if rule.namespace == instance.namespace and selects(labels_of(rule.spec.labels), instance.labels):
            return rule
    return None


def limit_servers(namespace: str, rules: Iterable[RateLimit]) -> frozenset[tuple[Host, int]]:
    """Returns the servers, by host and port, that the RateLimits of a namespace ask."""
    return frozenset(
        (resolve(rule.spec.shared.server.host, namespace), rule.spec.shared.server.port)
        for rule in rules
        if rule.namespace == namespace and rule.spec.shared and rule.spec.shared.server
    )
