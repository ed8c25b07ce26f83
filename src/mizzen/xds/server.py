"""The gRPC side of xDS: which services there are, and a server on a Unix socket.

A :class:`Discovery` joins one :class:`~mizzen.xds.source.ConfigSource` to one or more services; :func:`serve` puts any
number of them on a socket. The control plane serves :data:`AGGREGATED`, the node serves :data:`SECRETS`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import stat
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import structlog

from mizzen.compile.resource import SECRET, TypeUrl
from mizzen.xds.delta import Delta
from mizzen.xds.facts import AssignmentNames
from mizzen.xds.session import Dialect, Shared
from mizzen.xds.sotw import StateOfTheWorld
from mizzen.xds.source import ConfigSource
from mizzen.xds.status import Fleet, Rejection
from mizzen.xds.stream import Context, Stream
from mizzen.xds.wire import Encoder

log = structlog.get_logger(__name__)

_OPTIONS: Sequence[tuple[str, Any]] = (
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    # Proxies may ping as often as they like, also on idle connections.
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 1),
    ("grpc.http2.max_ping_strikes", 0),
)

_LONGEST_SOCKET_PATH = 103
"""What every system's sockaddr_un can hold, without its terminating zero (macOS: 104, Linux: 108)."""


@dataclass(frozen=True)
class Service:
    """A discovery service: its name, its two methods, and the type that it is for (None: all types)."""

    name: str
    delta: str
    sotw: str
    only: TypeUrl | None = None


AGGREGATED = Service(
    "envoy.service.discovery.v3.AggregatedDiscoveryService", "DeltaAggregatedResources", "StreamAggregatedResources"
)
SECRETS = Service("envoy.service.secret.v3.SecretDiscoveryService", "DeltaSecrets", "StreamSecrets", SECRET)


class Discovery:
    """Serves one source through one or more services.

    ``on_rejection`` is called, within the event loop, for each resource that a proxy refuses. ``patience`` is how long,
    in seconds, a proxy's missing reply may hold up what should come after it.
    """

    def __init__(
        self,
        source: ConfigSource,
        *,
        services: Sequence[Service] = (AGGREGATED,),
        on_rejection: Callable[[Rejection], None] = lambda rejection: None,  # noqa: ARG005 - the fleet's status shows it
        patience: float = 5.0,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.fleet = Fleet()
        self._services = services
        self._closing = asyncio.Event()
        self._shared = Shared(source, self.fleet, Encoder(), AssignmentNames(), on_rejection, patience, wall)

    def handlers(self) -> list[grpc.GenericRpcHandler]:
        """Returns what a ``grpc.aio.Server`` registers."""
        return [
            grpc.method_handlers_generic_handler(
                service.name,
                {service.delta: self._method(Delta(), service), service.sotw: self._method(StateOfTheWorld(), service)},
            )
            for service in self._services
        ]

    def _method(self, dialect: Dialect[Any], service: Service) -> grpc.RpcMethodHandler[bytes, bytes]:
        async def handle(requests: AsyncIterator[bytes], context: Context) -> None:
            await Stream(self._shared, dialect, service.only, self._closing).run(requests, context)

        # Without (de)serializers bytes go in and out as they are.
        handler: grpc.RpcMethodHandler[bytes, bytes] = grpc.stream_stream_rpc_method_handler(handle)
        return handler

    def close(self) -> None:
        """Ends all streams, after what they are writing."""
        self._closing.set()


@contextlib.asynccontextmanager
async def serve(path: Path, *discoveries: Discovery, grace: float = 1.0) -> AsyncIterator[grpc.aio.Server]:
    """Serves on the Unix socket ``path`` while the context lasts; streams get ``grace`` seconds to end.

    The folder must be closed to other users (0700), as whoever reaches the socket may take any proxy's name. A socket
    that was left behind is replaced. Raises OSError with what to do if the folder is open, the path too long, or the
    socket in use.
    """
    _prepare(path)
    server = grpc.aio.server(options=_OPTIONS)
    for discovery in discoveries:
        server.add_generic_rpc_handlers(discovery.handlers())
    try:
        server.add_insecure_port(f"unix:{path}")
    except RuntimeError as error:
        raise OSError(f"cannot listen on {path}: {error}") from error
    try:
        await _start(server)
        log.info("serving xDS", socket=str(path))
        yield server
    finally:
        for discovery in discoveries:
            discovery.close()
        await server.stop(grace)
        _discard(path)


async def _start(server: grpc.aio.Server) -> None:
    """Starts it whole: gRPC breaks when its start is cancelled half-way, so a cancellation waits for the moment it takes."""
    starting = asyncio.ensure_future(server.start())  # noqa: TID251 - it is awaited here in any case
    try:
        await asyncio.shield(starting)
    except asyncio.CancelledError:
        await asyncio.wait([starting])
        raise


def _discard(path: Path) -> None:
    path.unlink(missing_ok=True)


def _prepare(path: Path) -> None:
    if len(os.fsencode(path)) > _LONGEST_SOCKET_PATH:
        raise OSError(f"the path of the socket is too long ({_LONGEST_SOCKET_PATH} bytes at most): {path}")
    folder = path.parent.stat()
    if stat.S_IMODE(folder.st_mode) & 0o077 or folder.st_uid != os.getuid():
        raise PermissionError(f"{path.parent} must belong to you and be closed to others: chmod 700 {path.parent}")
    if not path.exists():
        return
    if not path.is_socket():
        raise FileExistsError(f"{path} is in the way: it is not a socket; move it elsewhere")
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(os.fspath(path))
        except ConnectionRefusedError:
            path.unlink()
        else:
            raise OSError(f"another process serves on {path}; stop it first")
