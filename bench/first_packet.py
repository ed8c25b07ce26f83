"""From the start of a container to its capture, where the mesh takes containers as they start.

From the moment at which the network of a container can be entered, before its first process begins, connections are opened
in it to a server outside the mesh, one every millisecond. What goes past the mesh arrives at the server from the port that
it was opened at; what is captured arrives from a port of its proxy's, or waits until the proxy is ready. So the connections
tell when the container's first packet could no longer have gone past, whatever the mesh says.
"""

from __future__ import annotations

import asyncio
import contextlib
import select
import socket
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from tests.support.containers import Container, Engine, engine

from bench.attaching import attach
from bench.mesh import running
from bench.paths import MODES, TRANSPARENT
from bench.spread import spread
from bench.waiting import eventually
from mizzen.node.capture.entering import in_namespace

_NETWORK = "bench"
_EVERYTHING = "*"
_BACKLOG = 4096
_INTERVAL = 0.001
# The kernel has the time of a file to the tick: 4 ms where there are 250 a second.
_NOTES_BEGINNING = ("sh", "-c", ": > /www/begun; exec sleep 60")


@dataclass(frozen=True)
class Plan:
    """``containers`` are started in each mode, one after the other, each watched for ``seconds``."""

    containers: int = 10
    seconds: float = 2.0


QUICK = Plan(containers=1, seconds=4.0)


@dataclass
class _Try:
    """A connection from inside a container: its own port, and in Unix time when it was begun and when it was open."""

    port: int
    begun: float
    opened: float | None = None


@dataclass(frozen=True)
class _Start:
    """One container: when it was captured, and when a connection was served by its proxy, in milliseconds after its first
    process began; and how many connections that came after that went past the mesh.
    """

    captured: float
    served: float
    past: int


def measure(plan: Plan) -> dict[str, Any]:
    """Returns milliseconds after the first process began, by mode; less than 0 is before."""
    found: dict[str, list[_Start]] = {}
    with engine() as podman, tempfile.TemporaryDirectory(prefix="mizzen-bench-") as folder:
        podman.network(_NETWORK)
        with _serving(podman) as server, running([Path(folder)], TRANSPARENT, engine=podman) as mesh:
            for mode in MODES:
                attach(mesh, _EVERYTHING, mode)
                found[mode] = [_start(plan, podman, server, f"{mode}-{number}") for number in range(plan.containers)]
    return {"plan": asdict(plan), "modes": {mode: _summary(starts) for mode, starts in found.items()}}


def _summary(starts: Sequence[_Start]) -> dict[str, Any]:
    return {
        "captured": asdict(spread([one.captured for one in starts])),
        "served": asdict(spread([one.served for one in starts])),
        "containers": len(starts),
        "withPast": sum(one.past > 0 for one in starts),
    }


def _start(plan: Plan, podman: Engine, server: _Server, name: str) -> _Start:
    gateway = podman.request("GET", f"/networks/{_NETWORK}")["IPAM"]["Config"][0]["Gateway"]
    with ThreadPoolExecutor(1) as thread:
        watching = thread.submit(_watch, podman, (gateway, server.port), plan.seconds)
        podman.run(Container(name, command=_NOTES_BEGINNING, network=_NETWORK))
        tries = watching.result()
    address = podman.address(name, _NETWORK)
    began = Path(f"/proc/{podman.pid(name)}/root/www/begun").stat().st_mtime
    podman.kill(name)  # it would take ten seconds to end by itself
    podman.rm(name)
    captured = [one for one in tries if (address, one.port) not in server.peers]
    served = [one.opened for one in captured if one.opened is not None]
    if not served:
        raise RuntimeError(f"no connection of {name} was captured and served within {plan.seconds:g} s")
    # Once the proxy serves, it may call from a port that a connection of before has had.
    direct = [one for one in tries if (address, one.port) in server.peers and one.begun >= began]
    past = [one for one in direct if one.opened is not None and one.opened < min(served)]
    return _Start((captured[0].begun - began) * 1000, (min(served) - began) * 1000, len(past))


def _watch(podman: Engine, server: tuple[str, int], seconds: float) -> list[_Try]:
    """Opens connections in the network of the container that is about to start, for some seconds; returns them."""
    netns = eventually(lambda: _new_network(podman), "the network of the container is there", interval=_INTERVAL)
    with netns as namespace:
        return in_namespace(namespace.fileno(), lambda: _try(server, seconds))


def _new_network(podman: Engine) -> BinaryIO | None:
    """Opens the network namespace that a process of a container has entered, if there is one already."""
    outside = Path(podman.host.netns).stat().st_ino
    for pid in podman.group.processes():
        with contextlib.suppress(OSError):  # it may have ended
            netns = Path(f"/proc/{pid}/ns/net")
            if netns.stat().st_ino not in (outside, Path("/proc/self/ns/net").stat().st_ino):
                return netns.open("rb")
    return None


def _try(server: tuple[str, int], seconds: float) -> list[_Try]:
    tries: list[_Try] = []
    waiting: dict[int, tuple[socket.socket, _Try]] = {}
    with contextlib.closing(select.epoll()) as poll:
        end = time.time() + seconds
        while (now := time.time()) < end:
            one = socket.socket()
            one.setblocking(False)
            one.connect_ex(server)
            tries.append(_Try(one.getsockname()[1], now))
            waiting[one.fileno()] = (one, tries[-1])
            poll.register(one, select.EPOLLOUT)
            while (left := now + _INTERVAL - time.time()) > 0:
                for number, event in poll.poll(left):
                    opened, what = waiting.pop(number)
                    if not event & (select.EPOLLERR | select.EPOLLHUP):
                        what.opened = time.time()
                    opened.close()
        for one, _ in waiting.values():
            one.close()
    return tries


@dataclass
class _Server:
    """Takes connections on the engine's host; ``peers`` are where they came from."""

    port: int
    peers: set[tuple[str, int]] = field(default_factory=set)

    async def serve(self, listener: socket.socket, end: asyncio.Event) -> None:
        async with await asyncio.start_server(self._take, sock=listener, backlog=_BACKLOG):
            await end.wait()

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.peers.add(writer.get_extra_info("peername"))
        with contextlib.closing(writer), contextlib.suppress(OSError):
            # It is the client that closes: a port of its that it has just closed it does not use again.
            await reader.read()


@contextlib.contextmanager
def _serving(podman: Engine) -> Iterator[_Server]:
    with Path(podman.host.netns).open("rb") as namespace:
        listener = in_namespace(namespace.fileno(), lambda: socket.create_server(("", 0), backlog=_BACKLOG))
    server = _Server(listener.getsockname()[1])
    end = asyncio.Event()
    with asyncio.Runner() as runner:
        loop = runner.get_loop()
        thread = threading.Thread(target=runner.run, args=(server.serve(listener, end),))
        thread.start()
        try:
            yield server
        finally:
            loop.call_soon_threadsafe(end.set)
            thread.join()
