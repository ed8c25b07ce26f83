"""Istio's rules for Gateways (``pkg/config/validation/validation.go``, ValidateGateway)."""

from __future__ import annotations

from collections.abc import Iterator

from mizzen.resources.findings import Finding, unsupported
from mizzen.resources.gateway import GatewaySpec, Port, Server
from mizzen.resources.hosts import is_ip_address
from mizzen.resources.paths import join
from mizzen.resources.validation import names
from mizzen.resources.validation.gateway_tls import server_tls

_KNOWN = {"HTTP", "HTTPS", "GRPC", "GRPC-WEB", "HTTP2", "MONGO", "TCP", "TLS"}


def gateway(spec: GatewaySpec) -> Iterator[Finding]:
    yield from names.labels("spec.selector", spec.selector)
    if not spec.servers:
        yield Finding("spec.servers", "gateway must have at least one server")
    seen_ports: set[str] = set()
    seen_names: set[str] = set()
    for index, server in enumerate(spec.servers):
        path = join("spec.servers", index)
        yield from _server(path, server)
        if server.port and server.port.name:
            if server.port.name in seen_ports:
                message = f"port names in servers must be unique: duplicate name {server.port.name}"
                yield Finding(f"{path}.port.name", message)
            seen_ports.add(server.port.name)
        if server.name:
            if server.name in seen_names:
                yield Finding(f"{path}.name", f"server names must be unique: duplicate name {server.name}")
            seen_names.add(server.name)


def _server(path: str, server: Server) -> Iterator[Finding]:
    if server.port is None:
        yield Finding(f"{path}.port", "port is required", hint="write `port: {number: 80, name: http, protocol: HTTP}`")
    else:
        yield from _port(f"{path}.port", server.port, server.bind)
    if server.bind:
        yield from _bind(path, server.bind)
    if server.name and not names.is_dns_label(server.name):
        yield Finding(f"{path}.name", f"server name {server.name!r} is not a DNS label")
    if not server.hosts:
        yield Finding(f"{path}.hosts", "server config must contain at least one host", hint="`*` stands for all")
    for index, host in enumerate(server.hosts):
        yield from _host(join(f"{path}.hosts", index), host)
    if server.port:
        yield from server_tls(f"{path}.tls", server)


def _port(path: str, port: Port, bind: str) -> Iterator[Finding]:
    if bind.startswith("unix:"):
        if port.number:
            yield Finding(f"{path}.number", "port number must be 0 for unix domain socket")
    else:
        yield from names.port_number(f"{path}.number", port.number)
    if not port.name:
        yield Finding(f"{path}.name", "port name must be set", hint="write `name: http`, say")
    if port.protocol.upper() not in _KNOWN:
        yield Finding(
            f"{path}.protocol", f"invalid protocol {port.protocol!r}", hint=f"one of {', '.join(sorted(_KNOWN))}"
        )
    if port.target_port is not None:
        yield Finding(f"{path}.targetPort", "targetPort has no impact on Gateways", hint="remove it")


def _bind(path: str, bind: str) -> Iterator[Finding]:
    if bind.startswith("unix:"):
        message = "a gateway that listens on a Unix socket is not implemented yet in this version of Mizzen"
        yield unsupported(path, "Server.bind", message, "remove it, and give the port a number")
        return
    if not is_ip_address(bind):
        yield Finding(
            f"{path}.bind", f"{bind!r} is not a valid IP address", hint="remove it for the address of the gateway"
        )


def _host(path: str, host: str) -> Iterator[Finding]:
    parts = host.split("/")
    if len(parts) > 2 or not all(parts):
        yield Finding(path, f"host must be of form namespace/dnsName: {host!r}")
        return
    name = parts[-1]
    if len(parts) == 2 and parts[0] not in ("*", ".") and not names.is_dns_label(parts[0]):
        yield Finding(path, f"namespace {parts[0]!r} is not a DNS label")
    if name.startswith("*") and name != "*" and not name.startswith("*."):
        yield Finding(
            path, f"partial wildcard {name!r} not allowed", hint="a wildcard is a whole label: `*.example.com`"
        )
    elif name != "*":
        yield from names.host_or_address(path, name)
