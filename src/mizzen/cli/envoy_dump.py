"""Reads what an Envoy's administration interface says: the parts of ``config_dump`` and ``clusters``, as plain data.

The forms are those of envoy.admin.v3 (ConfigDump, Clusters) in JSON. Pure functions; the tables are in envoy_tables.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

Message: TypeAlias = Mapping[str, Any]

_TYPE = "type.googleapis.com/envoy.admin.v3."
_AFTER_ALL_PORTS = 65536


@dataclass(frozen=True)
class ClusterName:
    """The parts of a cluster's name as Istio builds it (``outbound|9080|v2|reviews.default.svc.cluster.local``).

    The name of any other cluster is its ``fqdn``, and nothing else is known. In a proxy that serves several instances the
    instance's name and a slash come first, also in ``fqdn``.
    """

    fqdn: str
    port: str = ""
    subset: str = ""
    direction: str = ""

    @classmethod
    def of(cls, name: str) -> ClusterName:
        seat, plain = seat_of(name)
        parts = plain.split("|")
        if len(parts) != 4 or parts[0] not in ("outbound", "inbound"):
            return cls(name)
        direction, port, subset, fqdn = parts
        return cls(f"{seat}{fqdn}", port, subset, direction)


@dataclass(frozen=True)
class SecretState:
    """A secret and how far it is: ACTIVE, or WARMING while Envoy waits for it."""

    name: str
    state: str
    secret: Message


def clusters(dump: Message) -> list[Message]:
    section = _section(dump, "ClustersConfigDump")
    entries = [*section.get("static_clusters", []), *section.get("dynamic_active_clusters", [])]
    found = [entry["cluster"] for entry in entries if "cluster" in entry]
    return sorted(found, key=lambda cluster: _cluster_order(cluster["name"]))


def listeners(dump: Message) -> list[Message]:
    """Returns the listeners that serve now; those that warm or drain are not among them.

    Where a filter came by itself (ECDS), it stands where the listener only names it.
    """
    section = _section(dump, "ListenersConfigDump")
    found = [entry["listener"] for entry in section.get("static_listeners", [])]
    found += [
        entry["active_state"]["listener"] for entry in section.get("dynamic_listeners", []) if "active_state" in entry
    ]
    filters = {one["name"]: one for one in _filters(dump)}
    return sorted((_with_filters(listener, filters) for listener in found), key=_listener_order)


def _filters(dump: Message) -> Iterator[Message]:
    # Envoy has a section for each kind of filter: of requests, of connections.
    for section in _sections(dump, "EcdsConfigDump"):
        for entry in section.get("ecds_filters", []):
            if "ecds_filter" in entry:
                yield entry["ecds_filter"]


def _with_filters(listener: Message, filters: Mapping[str, Message]) -> Message:
    def named(chain: Message) -> Message:
        return {**chain, "filters": [filters.get(one.get("name", ""), one) for one in chain.get("filters", [])]}

    found = dict(listener)
    if chains := listener.get("filter_chains"):
        found["filter_chains"] = [named(chain) for chain in chains]
    if default := listener.get("default_filter_chain"):
        found["default_filter_chain"] = named(default)
    return found


def routes(dump: Message) -> list[Message]:
    """Returns the route configurations that came by RDS, and those that Envoy was started with."""
    section = _section(dump, "RoutesConfigDump")
    entries = [*section.get("dynamic_route_configs", []), *section.get("static_route_configs", [])]
    found = [entry["route_config"] for entry in entries if "route_config" in entry]
    return sorted(found, key=lambda route: _number_first(route.get("name", "")))


def secrets(dump: Message) -> list[SecretState]:
    section = _section(dump, "SecretsConfigDump")
    groups = (
        ("ACTIVE", "static_secrets"),
        ("ACTIVE", "dynamic_active_secrets"),
        ("WARMING", "dynamic_warming_secrets"),
    )
    found = [
        SecretState(entry.get("name", ""), state, entry.get("secret", {}))
        for state, group in groups
        for entry in section.get(group, [])
    ]
    return sorted(found, key=lambda each: each.name)


def hosts(statuses: Message) -> Iterator[tuple[str, Message]]:
    """Returns each cluster's name with each of its hosts, from ``clusters?format=json``."""
    for cluster in sorted(statuses.get("cluster_statuses", []), key=lambda each: _cluster_order(each["name"])):
        for host in cluster.get("host_statuses", []):
            yield cluster["name"], host


def address_of(address: Message) -> tuple[str, int]:
    """Returns the address and the port of any kind of Envoy address; a pipe or an internal listener has port 0."""
    if "socket_address" in address:
        socket = address["socket_address"]
        return socket.get("address", ""), int(socket.get("port_value", 0))
    if "pipe" in address:
        return f"unix://{address['pipe'].get('path', '')}", 0
    internal = address.get("envoy_internal_address", {})
    return f"envoy://{internal.get('server_listener_name', '')}", 0


def seat_of(name: str) -> tuple[str, str]:
    """Splits the name of a resource into what says whose it is in a proxy of several instances (or ""), and the rest."""
    seat, slash, plain = name.partition("/")
    return (f"{seat}/", plain) if slash and ":" not in seat else ("", name)


def listens_on(listener: Message) -> tuple[str, int]:
    """Returns the address and port of a listener; where only neighbours in the same proxy reach it, as they say it."""
    if "internal_listener" in listener:
        return f"envoy://{listener.get('name', '')}", 0
    return address_of(listener.get("address", {}))


def origin(message: Message) -> str:
    """Returns ``name.namespace`` of the Istio resource that Istio's metadata names as the source of a message, or "".

    The metadata is ``istio: {config: /apis/networking.istio.io/v1alpha3/namespaces/NS/KIND/NAME}``.
    """
    path = message.get("metadata", {}).get("filter_metadata", {}).get("istio", {}).get("config", "")
    parts = str(path).split("/")
    return f"{parts[-1]}.{parts[-3]}" if len(parts) > 4 else ""


def _section(dump: Message, name: str) -> Message:
    return next(_sections(dump, name), {})


def _sections(dump: Message, name: str) -> Iterator[Message]:
    return (config for config in dump.get("configs", []) if config.get("@type") == _TYPE + name)


def _cluster_order(name: str) -> tuple[str, int, str, str]:
    parts = ClusterName.of(name)
    return parts.fqdn, int(parts.port) if parts.port.isdigit() else 0, parts.subset, parts.direction


def _listener_order(listener: Message) -> tuple[str, int, str, str]:
    name = listener.get("name", "")
    address, port = listens_on(listener)
    return seat_of(name)[0], port or _AFTER_ALL_PORTS, address, name


def _number_first(name: str) -> tuple[int, int, str]:
    return (0, int(name), "") if name.isdigit() else (1, 0, name)
