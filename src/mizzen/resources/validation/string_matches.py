"""Istio's rules for what a request is compared with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from mizzen.resources.findings import Finding, warning
from mizzen.resources.model import StringMatch
from mizzen.resources.paths import join
from mizzen.resources.validation import names
from mizzen.resources.virtual_service import HTTPMatchRequest

JWT_CLAIMS = "@request.auth.claims"
_IGNORED_HEADERS = frozenset({"uri", "scheme", "method", "authority"})


def match(path: str, given: HTTPMatchRequest, *, at_gateways: bool = False) -> Iterator[Finding]:
    """Checks one entry of ``match``; ``at_gateways`` says that it is for no proxies but those of gateways."""
    for name in ("uri", "scheme", "method", "authority"):
        value: StringMatch | None = getattr(given, name)
        if value is not None:
            yield from _string_match(f"{path}.{name}", value)
            if not value.model_fields_set:
                hint = "write `exact`, `prefix` or `regex` below it, or remove it"
                yield warning(f"{path}.{name}", f"`{name}` compares with nothing, so it matches everything", hint)
    yield from _headers(f"{path}.headers", given.headers, at_gateways)
    yield from _headers(f"{path}.withoutHeaders", given.without_headers, at_gateways)
    for name, value in given.query_params.items():
        if not name:
            yield Finding(f"{path}.queryParams", "query parameter name cannot be empty")
        yield from _string_match(join(f"{path}.queryParams", name), value)
    if "port" in given.model_fields_set and given.port:
        yield from names.port_number(f"{path}.port", given.port)
    yield from names.labels(f"{path}.sourceLabels", given.source_labels)
    if given.source_namespace and not names.is_dns_label(given.source_namespace):
        yield Finding(f"{path}.sourceNamespace", f"sourceNamespace match {given.source_namespace!r} is invalid")
    yield from _ineffective(path, given)


def _ineffective(path: str, given: HTTPMatchRequest) -> Iterator[Finding]:
    if given.ignore_uri_case and (given.uri is None or given.uri.regex is not None):
        hint = "write (?i) at the beginning of the regex" if given.uri else "remove it"
        yield warning(f"{path}.ignoreUriCase", "ignoreUriCase applies only to an exact or prefix `uri`", hint)
    if given.gateways:
        for name in ("source_labels", "source_namespace"):
            if getattr(given, name):
                field = "sourceLabels" if name == "source_labels" else "sourceNamespace"
                message = f"{field} has no effect in a match that names gateways"
                yield warning(f"{path}.{field}", message, "remove `gateways` from this match")


def _headers(path: str, headers: Mapping[str, StringMatch], at_gateways: bool) -> Iterator[Finding]:
    for name, value in headers.items():
        where = join(path, name)
        if name.startswith(JWT_CLAIMS):
            if not at_gateways:
                yield Finding(where, "JWT claim based routing is only supported for gateway, not for the mesh")
            continue
        yield from names.header_name(where, name.removeprefix(":"))
        if name in _IGNORED_HEADERS:
            message = f"header {name!r} is ignored in a match of headers"
            yield warning(where, message, f"write `{name}` beside `headers`, not below it")
        elif name != name.lower():
            message = f"header names are compared in lower case; {name!r} is taken as {name.lower()!r}"
            yield warning(where, message, "write it in lower case")
        if value.regex != "*":
            # Istio takes the regex * as: the header is there.
            yield from _string_match(where, value)


def _string_match(path: str, value: StringMatch) -> Iterator[Finding]:
    if value.prefix == "":
        yield Finding(f"{path}.prefix", "prefix string match should not be empty")
    if value.regex is not None:
        yield from names.regex(f"{path}.regex", value.regex)
