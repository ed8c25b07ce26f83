"""Istio's rules for EnvoyFilters (4.90; ``pkg/config/validation/envoyfilter``), and what Envoy says of their values.

Stricter than Istio: what would have no effect is an error, and so is a value with a field that this Envoy does not know.
"""

from __future__ import annotations

from collections.abc import Iterator

from mizzen.resources.envoy_filter import (
    FILTERS,
    HTTP_CONNECTION_MANAGER,
    OF_LISTENERS,
    OF_ROUTES,
    OPERATIONS,
    TYPES,
    ConfigPatch,
    EnvoyFilterSpec,
    ListenerMatch,
    ObjectMatch,
    Patch,
    current_name,
)
from mizzen.resources.findings import Finding, warning
from mizzen.resources.paths import join
from mizzen.resources.validation import names
from mizzen.resources.validation.envoy_values import value_findings

_NAMED = frozenset({"REMOVE", "REPLACE"})
_LONGEST_REGEX = 1024


def envoy_filter(spec: EnvoyFilterSpec) -> Iterator[Finding]:
    yield warning(
        "kind",
        "EnvoyFilter exposes internal implementation details that may change at any time",
        hint="prefer other kinds where they can say it, and look at it again after each upgrade",
    )
    if spec.workload_selector is not None:
        yield from _selector("spec.workloadSelector", spec)
    for index, patch in enumerate(spec.config_patches):
        path = join("spec.configPatches", index)
        found = list(_shape(path, patch))
        yield from found
        if not found and patch.apply_to and patch.patch:
            yield from _patch(path, patch, patch.apply_to, patch.patch)


def _selector(path: str, spec: EnvoyFilterSpec) -> Iterator[Finding]:
    labels = spec.workload_selector.labels if spec.workload_selector else {}
    if not labels:
        said = "workload selector specified without labels, will be applied to all services in namespace"
        yield warning(path, f"Envoy filter: {said}")
    yield from names.selector(f"{path}.labels", labels)


def _shape(path: str, patch: ConfigPatch) -> Iterator[Finding]:
    if not patch.apply_to:
        yield Finding(path, "Envoy filter: missing applyTo", hint=f"one of {', '.join(TYPES)}")
    elif patch.patch is None:
        yield Finding(path, "Envoy filter: missing patch")
    elif not patch.patch.operation:
        yield Finding(f"{path}.patch", "Envoy filter: missing patch operation", hint="such as MERGE or ADD")
    elif patch.patch.operation != "REMOVE" and patch.patch.value is None:
        yield Finding(f"{path}.patch", "Envoy filter: missing patch value for non-remove operation")


def _patch(path: str, written: ConfigPatch, target: str, patch: Patch) -> Iterator[Finding]:
    allowed = OPERATIONS[target]
    if patch.operation not in allowed:
        message = f"{patch.operation} has no effect on {target}"
        yield Finding(f"{path}.patch.operation", message, hint=f"one of {', '.join(sorted(allowed))}")
        return
    if patch.operation == "REMOVE" and patch.value is not None:
        yield warning(f"{path}.patch.value", "a value has no effect with REMOVE", hint="remove it")
    if patch.filter_class != "UNSPECIFIED" and (target, patch.operation) != ("HTTP_FILTER", "ADD"):
        yield warning(f"{path}.patch.filterClass", "filterClass has an effect with ADD of an HTTP_FILTER alone")
    yield from _match(f"{path}.match", written.match, target, patch.operation)
    if patch.value is not None and patch.operation != "REMOVE":
        yield from value_findings(f"{path}.patch.value", target, patch.operation, patch.value)


def _match(path: str, match: ObjectMatch, target: str, operation: str) -> Iterator[Finding]:
    if match.proxy and match.proxy.proxy_version:
        yield from _version(f"{path}.proxy.proxyVersion", match.proxy.proxy_version)
    given = {
        "listener": match.listener,
        "routeConfiguration": match.route_configuration,
        "cluster": match.cluster,
    }
    wanted, words = _object(target)
    for name, one in given.items():
        if one is not None and name != wanted:
            yield Finding(f"{path}.{name}", f"Envoy filter: applyTo for {words}", hint=_instead(wanted, target))
    if target in OF_LISTENERS and match.listener:
        yield from _listener(f"{path}.listener", match.listener, target)
    if target in FILTERS and operation in _NAMED and not _filter_name(match, target):
        message = f"{operation} needs the name of the filter that it is for"
        where = {"LISTENER_FILTER": "listenerFilter", "NETWORK_FILTER": "filterChain.filter.name"}
        yield Finding(path, message, hint=f"write `listener.{where.get(target, 'filterChain.filter.subFilter.name')}`")


def _version(path: str, pattern: str) -> Iterator[Finding]:
    if len(pattern) > _LONGEST_REGEX:
        yield Finding(path, f"Envoy filter: invalid regex for proxy version, longer than {_LONGEST_REGEX} characters")
        return
    for finding in names.regex(path, pattern):
        yield Finding(path, f"Envoy filter: invalid regex for proxy version, [{finding.message}]", hint=finding.hint)


def _object(target: str) -> tuple[str, str]:
    """Returns what an object is matched by, and Istio's words for a match by something else."""
    if target in OF_LISTENERS:
        return "listener", "listener class objects cannot have non listener match"
    if target in OF_ROUTES:
        return "routeConfiguration", "http route class objects cannot have non route configuration match"
    if target == "CLUSTER":
        return "cluster", "cluster class objects cannot have non cluster match"
    return "", f"{target} has no object to match"


def _instead(wanted: str, target: str) -> str:
    return f"match {target} by `{wanted}`" if wanted else "match by `context` and `proxy` alone"


def _filter_name(match: ObjectMatch, target: str) -> str:
    listener = match.listener or ListenerMatch()
    if target == "LISTENER_FILTER":
        return listener.listener_filter
    return listener.filter if target == "NETWORK_FILTER" else listener.sub_filter


def _listener(path: str, match: ListenerMatch, target: str) -> Iterator[Finding]:
    yield from _deprecated_name(f"{path}.listenerFilter", match.listener_filter)
    one = match.filter_chain.filter if match.filter_chain else None
    if one is None:
        return
    path = f"{path}.filterChain.filter"
    if target in ("LISTENER", "FILTER_CHAIN", "LISTENER_FILTER"):
        yield warning(path, f"Envoy filter: filter match has no effect when used with {target}")
    if not one.name:
        yield Finding(path, "Envoy filter: filter match has no name to match on")
    elif one.sub_filter is not None:
        where = f"{path}.subFilter"
        if target != "HTTP_FILTER":
            yield Finding(where, "Envoy filter: subfilter match can be used with applyTo HTTP_FILTER only")
        elif current_name(one.name) != HTTP_CONNECTION_MANAGER:
            message = f"Envoy filter: subfilter match requires filter match with {HTTP_CONNECTION_MANAGER}"
            yield Finding(where, message)
        elif not one.sub_filter.name:
            yield Finding(where, "Envoy filter: subfilter match has no name to match on")
        yield from _deprecated_name(f"{where}.name", one.sub_filter.name)
    yield from _deprecated_name(f"{path}.name", one.name)


def _deprecated_name(path: str, name: str) -> Iterator[Finding]:
    if (now := current_name(name)) != name:
        yield warning(path, f'using deprecated filter name "{name}"; use "{now}" instead')
