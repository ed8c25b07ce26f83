"""Which RateLimit is for an instance. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from mizzen.mesh.model import Instance, RateLimit, labels_of, selects


def limit_of(instance: Instance, rules: Iterable[RateLimit]) -> RateLimit | None:
    """Returns the oldest RateLimit that selects an instance; `resources.rate_limit_references` refuses a second one."""
    for rule in rules:
        if rule.namespace == instance.namespace and selects(labels_of(rule.spec.labels), instance.labels):
            return rule
    return None
