"""Reads what Docker's API says of containers and events, in the words of Docker and of Podman. Pure.

Facts about Podman (4.3): `SandboxKey` is empty for containers that do not run and for those without a network of their
own; `NetworkMode` is `bridge` for every user network; `Health.Status` is "" without a health check, where Docker has no
`Health`; the id is among the aliases; events of a network bear the id of the container instead of the network's.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from ipaddress import IPv4Interface
from typing import Any

import msgspec

from mizzen.registry.containers import Container, ContainerNetwork

# Podman's words for what Docker calls otherwise.
_STATES = {"configured": "created", "initialized": "created", "stopped": "exited"}


class _Health(msgspec.Struct, rename="pascal"):
    status: str = ""


class _State(msgspec.Struct, rename="pascal"):
    status: str
    pid: int = 0
    started_at: datetime | None = None
    health: _Health | None = None


class _Config(msgspec.Struct, rename="pascal"):
    image: str = ""
    hostname: str = ""
    labels: dict[str, str] | None = None
    exposed_ports: dict[str, Any] | None = None


class _HostConfig(msgspec.Struct, rename="pascal"):
    network_mode: str = ""
    port_bindings: dict[str, list[Any] | None] | None = None


class _Network(msgspec.Struct, rename="pascal"):
    gateway: str = ""
    address: str = msgspec.field(name="IPAddress", default="")
    prefix_length: int = msgspec.field(name="IPPrefixLen", default=0)
    aliases: tuple[str, ...] | None = None
    dns_names: tuple[str, ...] | None = msgspec.field(name="DNSNames", default=None)


class _NetworkSettings(msgspec.Struct, rename="pascal"):
    sandbox_key: str = ""
    ports: dict[str, list[Any] | None] | None = None
    networks: dict[str, _Network | None] | None = None


class _Inspected(msgspec.Struct, rename="pascal"):
    id: str
    name: str
    state: _State
    config: _Config
    created: datetime | None = None
    resolv_conf_path: str = ""
    host_config: _HostConfig = msgspec.field(default_factory=_HostConfig)
    network_settings: _NetworkSettings = msgspec.field(default_factory=_NetworkSettings)


class _Listed(msgspec.Struct, rename="pascal"):
    id: str


class _Actor(msgspec.Struct, rename="pascal"):
    id: str = msgspec.field(name="ID", default="")
    attributes: dict[str, str] | None = None


class _Told(msgspec.Struct, rename="pascal"):
    type: str = ""
    action: str = ""
    actor: _Actor = msgspec.field(default_factory=_Actor)


class _Logged(msgspec.Struct, rename="pascal"):
    type: str = ""
    status: str = ""
    id: str = msgspec.field(name="ID", default="")


@dataclass(frozen=True)
class Event:
    """Something happened to a container; ``action`` is its kind in one word, as the engine says it."""

    container: str
    action: str
    kind: str = "container"


def decode_container(content: bytes) -> Container:
    """Reads the answer of `/containers/ID/json`. Raises ValueError (msgspec's DecodeError is one)."""
    read = msgspec.json.decode(content, type=_Inspected)
    health = read.state.health.status if read.state.health else ""
    settings, host = read.network_settings, read.host_config
    published = _tcp(port for ports in (host.port_bindings, settings.ports) for port, to in (ports or {}).items() if to)
    return Container(
        id=read.id,
        name=read.name.removeprefix("/"),
        image=read.config.image,
        labels=read.config.labels or {},
        state=_STATES.get(read.state.status, read.state.status),
        pid=read.state.pid,
        created=_seconds(read.created),
        started_at=_seconds(read.state.started_at),
        health="" if health == "none" else health,
        networks=tuple(
            _network(name, one or _Network(), running=bool(read.state.pid))
            for name, one in sorted((settings.networks or {}).items())
        ),
        exposed=_tcp(read.config.exposed_ports or ()),
        published=published,
        netns=(settings.sandbox_key or f"/proc/{read.state.pid}/ns/net") if read.state.pid else "",
        network_mode=host.network_mode,
        resolv_conf=read.resolv_conf_path,
        hostname=read.config.hostname,
    )


def decode_ids(content: bytes) -> tuple[str, ...]:
    """Reads the answer of `/containers/json`. Raises ValueError."""
    return tuple(one.id for one in msgspec.json.decode(content, type=list[_Listed]))


def decode_event(line: str | bytes) -> Event:
    """Reads a line of `/events`. Raises ValueError."""
    read = msgspec.json.decode(line, type=_Told)
    # Docker says `health_status: healthy` and `exec_start: COMMAND`, and names a network and the container in it.
    action = read.action.partition(":")[0]
    return Event((read.actor.attributes or {}).get("container") or read.actor.id, action, read.type)


def decode_logged(line: bytes) -> Event:
    """Reads a line of the file in which Podman keeps its events. Raises ValueError."""
    read = msgspec.json.decode(line, type=_Logged)
    return Event(read.id, read.status, read.type)


def _network(name: str, read: _Network, *, running: bool) -> ContainerNetwork:
    if read.address:
        IPv4Interface((read.address, read.prefix_length))
    names = dict.fromkeys([*(read.aliases or ()), *(read.dns_names or ())])
    network = ContainerNetwork(name, read.address, read.gateway, read.prefix_length, tuple(names))
    # Podman tells the address of a container that has just ended until it has cleaned up.
    return network if running else network.left()


def _tcp(ports: Iterable[str]) -> tuple[int, ...]:
    """Returns the numbers of ports like `8080/tcp`, in order; other protocols are no business of the mesh."""
    return tuple(sorted({int(port.removesuffix("/tcp")) for port in ports if port.endswith("/tcp")}))


def _seconds(time: datetime | None) -> float:
    """Returns a time as seconds since 1970; engines write "never" as the first day of the year 1."""
    return max(time.timestamp(), 0.0) if time and time.year > 1 else 0.0
