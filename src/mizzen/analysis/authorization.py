"""AuthorizationPolicies: they pick a workload, and the namespaces that they name exist.

Source of the conditions: istio/istio, ``pkg/config/analysis/analyzers`` (authz, authn).
"""

from __future__ import annotations

from collections.abc import Iterator

from mizzen.analysis.items import Item
from mizzen.analysis.messages import Message, message
from mizzen.analysis.values import elements, labels, mapping, mappings, shown, text, texts
from mizzen.analysis.world import World
from mizzen.resources.paths import join

_BLOCKED = "BLOCKED_CIDRS_IN_JWKS_URIS"


def policies(world: World) -> Iterator[Message]:
    """IST0127 for a policy that is for no workload, IST0101 for a source namespace that does not exist."""
    for item in world.of("AuthorizationPolicy"):
        if world.running or world.workloads:
            yield from _unmatched(world, item)
        if world.running or world.namespaces:
            yield from _namespaces(world, item)


def _unmatched(world: World, item: Item) -> Iterator[Message]:
    selector = labels(item.spec, "selector", "matchLabels")
    if mapping(item.spec, "targetRef") or mappings(item.spec, "targetRefs"):
        return
    everywhere = item.namespace == world.root_namespace
    if everywhere and not selector:
        return
    picked = world.selected(selector, None if everywhere else item.namespace)
    if any(world.in_mesh(one) for one in picked) or world.is_installed_gateway(selector):
        return
    where = "the mesh" if everywhere else f"namespace {item.namespace}"
    what = f"with the labels {shown(selector)}" if selector else "at all"
    path = "spec.selector.matchLabels" if selector else "metadata.name"
    yield message("IST0127", item, path, f"{where} has no workload {what}, so this policy is for nobody")


def _namespaces(world: World, item: Item) -> Iterator[Message]:
    for index, rule in elements(item.spec, "rules"):
        for position, source in elements(rule, "from"):
            where = f"{join(join('spec.rules', index) + '.from', position)}.source"
            for field in ("namespaces", "notNamespaces"):
                for number, name in enumerate(texts(source, "source", field)):
                    if not any(_matches(name, known) for known in world.known_namespaces):
                        path = join(f"{where}.{field}", number)
                        yield message("IST0101", item, path, f"there is no namespace {name!r}")


def _matches(pattern: str, namespace: str) -> bool:
    if pattern.startswith("*"):
        return namespace.endswith(pattern[1:])
    if pattern.endswith("*"):
        return namespace.startswith(pattern[:-1])
    return pattern.lower() == namespace.lower()


def fetched_keys(world: World) -> Iterator[Message]:
    """IST0175 for a control plane that may be made to fetch keys from anywhere, where keys are fetched."""
    policies_ = [item.full_name for item in world.of("RequestAuthentication")]
    for item in world.of("Deployment") if policies_ else ():
        if item.labels.get("app") != "istiod":
            continue
        containers = mappings(item.spec, "template", "spec", "containers")
        given = [one for container in containers for one in mappings(container, "env") if text(one, "name") == _BLOCKED]
        if not any(text(one, "value") for one in given):
            said = f"{_BLOCKED} is not set, and {len(policies_)} RequestAuthentications may name a `jwksUri`"
            yield message("IST0175", item, "metadata.name", f"{said}: it may be made to fetch from anywhere")
