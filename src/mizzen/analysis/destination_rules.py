"""DestinationRules: a host that exists, subsets that pick workloads, certificates that are checked.

Source of the conditions: istio/istio, ``pkg/config/analysis/analyzers/destinationrule``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from mizzen.analysis.items import Item
from mizzen.analysis.messages import Message, message
from mizzen.analysis.values import Values, elements, labels, mapping, number, shown, text
from mizzen.analysis.world import World
from mizzen.resources import hosts
from mizzen.resources.paths import join

_CHECKED_MODES = frozenset({"SIMPLE", "MUTUAL"})
# Labels that endpoints get from the node they are on (istio/istio, pilot/pkg/serviceregistry/util/label).
_OF_NODES = ("topology.kubernetes.io/", "topology.istio.io/", "kubernetes.io/hostname")


def certificate_checks(world: World) -> Iterator[Message]:
    """IST0128 and IST0129 for TLS to a server whose certificate nobody checks.

    istioctl says it wherever `caCertificates` is missing. There the roots of the operating system count, here and in Istio
    (VERIFY_CERTIFICATE_AT_CLIENT), so that only `insecureSkipVerify` turns it off.
    """
    for rule in world.of("DestinationRule"):
        yield from _unchecked(rule, "spec.trafficPolicy", mapping(rule.spec, "trafficPolicy"))
        for index, subset in elements(rule.spec, "subsets"):
            yield from _unchecked(
                rule, f"{join('spec.subsets', index)}.trafficPolicy", mapping(subset, "trafficPolicy")
            )


def _unchecked(rule: Item, path: str, policy: Values) -> Iterator[Message]:
    host = text(rule.spec, "host")
    if _is_off(mapping(policy, "tls")):
        yield message("IST0128", rule, f"{path}.tls.insecureSkipVerify", _said(host))
    for index, port in elements(policy, "portLevelSettings"):
        if _is_off(mapping(port, "tls")):
            where = f"{join(f'{path}.portLevelSettings', index)}.tls.insecureSkipVerify"
            yield message("IST0129", rule, where, _said(f"port {number(port, 'port', 'number')} of {host}"))


def _said(server: str) -> str:
    return (
        f"the certificate of {server} is not verified: whoever is on the way can read and change what is sent; without"
        " `insecureSkipVerify` the roots of the operating system count, or those of `caCertificates`"
    )


def _is_off(tls: Values) -> bool:
    return text(tls, "mode") in _CHECKED_MODES and tls.get("insecureSkipVerify") is True


def subsets(world: World) -> Iterator[Message]:
    """IST0174 for a host that nobody knows, IST0173 for a subset that picks no workload."""
    for rule in world.of("DestinationRule"):
        host = text(rule.spec, "host")
        full = world.destinations.full(host, rule.namespace)
        if not host:
            continue
        if hosts.is_wildcard(full):
            known = bool(world.destinations.within(full) or world.destinations.find(host, rule))
            found = None
        else:
            found = world.destinations.find(host, rule)
            known = found is not None
        if not known and not world.judges(full, rule.namespace):
            continue
        if not known:
            hint = world.destinations.hint(host, rule.namespace)
            yield message("IST0174", rule, "spec.host", f"no Service or ServiceEntry is {full}{hint}")
        elif found is not None and found.selector and (world.running or world.workloads):
            yield from _empty(world, rule, found.selector, found.item.namespace)


def _empty(world: World, rule: Item, selector: Mapping[str, str], namespace: str) -> Iterator[Message]:
    workloads = world.selected(selector, namespace)
    for index, subset in elements(rule.spec, "subsets"):
        wanted = {key: value for key, value in labels(subset, "labels").items() if not key.startswith(_OF_NODES)}
        if wanted and not any(wanted.items() <= one.labels.items() for one in workloads):
            said = f"the subset {text(subset, 'name')!r} picks no workload: none behind the host has {shown(wanted)}"
            yield message("IST0173", rule, f"{join('spec.subsets', index)}.labels", said)
