"""Network namespaces that somebody else made and uses, such as those of containers: enter, furnish, put back.

A path such as ``/proc/PID/ns/net`` may mean another namespace a moment later, so it is opened once, checked, and from
then on only the descriptor counts. Holding it keeps the namespace alive when the container has ended, as the sockets of
the DNS server inside do anyway; the engine removes the links all the same, and the rest ends with :meth:`Held.close`, or
with this process. ``attaching.py`` decides when. All functions block, for some 10 ms.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from pathlib import Path
from typing import TypeVar

import structlog

from mizzen.node.capture import claims, flows, links, nft, refusals, rules, sysctls
from mizzen.node.capture.entering import in_namespace, namespace_path, socket_in
from mizzen.node.capture.nameserver import DnsSockets, dns_sockets
from mizzen.node.capture.rules import Stage
from mizzen.node.capturing import CaptureError, DeclaredPort, TakenError
from mizzen.registry.addresses import BLOCK

log = structlog.get_logger(__name__)

# Of linux/nsfs.h and linux/sched.h.
_OWNER, _KIND = 0xB701, 0xB703
_NETWORK = 0x40000000

Result = TypeVar("Result")


@dataclass(frozen=True)
class ForeignNamespace:
    """An instance that runs already, in a network namespace of its own.

    ``namespace`` is that of the mesh, ``netns`` the path of the kernel's. ``address`` is the instance's IPv4 address in it.
    ``resolv_conf`` is its own file, as a path on the host, or "" if it has none. ``networks`` are the subnets that it is in.
    """

    namespace: str
    instance: str
    netns: str
    address: str
    ports: tuple[DeclaredPort, ...] = ()
    resolv_conf: str = ""
    networks: tuple[str, ...] = ()


@dataclass
class Held:
    """A network namespace that is held open; see :func:`hold`."""

    _descriptor: int
    _closed: bool = field(default=False, init=False)
    _claim: socket.socket | None = field(default=None, init=False)

    @property
    def path(self) -> str:
        """By which other processes can enter it until it is closed."""
        return namespace_path(self._open())

    def inside(self, work: Callable[[], Result]) -> Result:
        return in_namespace(self._open(), work)

    def new_socket(self) -> socket.socket:
        """Makes a non-blocking, unconnected TCP socket inside."""
        return socket_in(self._open())

    def new_resolver_socket(self, family: socket.AddressFamily, kind: socket.SocketKind) -> socket.socket:
        """Makes a non-blocking socket inside, whose DNS questions the rules leave alone."""
        return socket_in(self._open(), family, kind, mark=rules.RESOLVER_MARK)

    def claim(self, mesh: str) -> None:
        """Says inside, until this is closed, which mesh has it."""
        self._claim = self.inside(lambda: claims.claim(mesh))

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            os.close(self._descriptor)
            if self._claim:
                self._claim.close()

    def _open(self) -> int:
        if self._closed:
            # The number may stand for something else by now.
            raise OSError(errno.EBADF, "the network namespace has been let go")
        return self._descriptor


def hold(path: str) -> Held:
    """Opens the namespace of somebody else.

    Raises :class:`CaptureError` for what is none, for this process's own, and for one that belongs to a user namespace:
    there, the rules would not know Envoy by its group, and it would call itself for ever.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise CaptureError(f"the network namespace {path} cannot be opened: {error.strerror}") from error
    held = Held(descriptor)
    try:
        _check(descriptor, path)
    except BaseException:
        held.close()
        raise
    return held


def furnish(held: Held, address: IPv4Address | None, stage: Stage, *, resolver_inside: bool) -> DnsSockets:
    """Puts rules in force and makes sure that virtual addresses have a route; returns the DNS server's sockets.

    ``address`` is None for whichever it has. Leftovers of a run that crashed are replaced. Raises :class:`CaptureError` if
    the namespace has not the address or is attached already (:class:`TakenError` if it is known to which mesh), OSError
    for all else; then nothing is left there.
    """

    def work() -> DnsSockets:
        with contextlib.ExitStack() as undo:
            sockets = _dns_sockets()
            for opened in sockets:
                undo.callback(opened.close)
            undo.callback(_strip)
            # First, because it says whether this is the right namespace.
            _open_way(address)
            refusals.admit_all()
            # What goes its own way needs rules only when a proxy has had something of it.
            if stage is not Stage.WITHDRAWN:
                _apply(stage, resolver_inside=resolver_inside)
            if links.has_ipv6_addresses():
                log.warning("calls over IPv6 are refused, to and from what is attached", address=str(address))
            undo.pop_all()
        return sockets

    return held.inside(work)


def switch(held: Held, stage: Stage, *, resolver_inside: bool) -> None:
    """Replaces the rules by those of another stage, at once; raises OSError."""
    held.inside(lambda: _apply(stage, resolver_inside=resolver_inside))


def strip(held: Held) -> None:
    """Removes all that :func:`furnish` made but the sockets; nothing if there is nothing. Raises OSError."""
    held.inside(_strip)


def clean_up(path: str) -> bool:
    """Removes what a crashed run left in a namespace; False, and nothing done, if some run is attached to it.

    :func:`furnish` does the same. Raises :class:`CaptureError` and OSError.
    """
    with contextlib.closing(hold(path)) as held:
        try:
            for opened in held.inside(_dns_sockets):
                opened.close()
        except CaptureError:
            return False
        strip(held)
    return True


def _check(descriptor: int, path: str) -> None:
    try:
        kind = fcntl.ioctl(descriptor, _KIND)
    except OSError:
        kind = 0
    if kind != _NETWORK:
        raise CaptureError(f"{path} is no network namespace")
    if os.fstat(descriptor).st_ino == Path("/proc/thread-self/ns/net").stat().st_ino:
        raise CaptureError("it shares the network of its host, where nothing is captured: give it one of its own")
    if _owner(descriptor) != Path("/proc/thread-self/ns/user").stat().st_ino:
        raise CaptureError(
            "it has a user namespace of its own, in which its proxy could not be told from it: turn that off"
        )


def _owner(descriptor: int) -> int:
    """Returns which user namespace a network namespace belongs to; 0 for one that this process may not see."""
    try:
        owner = fcntl.ioctl(descriptor, _OWNER)
    except PermissionError:
        return 0
    try:
        return os.fstat(owner).st_ino
    finally:
        os.close(owner)


# Inside the namespace


def _dns_sockets() -> DnsSockets:
    try:
        return dns_sockets()
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        if mesh := claims.claimed():
            raise TakenError(mesh) from error
        raise CaptureError(
            f"port {rules.DNS_PORT} is taken in its network namespace: another mesh is attached to it, it shares the "
            "namespace with another container, or its application listens there"
        ) from error


def _open_way(address: IPv4Address | None) -> None:
    address = address or links.first_address()
    if address is None:
        raise CaptureError("its network namespace has no IPv4 address")
    try:
        links.open_way(BLOCK, address)
    except OSError as error:
        if error.errno != errno.EADDRNOTAVAIL:
            raise
        raise CaptureError(f"its network namespace has not the address {address}: has it ended?") from error


def _apply(stage: Stage, *, resolver_inside: bool) -> None:
    nft.apply(rules.attached_rules(stage, resolver_inside=resolver_inside, ipv6=sysctls.has_ipv6()))
    if stage is not Stage.WITHDRAWN:
        flows.forget_questions(rules.DNS_PORT, redirected=False)


def _strip() -> None:
    with contextlib.ExitStack() as steps:
        # Called last to first, each even if one before it failed. Flows are forgotten when no rule can bring them back.
        steps.callback(flows.forget_questions, rules.DNS_PORT, redirected=True)
        steps.callback(links.close_way, BLOCK)
        steps.callback(refusals.admit_all)
        steps.callback(nft.apply, rules.without_attached_rules(ipv6=sysctls.has_ipv6()))
