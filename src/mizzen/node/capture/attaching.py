"""Transparent capture for what others started: a container of Podman or Docker, in the network namespace that it has.

The sibling of ``transparent.py``, for namespaces that are in use before and afterwards and must be left as they were.
The blocking work is done in threads by ``foreign.py``; this module decides when, and owns what is attached.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, ip_address
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar
from weakref import WeakValueDictionary

import structlog

from mizzen.node.capture import connections, foreign, links, rules, sysctls
from mizzen.node.capture.answers import Asker
from mizzen.node.capture.blocking import ended, finished
from mizzen.node.capture.breaking import Breaking
from mizzen.node.capture.foreign import ForeignNamespace, Held
from mizzen.node.capture.nameserver import DnsSockets, Names, NameServers
from mizzen.node.capture.paths import NamespacePaths, number_of
from mizzen.node.capture.places import captured_ports, check_ports
from mizzen.node.capture.rules import Stage
from mizzen.node.capture.upstream import Resolvers, Server, Upstream
from mizzen.node.capturing import CaptureError, Place, TakenError

log = structlog.get_logger(__name__)

Result = TypeVar("Result")

_OTHERWISE = "leave it out of the mesh"


_Made = tuple[Held, DnsSockets]


@dataclass(frozen=True, eq=False)
class Prepared:
    """A namespace whose connections wait; see :meth:`Attachments.prepare`."""

    number: int
    made: _Made


@dataclass(frozen=True)
class _Attached:
    place: Place
    held: Held
    server: NameServers
    resolvers: Resolvers
    # One change at a time: a container may end while its proxy becomes ready.
    changing: asyncio.Lock


class Attachments:
    """Captures namespaces that exist; Linux, root (see ``available.py``). An asynchronous context manager.

    ``names`` are the names that the DNS servers answer; ``folder`` is where the namespaces get paths that are never those of
    another one, for as long as they are attached; ``mesh`` is what other meshes are told (see ``claims.py``). ``elsewhere``
    are paths of other namespaces from which containers are called, "" for the host's. Leaving it detaches all.

    New connections wait, go to the proxy, or go their own way (:class:`Stage`); what was connected before goes on as it was.
    So: :meth:`prepare` what has not begun; :meth:`attach` as HELD what has just started, as WITHDRAWN what is in use;
    :meth:`release` when the proxy is ready; :meth:`hold` when it is gone and will come back; :meth:`withdraw`, then end the
    proxy, then :meth:`detach`, with which the connections that the proxy still has break.
    """

    def __init__(
        self, names: Names, folder: Path, mesh: str = "", elsewhere: Callable[[], Collection[str]] = tuple
    ) -> None:
        self._names = names
        self._paths = NamespacePaths(folder)
        self._mesh = mesh
        self._breaking = Breaking(lambda: {*(entry.place.netns for entry in self._attached.values()), *elsewhere()})
        self._attached: dict[str, _Attached] = {}
        self._prepared: dict[int, Prepared] = {}
        self._opening: WeakValueDictionary[int, asyncio.Lock] = WeakValueDictionary()
        self._closed = False
        self._outlasting: set[asyncio.Task[None]] = set()
        self._orphans: set[str] = set()
        self._tasks = asyncio.TaskGroup()

    async def __aenter__(self) -> Self:
        self._orphans = self._paths.open()
        # Its import takes 0.1 s, which the first container should not wait for.
        await finished(links.netlink_error)
        await self._tasks.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closed = True
        async with contextlib.AsyncExitStack() as steps:
            steps.callback(self._paths.close)
            steps.push_async_callback(ended, self._tasks, kind, error, trace)
            for task in self._outlasting:
                steps.callback(task.cancel)
            for prepared in list(self._prepared.values()):
                steps.push_async_callback(self.let_go, prepared)
            places = [entry.place for entry in self._attached.values()]
            left = await asyncio.gather(*(self.detach(place) for place in places), return_exceptions=True)
            if failures := [failure for failure in left if isinstance(failure, Exception)]:
                raise ExceptionGroup("not every network namespace was left as it was", failures)

    async def attach(self, wanted: ForeignNamespace, stage: Stage = Stage.CAPTURED) -> Place:
        """Captures an instance's traffic and answers its DNS, in some 30 ms; raises :class:`CaptureError`.

        What a crashed run left there is replaced. One that was prepared stays held, whatever the stage, and is let go if
        it cannot be attached.
        """
        async with self._alone(wanted.netns):
            return await self._attach(wanted, stage)

    async def _attach(self, wanted: ForeignNamespace, stage: Stage) -> Place:
        made = self._take_prepared(wanted.netns)
        try:
            check_ports(wanted.instance, wanted.ports, _OTHERWISE)
            with _telling(wanted.instance):
                resolvers = Resolvers(Path(wanted.resolv_conf or os.devnull))
                address, inside = _address(wanted), _resolver_inside(resolvers)
                if made is None:
                    made = await finished(lambda: self._open(wanted.netns, address, stage, inside), _discard)
                else:
                    await finished(lambda: _check_address(made[0], address))
                entry = await self._serve(wanted, made, resolvers)
        except BaseException:
            if made is not None:
                with _telling(wanted.instance):
                    await finished(lambda: _discard(made))
            raise
        self._attached[entry.place.netns] = entry
        self._orphans.discard(f"{wanted.instance}.{wanted.namespace}")
        return entry.place

    async def prepare(self, netns: str, resolv_conf: str) -> Prepared:
        """Has the new connections of a namespace wait, and its DNS questions, before anything runs in it: until it is
        attached, or :meth:`let_go`. Raises :class:`CaptureError`.
        """
        try:
            inside = _resolver_inside(Resolvers(Path(resolv_conf or os.devnull)))
            async with self._alone(netns):
                number = number_of(netns)
                made = await finished(lambda: self._open(netns, None, Stage.HELD, inside), _discard)
                if not self._closed:
                    self._prepared[number] = prepared = Prepared(number, made)
                    return prepared
        except OSError as error:
            raise CaptureError(f"{netns}: {error}") from error
        await finished(lambda: _discard(made))
        raise CaptureError("the mesh has ended meanwhile")

    def _alone(self, netns: str) -> asyncio.Lock:
        """Keeps what is done to a namespace apart: one may be attached while it is prepared, or let go of, still."""
        try:
            return self._opening.setdefault(number_of(netns), asyncio.Lock())
        except OSError:  # It is gone, and that is told by who opens it.
            return asyncio.Lock()

    def _open(self, netns: str, address: IPv4Address | None, stage: Stage, resolver_inside: bool) -> _Made:
        held = foreign.hold(netns)
        try:
            made = held, foreign.furnish(held, address, stage, resolver_inside=resolver_inside)
        except BaseException:
            held.close()
            raise
        held.claim(self._mesh)
        return made

    def _take_prepared(self, netns: str) -> _Made | None:
        with contextlib.suppress(OSError):  # It is gone, and that is told by who opens it.
            if prepared := self._prepared.pop(number_of(netns), None):
                return prepared.made
        return None

    async def let_go(self, prepared: Prepared) -> None:
        """Leaves a prepared namespace as it was before, if it was not attached meanwhile."""
        async with self._opening.setdefault(prepared.number, asyncio.Lock()):
            if self._prepared.get(prepared.number) is prepared:
                del self._prepared[prepared.number]
                try:
                    await finished(lambda: _discard(prepared.made))
                except OSError as error:
                    log.warning("rules may be left in the network of a container", error=str(error))

    def is_orphan(self, namespace: str, instance: str) -> bool:
        """Says whether a run that was killed had attached an instance, which has rules since then that lead to nobody."""
        return f"{instance}.{namespace}" in self._orphans

    def is_prepared(self, netns: str) -> bool:
        """Says whether the new connections of a namespace wait since :meth:`prepare`."""
        try:
            return number_of(netns) in self._prepared
        except OSError:  # It is gone, and that is told by who opens it.
            return False

    async def release(self, place: Place) -> None:
        """Lets new connections go to the proxy; see :meth:`hold`."""
        await self._switch(place, Stage.CAPTURED)

    async def hold(self, place: Place) -> None:
        """Makes new connections wait; nothing if the place is attached no more. Raises :class:`CaptureError`."""
        await self._switch(place, Stage.HELD)

    async def withdraw(self, place: Place) -> None:
        """Lets new connections, and DNS questions, go where they would go without a mesh; see :meth:`hold`."""
        await self._switch(place, Stage.WITHDRAWN)

    async def forsake(self, place: Place) -> None:
        """Takes note that a container has ended: nobody is connected to it any more, and who connects is refused.

        The kernel tells the others as long as the container has its network. Where the engine was quicker and has taken that
        away, :meth:`break_off` does.
        """
        entry = self._attached.get(place.netns)
        if entry is None:
            return
        address = IPv4Address(place.address)
        try:
            if await self._inside(entry, lambda: _end_connections(address)):
                # What is new goes to where it listened, no more to a proxy that serves others as well and goes on.
                await self.withdraw(place)
                await self._inside(entry, lambda: _end_connections(address))
        except (OSError, CaptureError) as error:
            log.warning("a proxy may keep connections of a container that has ended", error=str(error))

    async def break_off(self, place: Place) -> None:
        """Breaks connections to a container that has ended where they begin, also those that are being made; new ones fail at
        once until :meth:`admit`.
        """
        if any(
            other.place.address == place.address and other.place.netns != place.netns
            for other in self._attached.values()
        ):
            return  # Another container has its address by now.
        try:
            await self._breaking.break_off(IPv4Address(place.address))
        except OSError as error:
            log.warning("callers of a container that has ended may wait", container=place.instance, error=str(error))

    async def admit(self, place: Place) -> None:
        """Lets the address of a container that has ended be called again, by whomever it is used now."""
        try:
            await self._breaking.admit(IPv4Address(place.address))
        except OSError as error:
            log.warning("an address may stay refused to some", address=place.address, error=str(error))

    def outlasting(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        """Begins something that may take longer than a place is attached: it is cancelled when this object is left."""
        task = self._tasks.create_task(work)
        self._outlasting.add(task)
        task.add_done_callback(self._outlasting.discard)
        return task

    async def detach(self, place: Place) -> None:
        """Leaves the namespace as it was before, and lets go of it; nothing if that has been done.

        The namespace is there even if the container is not. Raises :class:`CaptureError` if something may be left.
        """
        entry = self._attached.pop(place.netns, None)
        if entry is None:
            return
        try:
            async with entry.changing, contextlib.AsyncExitStack() as steps:
                # Called last to first, each even if one before it failed.
                steps.callback(entry.held.close)
                steps.push_async_callback(entry.server.stop)
                steps.push_async_callback(finished, lambda: foreign.strip(entry.held))
                steps.push_async_callback(self._breaking.leave, place.netns)
                steps.callback(Path(place.netns).unlink, missing_ok=True)
        except OSError as error:
            raise CaptureError(
                f"rules or routes of the mesh may be left in the network of {place.instance}: {error}; restart it"
            ) from error

    async def _inside(self, entry: _Attached, work: Callable[[], Result]) -> Result | None:
        """Does something in a namespace, or nothing if it is attached no more."""
        async with entry.changing:
            if entry.place.netns not in self._attached:
                return None
            return await finished(lambda: entry.held.inside(work))

    async def _switch(self, place: Place, stage: Stage) -> None:
        entry = self._attached.get(place.netns)
        if entry is None:
            return
        async with entry.changing:
            if place.netns not in self._attached:
                return
            try:
                inside = _resolver_inside(entry.resolvers)
                await finished(lambda: foreign.switch(entry.held, stage, resolver_inside=inside))
            except OSError as error:
                raise CaptureError(f"the rules for {place.instance} cannot be changed: {error}") from error

    async def _serve(self, wanted: ForeignNamespace, made: _Made, resolvers: Resolvers) -> _Attached:
        held, sockets = made
        upstream = Upstream(lambda: _servers(resolvers), new_socket=held.new_resolver_socket)
        client = Asker(wanted.namespace, wanted.instance)
        server = NameServers(client, self._names, upstream, self._tasks, lambda: resolvers.configuration().searched)
        try:
            await server.start(sockets)
            path = self._paths.add(wanted.instance, wanted.namespace, held)
        except BaseException:
            await server.stop()
            raise
        place = Place(
            namespace=wanted.namespace,
            instance=wanted.instance,
            capture="transparent",
            address=wanted.address,
            ports=captured_ports(wanted.ports),
            netns=str(path),
            envoy_gid=rules.ENVOY_GROUP,
            networks=wanted.networks,
            new_socket=held.new_socket,
            handing_over=lambda: _handing_over(held),
        )
        return _Attached(place, held, server, resolvers, asyncio.Lock())


@contextlib.asynccontextmanager
async def _handing_over(held: Held) -> AsyncIterator[None]:
    """See :class:`Place`. What is interrupted here leaves a setting that only a socket which is closed ever asks for."""
    is_new = await _keep_waiting_connections(held, wanted=True)
    try:
        yield
    finally:
        if is_new:
            await _keep_waiting_connections(held, wanted=False)


async def _keep_waiting_connections(held: Held, *, wanted: bool) -> bool:
    try:
        return await finished(lambda: held.inside(lambda: sysctls.keep_waiting_connections(wanted=wanted)))
    except OSError as error:
        log.warning("what becomes of connections that wait for a proxy cannot be set", wanted=wanted, error=str(error))
        return False


async def clean_up_foreign(netns_path: str) -> bool:
    """Removes what a crashed run left in a namespace; False, and nothing done, if some mesh is attached to it now.

    The next :meth:`Attachments.attach` does the same. Raises :class:`CaptureError`.
    """
    try:
        return await finished(lambda: foreign.clean_up(netns_path))
    except OSError as error:
        raise CaptureError(f"the network namespace {netns_path} cannot be cleaned up: {error}") from error


def _end_connections(address: IPv4Address) -> bool:
    """Returns whether those at the other ends could be told."""
    connections.break_off_all()
    return links.has_address(address)


def _check_address(held: Held, address: IPv4Address) -> None:
    if not held.inside(lambda: links.has_address(address)):
        raise CaptureError(f"its network namespace has not the address {address}: has it ended?")


@contextlib.contextmanager
def _telling(instance: str) -> Iterator[None]:
    try:
        yield
    except TakenError:
        raise
    except (OSError, CaptureError) as error:
        raise CaptureError(f"{instance} cannot be attached: {error}") from error


def _discard(made: _Made) -> None:
    held, sockets = made
    try:
        foreign.strip(held)
    finally:
        for opened in sockets:
            opened.close()
        held.close()


def _address(wanted: ForeignNamespace) -> IPv4Address:
    try:
        return IPv4Address(wanted.address)
    except ValueError as error:
        raise CaptureError(f"it has no IPv4 address: connect it to a network with IPv4, or {_OTHERWISE}") from error


def _resolver_inside(resolvers: Resolvers) -> bool:
    """Says whether one of an instance's DNS servers runs in its own namespace (see :func:`rules.attached_rules`)."""
    addresses = resolvers.configuration().addresses
    if not addresses:
        raise CaptureError(
            f"its resolv.conf names DNS servers with IPv6 addresses only: add one of IPv4, or {_OTHERWISE}"
        )
    return any(address.is_loopback for address in addresses)


def _servers(resolvers: Resolvers) -> Sequence[Server]:
    return [
        server for server in resolvers.servers() if isinstance(ip_address(server[0].partition("%")[0]), IPv4Address)
    ]
