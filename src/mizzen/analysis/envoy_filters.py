"""EnvoyFilters: operations that are not for what they are applied to, and those that depend on the order of filters.

Source of the conditions: istio/istio, ``pkg/config/analysis/analyzers/envoyfilter``.
"""

from __future__ import annotations

from collections.abc import Iterator

from mizzen.analysis.items import Item
from mizzen.analysis.messages import Message, message
from mizzen.analysis.values import Values, elements, mapping, number, text
from mizzen.analysis.world import World
from mizzen.resources.paths import join

_ROUTES = frozenset({"ROUTE_CONFIGURATION", "HTTP_ROUTE"})
_FILTERS = frozenset({"HTTP_FILTER", "NETWORK_FILTER"})
_RELATIVE = frozenset({"INSERT_BEFORE", "INSERT_AFTER", "REMOVE", "REPLACE"})
_IGNORED = {"ADD": "IST0153", "REMOVE": "IST0154"}


def patches(world: World) -> Iterator[Message]:
    """IST0151 to IST0155, one for each patch."""
    versioned: set[str] = set()
    for item in world.of("EnvoyFilter"):
        for index, patch in elements(item.spec, "configPatches"):
            if not mapping(patch, "patch"):
                break
            name = _name(patch)
            yield from _patch(item, join("spec.configPatches", index), patch, versioned=name in versioned)
            if text(patch, "match", "proxy", "proxyVersion"):
                versioned.add(name)


def _name(patch: Values) -> str:
    """Returns the name of the filter that a patch is about."""
    value = mapping(patch, "patch", "value")
    if not value:
        return ""
    return text(value, "name") or text(patch, "match", "listener", "filterChain", "filter", "name")


def _patch(item: Item, path: str, patch: Values, *, versioned: bool) -> Iterator[Message]:
    operation, target = text(patch, "patch", "operation"), text(patch, "applyTo")
    where = f"{path}.patch.operation"
    if operation in _IGNORED and target in _ROUTES:
        yield message(_IGNORED[operation], item, where, f"{operation} has no effect on {target}")
    elif operation == "REPLACE" and target not in _FILTERS:
        said = f"REPLACE is for HTTP_FILTER and NETWORK_FILTER, not for {target or 'nothing'}"
        yield message("IST0152", item, where, said)
    elif operation in _RELATIVE and not number(item.spec, "priority"):
        said = f"{operation} depends on what is there before it, and no `priority` says when it is applied"
        if versioned:
            said += "; as an EnvoyFilter before it is for one `proxyVersion`, an upgrade may lose it"
        yield message("IST0155" if versioned else "IST0151", item, where, said)
