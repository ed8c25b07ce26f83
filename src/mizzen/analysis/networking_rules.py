"""Istio's rules for Gateway, ServiceEntry, Sidecar and EnvoyFilter by themselves, on plain values.

Source of the rules: istio/istio, ``pkg/config/validation/validation.go``. Only what is a mistake without doubt is here; a
kind leaves this module when it gets a model in ``mizzen.resources``.
"""

from __future__ import annotations

from collections.abc import Iterator

from mizzen.analysis.values import Values, at, elements, mapping, mappings, number, text, texts
from mizzen.resources.findings import Finding, warning
from mizzen.resources.hosts import is_ip_address
from mizzen.resources.paths import join
from mizzen.resources.validation import names

_PROTOCOLS = frozenset(
    "HTTP HTTP2 HTTPS GRPC GRPC-WEB HTTP_PROXY TCP TLS MONGO REDIS MYSQL UDP HBONE DOUBLEHBONE".split()  # noqa: SIM905
)
_FILES = ("serverCertificate", "privateKey")
_TERMINATING = frozenset({"SIMPLE", "MUTUAL", "OPTIONAL_MUTUAL"})


def gateway(spec: Values) -> Iterator[Finding]:
    """Yields what is wrong with a Gateway."""
    if not mappings(spec, "servers"):
        yield Finding("spec.servers", "a Gateway needs at least one server")
    seen: set[str] = set()
    for index, server in elements(spec, "servers"):
        path = join("spec.servers", index)
        if not texts(server, "hosts"):
            yield Finding(f"{path}.hosts", "a server needs at least one host")
        for position, host in enumerate(texts(server, "hosts")):
            yield from _scoped_host(join(f"{path}.hosts", position), host)
        name = text(server, "port", "name")
        if name in seen:
            yield Finding(f"{path}.port.name", f"two servers have a port with the name {name!r}")
        seen |= {name} - {""}
        unix = text(server, "bind").startswith(("/", "unix:"))
        yield from _port(f"{path}.port", mapping(server, "port"), named=True, protocol=True, numbered=not unix)
        yield from _server_tls(path, server)


def _scoped_host(path: str, host: str) -> Iterator[Finding]:
    scope, slash, name = host.partition("/")
    if "/" in name or (slash and not (scope in {".", "*"} or names.is_dns_label(scope))):
        yield Finding(path, f"{host!r} is not of the form namespace/host")
    elif (name if slash else host) != "*":
        yield from names.domain(path, name if slash else host)


def _port(path: str, port: Values, *, named: bool, protocol: bool, numbered: bool = True) -> Iterator[Finding]:
    if not port:
        yield Finding(path, "`port` is required")
        return
    if numbered:
        yield from names.port_number(f"{path}.number", number(port, "number") or _quoted(port))
    if named and not text(port, "name"):
        yield Finding(path, "the port needs a `name`")
    given = text(port, "protocol").upper()
    if (protocol and not given) or (given and given not in _PROTOCOLS):
        what = f"{given} is no protocol" if given else "the port needs a `protocol`"
        yield Finding(f"{path}.protocol", what, hint="such as HTTP, HTTPS, GRPC, HTTP2, TLS, TCP")


def _quoted(port: Values) -> int:
    written = text(port, "number")
    return int(written) if written.isdecimal() else 0


def _server_tls(path: str, server: Values) -> Iterator[Finding]:
    protocol, tls = text(server, "port", "protocol").upper(), mapping(server, "tls")
    where = f"{path}.tls"
    if protocol in {"HTTPS", "TLS"} and at(server, "tls") is None:
        yield Finding(path, f"a server for {protocol} needs `tls`")
    if protocol in {"HTTP", "HTTP2", "GRPC", "TCP"} and (set(tls) - {"httpsRedirect"}):
        yield Finding(where, f"a server for {protocol} has no `tls` but httpsRedirect", hint="use HTTPS or TLS")
    if tls.get("httpsRedirect") is True and protocol not in {"HTTP", "HTTP2", "GRPC", "GRPC-WEB"}:
        yield warning(f"{where}.httpsRedirect", "httpsRedirect has an effect on plain HTTP alone")
    mode = text(tls, "mode")
    from_secret = [name for name in ("credentialName", "credentialNames", "tlsCertificates") if tls.get(name)]
    if len(from_secret) > 1 or (from_secret and any(text(tls, name) for name in _FILES)):
        yield Finding(
            where, "certificates come from one place: credentialName, credentialNames, tlsCertificates or files"
        )
    if mode in _TERMINATING and not from_secret:
        for name in _FILES:
            if not text(tls, name):
                yield Finding(where, f"mode {mode} needs `{name}`, or a `credentialName`")
        if mode == "MUTUAL" and not text(tls, "caCertificates") and not text(tls, "caCertCredentialName"):
            yield Finding(where, "mode MUTUAL needs `caCertificates`, or a `credentialName`")
    if mode == "ISTIO_MUTUAL" and (from_secret or any(text(tls, name) for name in (*_FILES, "caCertificates"))):
        yield Finding(where, "mode ISTIO_MUTUAL uses the mesh's own certificates, and no others")


def service_entry(spec: Values) -> Iterator[Finding]:
    """Yields what is wrong with a ServiceEntry."""
    hosts = texts(spec, "hosts")
    if not hosts:
        yield Finding("spec.hosts", "a ServiceEntry needs at least one host")
    for index, host in enumerate(hosts):
        if host == "*":
            yield Finding(join("spec.hosts", index), "the host * would be everything")
        else:
            yield from names.domain(join("spec.hosts", index), host)
    if mappings(spec, "endpoints") and mapping(spec, "workloadSelector"):
        yield Finding("spec.endpoints", "either `endpoints` or `workloadSelector` says what is behind the hosts")
    seen: set[object] = set()
    for index, port in elements(spec, "ports"):
        path = join("spec.ports", index)
        yield from _port(path, port, named=True, protocol=False)
        for key in (text(port, "name"), number(port, "number")):
            if key and key in seen:
                yield Finding(path, f"the port {key} is there twice")
            seen.add(key)
    yield from _resolution(spec, hosts)


def _resolution(spec: Values, hosts: object) -> Iterator[Finding]:
    resolution = text(spec, "resolution") or "NONE"
    endpoints = mappings(spec, "endpoints")
    cidrs = [address for address in texts(spec, "addresses") if "/" in address]
    if cidrs and resolution not in {"NONE", "STATIC"}:
        yield Finding("spec.addresses", f"the range {cidrs[0]} is for resolution NONE or STATIC, not {resolution}")
    if resolution == "NONE" and endpoints:
        yield Finding("spec.endpoints", "resolution NONE takes no endpoints: connections go where they wanted")
    if resolution == "STATIC":
        for index, endpoint in elements(spec, "endpoints"):
            address = text(endpoint, "address")
            if address and not is_ip_address(address) and not address.startswith("unix://"):
                path = f"{join('spec.endpoints', index)}.address"
                yield Finding(path, f"resolution STATIC takes IP addresses, and {address!r} is none", hint="use DNS")
    if resolution in {"DNS", "DNS_ROUND_ROBIN"} and not endpoints and not mapping(spec, "workloadSelector"):
        wild = [host for host in hosts if host.startswith("*")] if isinstance(hosts, list) else []
        if wild:
            yield Finding(
                "spec.hosts", f"{wild[0]!r} cannot be looked up: resolution {resolution} needs endpoints for it"
            )
    if resolution == "DNS_ROUND_ROBIN" and len(endpoints) > 1:
        yield Finding("spec.endpoints", "resolution DNS_ROUND_ROBIN takes one endpoint")


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
        yield from _port(f"{join('spec.ingress', index)}.port", mapping(listener, "port"), named=False, protocol=True)


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
