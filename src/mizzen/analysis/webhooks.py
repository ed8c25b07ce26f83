"""Istio's webhooks: one injector for each pod, of a control plane that exists.

Source of the conditions: istio/istio, ``pkg/config/analysis/analyzers`` (webhook, externalcontrolplane). Names of hosts
are not looked up here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import urlsplit

from mizzen.analysis.items import Item
from mizzen.analysis.label_selectors import matches
from mizzen.analysis.messages import Message, message
from mizzen.analysis.values import Values, at, elements, labels, mapping, mappings, text, texts
from mizzen.analysis.world import Reference, World
from mizzen.resources.hosts import is_ip_address
from mizzen.resources.paths import join

_REVISION = "istio.io/rev"
_NAMESPACES: tuple[Mapping[str, str], ...] = ({}, {"istio-injection": "enabled"}, {"istio-injection": "disabled"})
_PODS: tuple[Mapping[str, str], ...] = (
    {},
    {"sidecar.istio.io/inject": "true"},
    {"sidecar.istio.io/inject": "false"},
)
_Hook = tuple[Item, int, Values]


def injectors(world: World) -> Iterator[Message]:
    """IST0139 for two webhooks that take the same pod, and for one whose service does not exist."""
    found: list[_Hook] = []
    revisions: set[str] = set()
    for item in world.of("MutatingWebhookConfiguration"):
        named = _revisions(item)
        if named or any(text(hook, "name").endswith("istio.io") for hook in mappings(item.value, "webhooks")):
            found += [(item, index, hook) for index, hook in elements(item.value, "webhooks")]
            revisions |= named
    yield from _overlaps(found, revisions)
    for item, index, hook in found:
        service = mapping(hook, "clientConfig", "service")
        reference = Reference(text(service, "namespace"), text(service, "name"))
        if service and world.has("Service") and world.find("Service", reference) is None:
            path = f"{join('webhooks', index)}.clientConfig.service"
            yield message("IST0139", item, path, f"webhook {text(hook, 'name')}: there is no Service {reference}")


def _overlaps(found: list[_Hook], revisions: Iterable[str]) -> Iterator[Message]:
    namespaces = [*_NAMESPACES, *({**one, _REVISION: revision} for revision in revisions for one in _NAMESPACES)]
    pods = [*_PODS, *({**one, _REVISION: revision} for revision in revisions for one in _PODS)]
    told: set[tuple[Item, int, str]] = set()
    for namespace in namespaces:
        in_namespace = [one for one in found if matches(one[2].get("namespaceSelector"), namespace)]
        for pod in pods if len(in_namespace) > 1 else ():
            taking = [one for one in in_namespace if matches(one[2].get("objectSelector"), pod)]
            for item, index, hook in taking if len(taking) > 1 else ():
                others = [f"{one.name}/{text(other, 'name')}" for one, _, other in taking if other is not hook]
                said = f"webhook {text(hook, 'name')} takes pods that {', '.join(others)} takes too:"
                if (item, index, said) not in told:
                    told.add((item, index, said))
                    yield message("IST0139", item, join("webhooks", index), f"{said} they would be injected twice")


def _revisions(item: Item) -> set[str]:
    found = {item.labels[_REVISION]} if _REVISION in item.labels else set()
    for hook in mappings(item.value, "webhooks"):
        for selector in (mapping(hook, "namespaceSelector"), mapping(hook, "objectSelector")):
            if revision := labels(selector, "matchLabels").get(_REVISION):
                found.add(revision)
            for one in mappings(selector, "matchExpressions"):
                if text(one, "key") == _REVISION:
                    found |= set(texts(one, "values"))
    return found


def external_control_planes(world: World) -> Iterator[Message]:
    """IST0163 for a webhook that leads nowhere, IST0164 for one that leads to an address instead of a host."""
    for kind, prefixes in (
        ("ValidatingWebhookConfiguration", ("istiod-default-validator", "istio-validator")),
        ("MutatingWebhookConfiguration", ("istio-sidecar-injector",)),
    ):
        for item in world.of(kind):
            for index, hook in elements(item.value, "webhooks") if item.name.startswith(prefixes) else ():
                yield from _external(item, join("webhooks", index), hook)


def _external(item: Item, path: str, hook: Values) -> Iterator[Message]:
    name, url = text(hook, "name"), at(hook, "clientConfig", "url")
    if url is None:
        if not mapping(hook, "clientConfig", "service"):
            said = f"webhook {name} names neither a service nor the address of a control plane"
            yield message("IST0163", item, f"{path}.clientConfig", said)
        return
    where = f"{path}.clientConfig.url"
    try:
        host = urlsplit(str(url)).hostname or ""
    except ValueError:
        host = ""
    if not host:
        yield message("IST0163", item, where, f"webhook {name}: {url!r} has no host")
    elif is_ip_address(host):
        said = f"webhook {name} leads to the address {host}; a host name can move, an address cannot"
        yield message("IST0164", item, where, said)
