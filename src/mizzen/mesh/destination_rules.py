"""Which DestinationRules apply to a service, seen from one namespace (Istio 2.4).

The client's namespace is asked first, then the service's, then the root namespace; the first that has a rule wins and
nothing is inherited from the others. Within a namespace the most specific host wins; rules for one host are merged,
oldest first. Of rules that cannot be merged (they are exported to different namespaces) the oldest wins.

A rule with a ``workloadSelector`` is for calls of some workloads of its own namespace. For these it comes before all others of
its host, and is merged with none that selects otherwise; for all others it is not there. In Istio it hides from those, too,
the rules of other namespaces and of less specific hosts.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from mizzen.mesh.model import DestinationRule, Host, Labels, labels_of, selects
from mizzen.resources.destination_rule import Subset, TrafficPolicy
from mizzen.resources.hosts import resolve
from mizzen.resources.key import Key
from mizzen.resources.mesh_config import MeshConfigSpec
from mizzen.resources.visibility import PRIVATE, visibility


def selecting(rules: Iterable[DestinationRule], namespace: str, labels: Labels) -> frozenset[Key]:
    """Returns those rules that select a workload of a namespace with these labels."""
    return frozenset(
        rule.key
        for rule in rules
        if (selector := rule.spec.workload_selector)
        and rule.namespace == namespace
        and selects(labels_of(selector.match_labels), labels)
    )


def _is_private(rule: DestinationRule) -> bool:
    if rule.spec.workload_selector:
        return True
    return bool(rule.spec.export_to) and set(rule.spec.export_to) <= {PRIVATE, rule.namespace}


class _Level:
    """The rules of one namespace, by host."""

    def __init__(self, rules: Iterable[DestinationRule]) -> None:
        self._exact: defaultdict[Host, list[DestinationRule]] = defaultdict(list)
        self._wildcards: defaultdict[Host, list[DestinationRule]] = defaultdict(list)
        for rule in rules:
            host = resolve(rule.spec.host, rule.namespace)
            (self._wildcards if host.startswith("*") else self._exact)[host].append(rule)
        self._suffixes = sorted(self._wildcards, key=lambda host: (-len(host), host))

    def most_specific(self, host: Host) -> list[DestinationRule]:
        if host in self._exact:
            return self._exact[host]
        return next((self._wildcards[wild] for wild in self._suffixes if host.endswith(wild[1:])), [])


def _merge(rules: Sequence[DestinationRule], client: str) -> tuple[DestinationRule, ...]:
    """Returns the rules of one host that are merged for a client: the oldest that it sees, and those that join it.

    A rule joins an older one if both are exported to the same namespaces, or if the older one names some and the other
    names these and more. As in Istio the lists are compared as they are written.
    """
    visible = [rule for rule in rules if _sees(client, rule)]
    if not visible:
        return ()
    if chosen := next((rule for rule in visible if rule.spec.workload_selector), None):
        return tuple(rule for rule in visible if rule.spec.workload_selector == chosen.spec.workload_selector)
    base = set(visible[0].spec.export_to)
    return tuple(rule for rule in visible if _joins(base, set(rule.spec.export_to)))


def _joins(base: set[str], exported: set[str]) -> bool:
    return exported == base or (bool(base) and exported > base)


def _sees(client: str, rule: DestinationRule) -> bool:
    return visibility(rule.spec.export_to, rule.namespace, client) is not None


class DestinationRuleIndex:
    """The DestinationRules of the mesh as one client namespace looks them up; ``rules`` come sorted by age.

    Those of the namespace ``root`` are for all; of those with a selector only the ``chosen`` count.
    """

    def __init__(
        self,
        rules: Sequence[DestinationRule],
        client: str,
        root: str,
        chosen: Collection[Key] = (),
    ) -> None:
        self._client = client
        self._root = root
        by_namespace: defaultdict[str, list[DestinationRule]] = defaultdict(list)
        for rule in rules:
            if not rule.spec.workload_selector or rule.key in chosen:
                by_namespace[rule.namespace].append(rule)
        # A rule that is exported only to others is no rule of its own namespace, and hides none there. A client in the
        # root namespace takes only the private rules there as its own: the others are for everybody.
        own = [
            rule
            for rule in by_namespace.get(client, ())
            if _sees(client, rule) and (client != root or _is_private(rule))
        ]
        self._own = _Level(own)
        self._exported = {
            namespace: _Level(rule for rule in members if not _is_private(rule))
            for namespace, members in by_namespace.items()
        }

    def lookup(self, host: Host, namespace: str) -> tuple[DestinationRule, ...]:
        """Returns the merged rules for the service ``host`` of ``namespace``, oldest first; empty if there are none."""
        if own := _merge(self._own.most_specific(host), self._client):
            return own
        for level in (namespace, self._root):
            if level in self._exported:
                found = _merge(self._exported[level].most_specific(host), self._client)
                if found:
                    return found
        return ()


def merged_policy(rules: Sequence[DestinationRule]) -> TrafficPolicy | None:
    """Returns the top-level traffic policy of merged rules: the oldest rule that has one."""
    return next((rule.spec.traffic_policy for rule in rules if rule.spec.traffic_policy is not None), None)


def merged_subsets(rules: Sequence[DestinationRule]) -> tuple[Subset, ...]:
    """Returns the subsets of merged rules; of equal names the first is kept."""
    found: dict[str, Subset] = {}
    for rule in rules:
        for subset in rule.spec.subsets:
            found.setdefault(subset.name, subset)
    return tuple(found.values())


_MESH_BLOCKS = ("connection_pool", "outlier_detection")
_PORT_BLOCKS = ("connection_pool", "outlier_detection", "load_balancer", "tls")
_BLOCKS = (*_PORT_BLOCKS, "tunnel", "proxy_protocol", "retry_budget")


def policy_for_port(policy: TrafficPolicy | None, port: int) -> TrafficPolicy | None:
    """Returns what of a policy applies to a port: its port-level settings alone if there are any, else the rest."""
    if policy is None:
        return None
    for level in policy.port_level_settings:
        if level.port and level.port.number == port:
            return _policy({block: getattr(level, block) for block in _PORT_BLOCKS})
    return policy


def effective_policy(base: TrafficPolicy | None, override: TrafficPolicy | None, port: int) -> TrafficPolicy | None:
    """Returns the policy of a subset's port: each block of the subset's own policy replaces the rule's whole block.

    Port-level settings of the subset replace all blocks that they could have set, those that they leave out as well.
    """
    under, over = policy_for_port(base, port), policy_for_port(override, port)
    if under is None or over is None:
        return over or under
    replaced = _PORT_BLOCKS if over is not override else ()
    blocks = {}
    for block in _BLOCKS:
        own = getattr(over, block)
        blocks[block] = own if own is not None or block in replaced else getattr(under, block)
    return _policy(blocks)


def with_mesh_defaults(policy: TrafficPolicy | None, mesh: MeshConfigSpec | None) -> TrafficPolicy | None:
    """Returns a policy in which the mesh's default stands for each block that is left out (Istio 2.4)."""
    default = mesh.default_traffic_policy if mesh else None
    if default is None:
        return policy
    blocks = {block: getattr(policy, block) if policy else None for block in _BLOCKS}
    return _policy(blocks | {name: blocks[name] or getattr(default, name) for name in _MESH_BLOCKS})


def _policy(blocks: dict[str, Any]) -> TrafficPolicy:
    # Its parts were checked when they were written.
    return TrafficPolicy.model_construct(None, **blocks)
