"""Istio's rules for its security and telemetry kinds by themselves, on plain values.

Source of the rules: istio/istio, ``pkg/config/validation/validation.go`` and ``pkg/config/security``. Only what is a mistake
without doubt is here; a kind leaves this module when it gets a model in ``mizzen.resources``.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from mizzen.analysis.values import Values, at, elements, mapping, mappings, text, texts
from mizzen.resources.findings import Finding, warning
from mizzen.resources.paths import join

_ATTRIBUTES = frozenset(
    [
        "source.ip",
        "remote.ip",
        "source.namespace",
        "source.serviceAccount",
        "source.trustDomain",
        "source.principal",
        "request.auth.principal",
        "request.auth.audiences",
        "request.auth.presenter",
        "destination.ip",
        "destination.port",
        "connection.sni",
    ]
)
_BRACKETED = re.compile(
    r"(request\.headers\[[^\]]+\]|request\.auth\.claims(\[[^\]]+\])+|experimental\.envoy\.filters\..+)"
)
_DEPRECATED = frozenset({"source.user", "destination.name", "destination.namespace", "destination.user"})


def targets(spec: Values) -> Iterator[Finding]:
    """Yields what is wrong with what a policy is for."""
    if mapping(spec, "selector") and (mapping(spec, "targetRef") or mappings(spec, "targetRefs")):
        yield Finding("spec.selector", "either `selector` or `targetRefs` says what the policy is for")
    selector = at(spec, "selector", "matchLabels")
    for key, value in mapping(selector).items():
        if not key or "*" in key or (isinstance(value, str) and "*" in value):
            yield Finding(join("spec.selector.matchLabels", key), "a selector has no wildcards, and no empty names")


def peer_authentication(spec: Values) -> Iterator[Finding]:
    """Yields what is wrong with a PeerAuthentication."""
    yield from targets(spec)
    ports = at(spec, "portLevelMtls")
    if ports is None:
        return
    if not mapping(spec, "selector", "matchLabels"):
        yield Finding("spec.portLevelMtls", "ports are those of workloads: `portLevelMtls` needs a `selector`")
    if ports == {}:
        yield Finding("spec.portLevelMtls", "`portLevelMtls` has no port")
    for port in mapping(ports):
        if not str(port).isdecimal() or not 1 <= int(port) <= 65535:
            yield Finding(join("spec.portLevelMtls", str(port)), f"{port} is not the number of a port")


def request_authentication(spec: Values) -> Iterator[Finding]:
    """Yields what is wrong with a RequestAuthentication."""
    yield from targets(spec)
    for index, rule in elements(spec, "jwtRules"):
        path = join("spec.jwtRules", index)
        if not text(rule, "issuer") and not text(rule, "jwksUri"):
            yield Finding(path, "a rule needs an `issuer`, or a `jwksUri`")
        uri = text(rule, "jwksUri")
        if uri and urlsplit(uri).scheme not in {"http", "https"}:
            yield Finding(f"{path}.jwksUri", f"{uri!r} begins with neither http:// nor https://")
        for field in ("audiences", "fromParams", "fromCookies"):
            for position, one in enumerate(texts(rule, field)):
                if not one:
                    yield Finding(join(f"{path}.{field}", position), "an empty text names nothing")
        for position, header in elements(rule, "fromHeaders"):
            if not text(header, "name"):
                yield Finding(join(f"{path}.fromHeaders", position), "a header needs a `name`")


def authorization_policy(spec: Values) -> Iterator[Finding]:
    """Yields what is wrong with an AuthorizationPolicy."""
    yield from targets(spec)
    action = text(spec, "action") or "ALLOW"
    if action in {"DENY", "CUSTOM"} and not mappings(spec, "rules"):
        yield Finding("spec.action", f"action {action} without `rules` means nothing")
    if action == "CUSTOM" and not text(spec, "provider", "name"):
        yield Finding("spec.action", "action CUSTOM needs `provider.name`")
    if action != "CUSTOM" and mapping(spec, "provider"):
        yield Finding("spec.provider", f"a provider is for action CUSTOM, not {action}")
    for index, rule in elements(spec, "rules"):
        path = join("spec.rules", index)
        for field, inner in (("from", "source"), ("to", "operation")):
            if rule.get(field) == []:
                yield Finding(f"{path}.{field}", f"`{field}` has no element: leave it out, or say what it takes")
            for position, one in elements(rule, field):
                yield from _part(join(f"{path}.{field}", position), one, inner)
        for position, condition in elements(rule, "when"):
            yield from _condition(join(f"{path}.when", position), condition)


def _part(path: str, part: Values, inner: str) -> Iterator[Finding]:
    given = mapping(part, inner)
    where = f"{path}.{inner}"
    if not given:
        yield Finding(path, f"`{inner}` is empty: it would take everything")
    if texts(given, "serviceAccounts") and (texts(given, "principals") or texts(given, "namespaces")):
        yield Finding(f"{where}.serviceAccounts", "`serviceAccounts` cannot be set with `principals` or `namespaces`")
    for field, values in given.items():
        for position, one in enumerate(values if isinstance(values, list) else ()):
            element = join(f"{where}.{field}", position)
            if one == "":
                yield Finding(element, "an empty text matches nothing")
            elif isinstance(one, str) and field.lower().endswith("ipblocks") and not _is_range(one):
                yield Finding(element, f"{one!r} is neither an IP address nor a range of them")
            elif isinstance(one, str) and field.lower().endswith("ports") and not _is_port(one):
                yield Finding(element, f"{one!r} is not the number of a port")


def _condition(path: str, condition: Values) -> Iterator[Finding]:
    key = text(condition, "key")
    if key in _DEPRECATED:
        yield Finding(f"{path}.key", f"the attribute {key} is gone from Istio")
    elif key not in _ATTRIBUTES and not _BRACKETED.fullmatch(key):
        hint = "headers and claims stand in brackets: request.headers[x-team]" if key.startswith("request.") else ""
        yield Finding(f"{path}.key", f"there is no attribute {key!r}", hint=hint)
    if not texts(condition, "values") and not texts(condition, "notValues"):
        yield Finding(path, "a condition needs `values` or `notValues`")


def _is_range(written: str) -> bool:
    try:
        ipaddress.ip_network(written, strict=False)
    except ValueError:
        return False
    return True


def _is_port(written: str) -> bool:
    return written.isdecimal() and 1 <= int(written) <= 65535


def telemetry(spec: Values) -> Iterator[Finding]:
    """Yields what is wrong with a Telemetry."""
    yield from targets(spec)
    if len(mappings(spec, "tracing")) > 1:
        yield warning("spec.tracing", "only the first element of `tracing` has an effect")
    for index, tracing in elements(spec, "tracing"):
        percentage = at(tracing, "randomSamplingPercentage")
        if isinstance(percentage, int | float) and not 0 <= percentage <= 100:
            path = f"{join('spec.tracing', index)}.randomSamplingPercentage"
            yield Finding(path, f"{percentage} is not between 0 and 100")
        if len(mappings(tracing, "providers")) > 1:
            yield warning(f"{join('spec.tracing', index)}.providers", "only the first provider of `tracing` is used")
