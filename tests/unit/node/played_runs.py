"""Runs that are played: `mizzen run` at one end of a connection, and the part of a node that takes runs at the other."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any, cast

from tests.unit.node.played import Stage

from mizzen.node.run_messages import Again, End, Ended, FromNode, FromRun, Go, Link, Started, Wish
from mizzen.node.runs import Runs
from mizzen.registry.reports import Desired, DesiredWorkload


class PlayedRun:
    """`mizzen run` and the connection to it. It starts its command when it is told to, and ends it if it is ``obedient``."""

    def __init__(self, stage: Stage, *, obedient: bool = True) -> None:
        self._stage = stage
        self._obedient = obedient
        self._inbox: asyncio.Queue[FromRun | Exception | None] = asyncio.Queue()
        self.told: list[FromNode] = []
        self.is_closed = False
        self.pid = 4000

    @property
    def link(self) -> Link[FromRun]:
        return cast("Link[FromRun]", self)

    def say(self, message: FromRun | Exception | None) -> None:
        """Says something, or with None ends the connection."""
        self._inbox.put_nowait(message)

    def last(self, kind: type[Any]) -> Any:
        return next(message for message in reversed(self.told) if isinstance(message, kind))

    # --- what the node sees of it

    def send(self, message: FromNode) -> None:
        self.told.append(message)
        self._stage.log.append(f"told {type(message).__name__}")
        if isinstance(message, Go):
            self.say(Started(self.pid))
        elif isinstance(message, End) and self._obedient:
            self.say(Ended())

    async def receive(self) -> FromRun | None:
        said = await self._inbox.get()
        if isinstance(said, Exception):
            raise said
        return said

    def close(self) -> None:
        self.is_closed = True


class Node:
    """The part of a node that takes runs, and the connections to it."""

    def __init__(self, stage: Stage, group: asyncio.TaskGroup) -> None:
        self.stage = stage
        self.runs = Runs(stage.host, stage.node_proxy)
        self.runs.take(Desired(version=1, trust_domain="cluster.local"))
        self._group = group

    def connect(self, said: FromRun | Exception | None, *, obedient: bool = True) -> PlayedRun:
        run = PlayedRun(self.stage, obedient=obedient)
        run.say(said)
        self._group.create_task(self.runs._attend(run.link))
        return run


@contextlib.asynccontextmanager
async def serving(stage: Stage) -> AsyncIterator[Node]:
    """A node that takes runs until the block ends."""
    async with stage.running(stage.node_proxy.run()), asyncio.TaskGroup() as group:
        made = Node(stage, group)
        yield made
        made.runs.stop()


def wish(name: str = "web", *, services: tuple[str, ...] = ("web",), again: Again | None = None, **spec: Any) -> Wish:
    full = {"command": ["./web"], "ports": [{"name": "http", "containerPort": 8080}], "serviceAccount": name} | spec
    workload = DesiredWorkload(namespace="default", name=name, digest="", spec=full, labels={"app": name})
    return Wish(workload=workload, services=services, env={"HOME": "/root"}, again=again)
