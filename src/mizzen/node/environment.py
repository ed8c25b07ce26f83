"""The environment and the command line of an application, in Kubernetes' way. Pure.

Kubernetes gives a container the services of its namespace as ``<NAME>_SERVICE_HOST``, ``<NAME>_SERVICE_PORT`` (the
first) and ``<NAME>_SERVICE_PORT_<PORTNAME>``, and expands ``$(NAME)`` in commands and values; so do we, with ``PORT``
for the port to listen on.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from mizzen.node.capturing import Place
from mizzen.registry.reports import InstancePort, OutboundPort, ServiceName

# "$$" is a "$" that begins no reference; "$(NAME)" is one; any other "$" is itself.
_REFERENCE = re.compile(r"\$(?:\$|\((?P<name>[-._a-zA-Z][-._a-zA-Z0-9]*)\))")
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_]")
_PROXY_VARIABLES = ("http_proxy", "HTTP_PROXY")
_NO_PROXY_VARIABLES = ("no_proxy", "NO_PROXY")
_LOCAL = ("localhost", "127.0.0.1")


def expand(text: str, variables: Mapping[str, str]) -> str:
    """Replaces ``$(NAME)`` by the variable; unknown names and ``$$(NAME)`` stay, the latter as ``$(NAME)``.

    The rule is that of Kubernetes for ``command``, ``args`` and ``env``.
    """

    def replacement(match: re.Match[str]) -> str:
        name = match["name"]
        return variables.get(name, match[0]) if name else "$"

    return _REFERENCE.sub(replacement, text)


def environment(
    base: Mapping[str, str],
    place: Place,
    services: Sequence[ServiceName],
    outbound: Sequence[OutboundPort],
    declared: Iterable[tuple[str, str]],
) -> dict[str, str]:
    """Returns the environment of an application in ``place``.

    ``base`` is the environment of whoever started the mesh, ``declared`` the ``env`` of the Workload in its order,
    which is stronger than all else; a value may refer to the variables before it.
    """
    variables = {
        **base,
        # As in a Kubernetes pod, where applications take it for their name.
        "HOSTNAME": place.instance,
        **_proxies(base, place, services),
        **_services(place, services, outbound),
        **_ports(place.ports),
    }
    for name, value in declared:
        variables[name] = expand(value, variables)
    return variables


def _ports(ports: Sequence[InstancePort]) -> dict[str, str]:
    variables = {f"PORT_{_upper(port.name)}": str(port.application) for port in ports if port.name}
    if ports:
        variables["PORT"] = str(ports[0].application)
    return variables


def _services(place: Place, services: Sequence[ServiceName], outbound: Sequence[OutboundPort]) -> dict[str, str]:
    local = {(port.host, port.port): port.local for port in outbound}
    variables: dict[str, str] = {}
    for service in services:
        if service.namespace != place.namespace or not service.ports:
            continue
        prefix = f"{_upper(service.name)}_SERVICE"
        numbers = {port: local.get((service.host, port), port) for port in service.ports}
        variables[f"{prefix}_HOST"] = place.address if outbound else service.address
        variables[f"{prefix}_PORT"] = str(numbers[service.ports[0]])
        names = zip(service.ports, service.port_names, strict=False)  # an older control plane tells no names
        variables |= {f"{prefix}_PORT_{_upper(name)}": str(numbers[port]) for port, name in names if name}
    return variables


def _proxies(base: Mapping[str, str], place: Place, services: Sequence[ServiceName]) -> dict[str, str]:
    """Where capture is explicit the sidecar is the HTTP proxy. Else a proxy that the user has set for the world outside
    must not be asked for services of the mesh.
    """
    if place.http_proxy:
        proxies = dict.fromkeys(_PROXY_VARIABLES, f"http://{place.address}:{place.http_proxy}")
        return proxies | dict.fromkeys(_NO_PROXY_VARIABLES, ",".join(_LOCAL))
    if not any(base.get(name) for name in (*_PROXY_VARIABLES, "all_proxy", "ALL_PROXY")):
        return {}
    names = [name for service in services for name in (service.name, f"{service.name}.{service.namespace}")]
    hosts = [service.host for service in services]
    direct = ",".join(dict.fromkeys([*_LOCAL, *names, *hosts]))
    given = base.get("no_proxy") or base.get("NO_PROXY")
    return dict.fromkeys(_NO_PROXY_VARIABLES, f"{given},{direct}" if given else direct)


def _upper(name: str) -> str:
    return _NOT_IN_NAMES.sub("_", name).upper()
