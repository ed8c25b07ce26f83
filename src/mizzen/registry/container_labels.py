"""Reads what a container's `mizzen.dev/*` labels say about its place in the mesh. Pure.

| label                        | says                                                                     |
|------------------------------|--------------------------------------------------------------------------|
| `mizzen.dev/mesh`            | `true`: in the mesh though nobody attaches it; `false`: never            |
| `mizzen.dev/service`         | its own service, instead of its Compose service or its name              |
| `mizzen.dev/namespace`       | its namespace, instead of `default`                                      |
| `mizzen.dev/service-account` | its identity, instead of the name of its own service                     |
| `mizzen.dev/version`         | its label `version`                                                      |
| `mizzen.dev/ports`           | its ports, instead of those that it exposes: `9080/http,3306/tcp,9090`   |
| `mizzen.dev/protocol`        | the protocol of every port for which `mizzen.dev/ports` has none         |
| `mizzen.dev/proxy`           | `sidecar` or `node`, instead of what the mesh uses                       |

A port is a number, or a number, a slash and a protocol; commas stand between ports, and blanks may. Labels do not change
while a container lives, so a mistake in one is told in words, and of what the labels say only `mizzen.dev/mesh` counts.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from mizzen.resources.protocols import Protocol
from mizzen.resources.suggesting import nearest
from mizzen.resources.validation.names import is_dns_label, is_dns_subdomain, labels

SERVICE_PREFIX = "service.mizzen.dev/"
"""How the labels begin by which services that were found select their instances; nobody writes them but Mizzen."""

PROTOCOLS = tuple(protocol.lower() for protocol in Protocol if protocol is not Protocol.UNDECLARED)
"""What a port may be said to speak."""

HTTP_PORTS = frozenset({80, 3000, 5000, 8000, 8001, 8008, 8080, 8081, 8082, 8088, 8090, 8888, 9080})
"""Ports that speak HTTP if nobody says otherwise, by convention: of the web (IANA: http, http-alt), of the development
servers of common frameworks, and of the example that every mesh has. All others pass bytes.
"""

_PREFIX = "mizzen.dev/"
_PORT = re.compile(r"([0-9]{1,5})(?:/([^/]+))?", re.ASCII)


@dataclass(frozen=True)
class Written:
    """What the labels say; "", None or nothing where they are silent. ``ports`` are numbers and protocols, or ""."""

    mesh: bool | None = None
    service: str = ""
    namespace: str = ""
    service_account: str = ""
    version: str = ""
    ports: tuple[tuple[int, str], ...] = ()
    protocol: str = ""
    proxy: str = ""
    problems: tuple[str, ...] = ()

    def protocol_of(self, port: int) -> str:
        """Returns the protocol of a port: its own, that of all ports, or the usual one. Traffic is never looked at."""
        return dict(self.ports).get(port) or self.protocol or ("http" if port in HTTP_PORTS else "tcp")


def membership(given: Mapping[str, str]) -> bool | None:
    """Returns whether its label says that a container shall be in the mesh, or stay outside; None if it says nothing."""
    return {"true": True, "false": False}.get(given.get(f"{_PREFIX}mesh", "").strip())


def read_labels(container: str, given: Mapping[str, str]) -> Written:
    """Reads Mizzen's labels of a container; ``container`` is its name, for problems."""
    values = {key.removeprefix(_PREFIX): value.strip() for key, value in given.items() if key.startswith(_PREFIX)}
    mesh = membership(given)
    problems = [f"container {container}: {message}" for message in _mistakes(given)]
    if problems:
        return Written(mesh=mesh, problems=tuple(problems))
    return Written(
        mesh=mesh,
        service=values.get("service", ""),
        namespace=values.get("namespace", ""),
        service_account=values.get("service-account", ""),
        version=values.get("version", ""),
        ports=tuple(_ports(values.get("ports", ""))),
        protocol=values.get("protocol", ""),
        proxy=values.get("proxy", ""),
    )


def _mistakes(given: Mapping[str, str]) -> Iterator[str]:
    for key, value in sorted(given.items()):
        if key.startswith(_PREFIX):
            for message in _mistakes_in(key.removeprefix(_PREFIX), value.strip()):
                yield f"label {key}: {message}"
        elif key.startswith(SERVICE_PREFIX):
            yield f"label {key}: only Mizzen sets it; name the service with {_PREFIX}service"


def _mistakes_in(name: str, value: str) -> Iterator[str]:
    if name == "ports":
        yield from _mistakes_in_ports(value)
    elif name not in _RULES:
        known = (*_RULES, "ports")
        near = nearest(name, known)
        hint = f"did you mean {_PREFIX}{near}?" if near else f"there are {_join(sorted(known))}"
        yield f"there is no such label; {hint}"
    else:
        is_valid, allowed = _RULES[name]
        if not is_valid(value):
            yield f"{value!r} is not allowed; use {allowed}"


def _mistakes_in_ports(value: str) -> Iterator[str]:
    for part in (part.strip() for part in value.split(",")):
        match = _PORT.fullmatch(part)
        if match is None or not 1 <= int(match[1]) <= 65535:
            yield f"{part!r} is not a port; write numbers from 1 to 65535, each with a protocol or none: 9080/http,3306"
        elif match[2] is not None and match[2] not in PROTOCOLS:
            yield f"{part!r} has no protocol that a mesh carries; use {_join(PROTOCOLS)}"
    times = Counter(number for number, _ in _ports(value))
    yield from (f"port {number} is there {count} times; write it once" for number, count in times.items() if count > 1)


def _ports(value: str) -> Iterator[tuple[int, str]]:
    for part in value.split(","):
        if match := _PORT.fullmatch(part.strip()):
            yield int(match[1]), match[2] or ""


def _is_label_value(value: str) -> bool:
    return bool(value) and not any(labels("", {"version": value}))


def _join(words: tuple[str, ...] | list[str]) -> str:
    return f"{', '.join(words[:-1])} or {words[-1]}"


_DNS_LABEL = "at most 63 of a-z, 0-9 and -, with a letter or digit first and last"
_RULES: dict[str, tuple[Callable[[str], bool], str]] = {
    "mesh": (("true", "false").__contains__, "true or false"),
    "service": (is_dns_label, _DNS_LABEL),
    "namespace": (is_dns_label, _DNS_LABEL),
    "service-account": (is_dns_subdomain, "a-z, 0-9, - and ., with a letter or digit first and last"),
    "version": (_is_label_value, "at most 63 letters, digits, -, _ and ., with a letter or digit first and last"),
    "protocol": (PROTOCOLS.__contains__, _join(PROTOCOLS)),
    "proxy": (("sidecar", "node").__contains__, "sidecar or node"),
}
