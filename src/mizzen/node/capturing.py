"""Capture: getting a workload's traffic into its proxy, as the rest of the node sees it.

A :class:`Capture` gives each instance a :class:`Place` to run in: its address, its ports, and, where capture is
transparent, its network namespace. ``explicit.py`` implements it with loopback ports on any system; ``capture/`` with
network namespaces, nftables and DNS on Linux. ``instances.py`` starts Envoy and the application in the place and
``probes.py`` connects from inside it; neither knows which kind it is.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

from mizzen.registry.reports import EgressNames, InstancePort, OutboundPort, ServiceName


@dataclass(frozen=True)
class DeclaredPort:
    """A port that a Workload declares: its number and its name ("" where it has none)."""

    number: int
    name: str = ""


def tcp_socket() -> socket.socket:
    """Makes a non-blocking IPv4 TCP socket in the namespace of this process."""
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    made.setblocking(False)
    return made


@dataclass(frozen=True)
class Place:
    """Where one instance runs.

    ``ports`` has one entry for each declared port, in order. ``netns`` is the path of the network namespace
    (``/run/netns/NAME``) or "" for the host's; ``resolv_conf`` is a file to mount over /etc/resolv.conf or "".
    ``http_proxy`` is the loopback port for the sidecar's forward proxy, or 0 where none is needed. ``envoy_gid`` is
    the group that Envoy must run as so that its own traffic is not captured; None leaves it as it is.
    ``networks`` and ``gateways`` are those of a container (see :class:`mizzen.registry.reports.Instance`).
    ``new_socket`` makes a non-blocking, unconnected TCP socket inside the place (no await: it is called on the loop's
    thread, and must leave that thread's namespace as it was). ``handing_over`` is entered while one of two proxies that
    listen there goes: what it has not accepted by then is the other's.
    """

    namespace: str
    instance: str
    capture: str
    address: str
    ports: tuple[InstancePort, ...] = ()
    netns: str = ""
    resolv_conf: str = ""
    http_proxy: int = 0
    envoy_gid: int | None = None
    networks: tuple[str, ...] = ()
    gateways: tuple[str, ...] = ()
    new_socket: Callable[[], socket.socket] = tcp_socket
    handing_over: Callable[[], AbstractAsyncContextManager[None]] = nullcontext


class CaptureError(Exception):
    """A place cannot be made; the text is for the user and says what to do."""


class TakenError(CaptureError):
    """A container is a member of another ``mesh`` of this host. It can be a member of this one when it has left that."""

    def __init__(self, mesh: str) -> None:
        super().__init__(f"it is a member of mesh {mesh} already, and is taken in when it has left that")
        self.mesh = mesh


class Capture(Protocol):
    """Makes places. An asynchronous context manager: entering it removes what a crashed earlier run of the same mesh
    left behind and starts what all places share; leaving it removes everything that is still open.

    ``open`` and ``close`` may run at the same time for different instances. ``mode`` is ``explicit`` or
    ``transparent``.
    """

    @property
    def mode(self) -> str: ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    async def open(self, namespace: str, instance: str, ports: Sequence[DeclaredPort]) -> Place:
        """Makes the place of a new instance; raises :class:`CaptureError`."""
        ...

    async def close(self, place: Place) -> None:
        """Gives back all that ``open`` took; nothing runs in the place any more. Closing twice is allowed."""
        ...

    @property
    def host_address(self) -> str:
        """The address of this host at which instances call what it listens on."""
        ...

    @property
    def network(self) -> str:
        """The subnet of the instances, in CIDR form; "" where they have none of their own."""
        ...

    async def admit(self, networks: Collection[str]) -> None:
        """Lets members of the mesh in these subnets call the instances; raises :class:`CaptureError`."""
        ...

    def update(self, services: Sequence[ServiceName], egress: Sequence[EgressNames] = ()) -> None:
        """Takes the services that applications may call by name, and which instances may not call all of them: at start and
        whenever they change.
        """
        ...

    def outbound(self, place: Place) -> tuple[OutboundPort, ...]:
        """Returns the loopback ports that lead to the services of the last ``update``; () where names do.

        The port of a service stays the same for as long as the place is open.
        """
        ...
