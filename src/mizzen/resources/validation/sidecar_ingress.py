"""Rules for the ingress listeners of a Sidecar."""

from __future__ import annotations

from collections.abc import Iterator

from mizzen.resources.findings import Finding
from mizzen.resources.hosts import is_ip_address
from mizzen.resources.paths import join
from mizzen.resources.sidecar import UNIX, IngressListener, SidecarSpec
from mizzen.resources.validation import names
from mizzen.resources.validation.connection_pools import connection_pool
from mizzen.resources.validation.sidecar_ports import port

_APPLICATION = frozenset({"", "127.0.0.1", "0.0.0.0", "[::1]", "[::]"})
_FORM = (
    "sidecar: defaultEndpoint must be of form 127.0.0.1:<port>, 0.0.0.0:<port>, [::1]:<port>, [::]:<port>, "
    "unix://filepath or unset"
)


def ingress(spec: SidecarSpec) -> Iterator[Finding]:
    taken: set[int] = set()
    for index, listener in enumerate(spec.ingress):
        path = join("spec.ingress", index)
        if listener.port is None:
            hint = "write `port: {number: 9080, protocol: HTTP, name: http}`"
            yield Finding(path, "sidecar: port is required for ingress listeners", hint=hint)
            continue
        yield from port(f"{path}.port", listener.port, outward=False)
        if listener.port.number in taken:
            yield Finding(f"{path}.port.number", "sidecar: ports on IP bound listeners must be unique")
        taken.add(listener.port.number)
        yield from _listener(path, listener)


def _listener(path: str, listener: IngressListener) -> Iterator[Finding]:
    if listener.bind and not is_ip_address(listener.bind):
        yield Finding(
            f"{path}.bind", f"{listener.bind!r} is not a valid IP address", hint="remove it for all addresses"
        )
    if listener.default_endpoint:
        yield from _endpoint(f"{path}.defaultEndpoint", listener.default_endpoint)
    elif listener.capture_mode == "NONE":
        message = "with captureMode NONE the sidecar itself listens on this port, so the application is on another one"
        yield Finding(path, message, hint="write where, as `defaultEndpoint: 127.0.0.1:<port>`")
    yield from connection_pool(f"{path}.connectionPool", listener.connection_pool)


def _endpoint(path: str, endpoint: str) -> Iterator[Finding]:
    if endpoint.startswith(UNIX):
        yield from _unix(path, endpoint.removeprefix(UNIX).removeprefix("//"))
        return
    host, colon, number = endpoint.rpartition(":")
    if not colon or host not in _APPLICATION:
        yield Finding(path, f"{_FORM}; it is {endpoint!r}")
    elif not number.isdecimal():
        yield Finding(path, f"{endpoint!r} has no port", hint="write one, such as 127.0.0.1:8080")
    else:
        yield from names.port_number(path, int(number))


def _unix(path: str, name: str) -> Iterator[Finding]:
    if not name:
        yield Finding(path, "unix address must not be empty", hint="write a path, such as unix:///run/app.sock")
    elif not name.startswith(("/", "@")):
        yield Finding(path, f"{name} is not an absolute path", hint="write a path that begins with /, or @ and a name")
