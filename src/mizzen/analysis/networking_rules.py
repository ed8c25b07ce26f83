"""Istio's rules for Sidecar and EnvoyFilter by themselves, on plain values.

Source of the rules: istio/istio, ``pkg/config/validation/validation.go``. Only what is a mistake without doubt is here; a
kind leaves this module when it gets a model in ``mizzen.resources``.
"""

from __future__ import annotations

from collections.abc import Iterator

from mizzen.analysis.values import Values, at, elements, mapping, mappings, number, text, texts
from mizzen.resources.findings import Finding, warning
from mizzen.resources.paths import join
from mizzen.resources.validation import names

_PROTOCOLS = frozenset(
    "HTTP HTTP2 HTTPS GRPC GRPC-WEB HTTP_PROXY TCP TLS MONGO REDIS MYSQL UDP HBONE DOUBLEHBONE".split()  # noqa: SIM905
)


def sidecar(spec: Values) -> Iterator[Finding]:
    """Yields what is wrong with a Sidecar."""
    if not any(spec.get(name) for name in ("ingress", "egress", "outboundTrafficPolicy", "inboundConnectionPool")):
        yield Finding("spec", "a Sidecar without ingress, egress or outboundTrafficPolicy configures nothing")
    for index, listener in elements(spec, "egress"):
        path = join("spec.egress", index)
        if not texts(listener, "hosts"):
            yield Finding(f"{path}.hosts", "egress needs at least one host", hint='such as "./*" or "*/*"')
        for position, host in enumerate(texts(listener, "hosts")):
            if host.count("/") != 1:
                where = join(f"{path}.hosts", position)
                yield Finding(
                    where, f"{host!r} is not of the form namespace/host", hint=f'write "./{host}" or "*/{host}"'
                )
        if not mapping(listener, "port") and index < len(mappings(spec, "egress")) - 1:
            yield Finding(path, "egress without a port takes what is left over, so it has to be the last")
    for index, listener in elements(spec, "ingress"):
        yield from _port(f"{join('spec.ingress', index)}.port", mapping(listener, "port"))


def _port(path: str, port: Values) -> Iterator[Finding]:
    if not port:
        yield Finding(path, "`port` is required")
        return
    yield from names.port_number(f"{path}.number", number(port, "number") or _quoted(port))
    given = text(port, "protocol").upper()
    if given not in _PROTOCOLS:
        what = f"{given} is no protocol" if given else "the port needs a `protocol`"
        yield Finding(f"{path}.protocol", what, hint="such as HTTP, HTTPS, GRPC, HTTP2, TLS, TCP")


def _quoted(port: Values) -> int:
    written = text(port, "number")
    return int(written) if written.isdecimal() else 0


def envoy_filter(spec: Values) -> Iterator[Finding]:
    """Yields what is wrong with an EnvoyFilter, and Istio's warning about all of them."""
    yield warning("kind", "an EnvoyFilter depends on how Istio configures Envoy, which may change with any version")
    for index, patch in elements(spec, "configPatches"):
        path = join("spec.configPatches", index)
        if not patch.get("applyTo"):
            yield Finding(path, "`applyTo` is required")
        if not mapping(patch, "patch"):
            yield Finding(path, "`patch` is required")
        elif not at(patch, "patch", "operation"):
            yield Finding(f"{path}.patch", "`operation` is required")
        elif text(patch, "patch", "operation") != "REMOVE" and at(patch, "patch", "value") is None:
            yield Finding(f"{path}.patch", "`value` is required")
