"""The composition root of the control plane: parts in order, one TaskGroup, an orderly end.

Settings → stores and authority → world → API (nodes report through it) → xDS, once a node has said what runs.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Iterable

import structlog

from mizzen.control.api.app import Parts, application
from mizzen.control.api.app import serve as serve_api
from mizzen.control.configs import Configs
from mizzen.control.world import World
from mizzen.identity.authority import Authority
from mizzen.identity.errors import IdentityError
from mizzen.resources.problems import Problem, errors
from mizzen.settings import Settings
from mizzen.store.stores import Stores
from mizzen.xds.server import Discovery
from mizzen.xds.server import serve as serve_xds
from mizzen.xds.status import Fleet, Rejection

log = structlog.get_logger(__name__)

# A root that should have been rotated is a matter of days; a failed attempt is repeated within the hour.
_ROTATION_RETRY = 3600.0


class CannotStartError(Exception):
    """The control plane cannot start until the user mends something; ``problems`` say what."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        super().__init__()
        self.problems = tuple(problems)


async def run(settings: Settings) -> None:
    """Runs the control plane until SIGTERM or SIGINT.

    Raises :class:`CannotStartError`, StoreError, AuthorityError and OSError for what the user has to mend.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    settings.sockets.mkdir(mode=0o700, parents=True, exist_ok=True)
    authority = Authority.open(settings.authority_dir, settings.trust_domain, clock=time.time)
    async with await Stores.open(settings.database, settings.paths) as stores:
        world = await World.open(stores, settings.trust_domain, all_containers=settings.containers)
        # A mesh that has run goes on with the last good contents of its files: a control plane that dies while a file
        # is broken must come back.
        if world.is_new and (wrong := errors(stores.file_problems)):
            raise CannotStartError(wrong)
        async with asyncio.TaskGroup() as tasks:
            running = [
                tasks.create_task(stores.run(), name="stores"),
                tasks.create_task(world.run(), name="world"),
                tasks.create_task(_rotate_roots(authority), name="roots"),
            ]
            configs = Configs(world)

            def on_rejection(rejection: Rejection) -> None:
                if configs.is_current(rejection):
                    world.reject(rejection)

            discovery = Discovery(configs, on_rejection=on_rejection)
            running.append(tasks.create_task(_tell(world, discovery.fleet), name="fleet"))
            await _serve(Parts(settings, stores, world, authority, discovery.fleet, configs.idle), discovery, stop)
            for task in running:
                task.cancel()


async def _serve(parts: Parts, discovery: Discovery, stop: asyncio.Event) -> None:
    """Serves until ``stop``: first the API, and xDS when the world is known, so that no proxy is told half of it."""
    async with asyncio.TaskGroup() as tasks, serve_api(application(parts), parts.settings.api_socket):
        log.info("control plane started", mesh=parts.settings.name, pid=os.getpid())
        known = tasks.create_task(parts.world.included(0), name="first report")
        stopped = tasks.create_task(stop.wait(), name="stop")
        await asyncio.wait([known, stopped], return_when=asyncio.FIRST_COMPLETED)
        if known.done():
            async with serve_xds(parts.settings.xds_socket, discovery):
                await stopped
        known.cancel()
        log.info("control plane stops", mesh=parts.settings.name)


async def _tell(world: World, fleet: Fleet) -> None:
    """Tells those who wait for proxies of each publication: one that was waited for may have ended."""
    async for _ in world.published:
        fleet.notify()


async def _rotate_roots(authority: Authority) -> None:
    """Takes each step of a rotation of the root when it is due."""
    while (due := authority.next_due()) is not None:
        await asyncio.sleep(max(0.0, due.at - time.time()))
        try:
            for step in authority.advance():
                log.info("root certificate", step=str(step))
        except (IdentityError, OSError) as error:
            # A mesh with an old root is better than none, and there is time: a root is rotated long before its end.
            log.error("the root certificate could not be rotated", error=str(error))  # noqa: TRY400
            await asyncio.sleep(_ROTATION_RETRY)
