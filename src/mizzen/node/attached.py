"""A container as an instance of the mesh: its engine runs the application, in a network namespace that is the engine's."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from mizzen.node.capture.attaching import Attachments
from mizzen.node.capture.foreign import ForeignNamespace
from mizzen.node.capture.rules import Stage
from mizzen.node.capturing import CaptureError, DeclaredPort, Place
from mizzen.node.engine.watching import ContainerWatch
from mizzen.node.environment import environment
from mizzen.node.host import Host
from mizzen.node.specs import Revision, Workload
from mizzen.registry.containers import Container, Described, describe
from mizzen.resources.workload import WorkloadSpec

# A container that started this many seconds ago or less has made few connections or none: its new ones are held until
# its proxy is ready. Those of one that has run for longer go on as before until then.
_JUST_STARTED = 2.0
# How long the requests of others may take to end when a container is detached, in seconds.
_GRACE = 10

# How long to wait until all proxies know that a container has ended, for its successor and for callers, and how often
# connections to it are broken off meanwhile, in seconds.
_ACKNOWLEDGE, _LONGEST_ACKNOWLEDGE = 10.0, 60.0
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.05, 0.4


def workload_of(described: Described, proxy: str) -> Workload:
    """Returns a container as a workload with one replica, served by a proxy of this kind ("" for the mesh's)."""
    spec = WorkloadSpec.model_validate(
        {
            "command": (),
            "serviceAccount": described.service_account,
            "terminationGracePeriodSeconds": _GRACE,
            "proxy": proxy,
        }
    )
    revision = Revision(described.container.id[:12])
    return Workload(described.namespace, described.workload, revision, spec, described.labels)


class ContainerRuntime:
    """A :class:`mizzen.node.runtimes.Runtime` for one run of a container."""

    def __init__(self, host: Host, capture: Attachments, watch: ContainerWatch, described: Described) -> None:
        self._host = host
        self._capture = capture
        self._watch = watch
        self._described = described
        self._held = False

    async def open(self, workload: Workload) -> Place:
        described = self._described
        container = described.container
        wanted = ForeignNamespace(
            namespace=workload.namespace,
            instance=described.name,
            netns=container.netns,
            address=described.address,
            ports=tuple(DeclaredPort(port.number, port.name) for port in described.ports),
            resolv_conf=container.resolv_conf,
            networks=described.networks,
        )
        await self._host.capture.admit(described.networks)
        # One that is made and not started yet (`podman init`) has started never.
        self._held = time.time() - container.started_at <= _JUST_STARTED or not container.started_at
        # One that was in the mesh must not go around it because the mesh was killed. One that the engine's hook holds stays held,
        # however long its turn took to come: who called it past its proxy would wait, and then speak to that.
        self._held |= self._capture.is_orphan(workload.namespace, described.name)
        self._held |= self._capture.is_prepared(container.netns)
        try:
            place = await self._capture.attach(wanted, Stage.HELD if self._held else Stage.WITHDRAWN)
        except CaptureError:
            if self._has_ended():
                # That is no failure; whoever wants the instance is about to learn it, and stops it.
                await asyncio.Event().wait()
            raise
        return dataclasses.replace(
            place,
            ports=described.ports,
            # Processes of the mesh are members, too, and call from a network of their own.
            networks=(*described.networks, *filter(None, [self._host.capture.network])),
            gateways=described.gateways,
            resolv_conf=container.resolv_conf,
        )

    def _has_ended(self) -> bool:
        return not Path(f"/proc/{self._described.container.pid}/ns/net").exists()

    async def close(self, place: Place) -> None:
        await self._capture.detach(place)

    def application(self, workload: Workload, place: Place, changed: Callable[[], None]) -> ContainerApplication:  # noqa: ARG002
        container = self._described.container
        return ContainerApplication(
            self._host, self._capture, self._watch, container, place, changed, bypassed=not self._held
        )


class ContainerApplication:
    """A :class:`mizzen.node.runtimes.Application` that an engine runs: it is watched, not kept."""

    def __init__(
        self,
        host: Host,
        capture: Attachments,
        watch: ContainerWatch,
        container: Container,
        place: Place,
        changed: Callable[[], None],
        *,
        bypassed: bool = False,
    ) -> None:
        self._host = host
        self._capture = capture
        self._watch = watch
        self._container = container
        self._place = place
        self._changed = changed
        self.captured = False
        self.bypassed = bypassed
        self.ready = False
        self.waiting = False
        self.message = ""
        self.grace = 0.0
        self.restarts = 0
        self._look(container)

    @property
    def env(self) -> Mapping[str, str]:
        """The environment of what is run beside it, which is this node's and not the container's own."""
        return environment(self._host.env, self._place, self._host.services(), (), ())

    @property
    def pid(self) -> int:
        return self._container.pid

    @property
    def started(self) -> float:
        return self._container.started_at

    def adopt(self, workload: Workload) -> None:
        """What a container is does not change while it runs."""

    async def keep(self) -> None:
        """Lets its connections go to its proxy, and says whether it is ready, until this is cancelled."""
        await self._capture.release(self._place)
        self.bypassed = False
        try:
            async for containers in self._watch.containers:
                if self._look((containers or {}).get(self._container.id)) or not self.captured:
                    self.captured = True
                    self._changed()
        finally:
            self.captured, self.ready = False, self.ready and self.bypassed
            if self._has_ended((self._watch.containers.get() or {}).get(self._container.id)):
                await self._forsake()
            else:
                await self._capture.withdraw(self._place)

    async def _forsake(self) -> None:
        """Leaves nobody waiting who is connected to it, or who connects before he has heard that it has ended.

        Returns when all have heard, or before that if it takes longer than one may wait that has taken its place.
        """
        await self._capture.forsake(self._place)
        await asyncio.wait([self._capture.outlasting(self._break_off_until_known())], timeout=_ACKNOWLEDGE)

    async def _break_off_until_known(self) -> None:
        async with asyncio.TaskGroup() as group:
            told = group.create_task(self._host.acknowledged(_LONGEST_ACKNOWLEDGE))
            reused = group.create_task(self._watch.containers.until(self._is_reused))
            breaking = group.create_task(self._break_off_again())
            try:
                await asyncio.wait([told, reused], return_when=asyncio.FIRST_COMPLETED)
                if not reused.done():
                    # An Envoy acknowledges new endpoints before its worker threads have them.
                    await asyncio.sleep(_SHORTEST_PAUSE)
                    await self._capture.break_off(self._place)
            finally:
                reused.cancel()
                breaking.cancel()
                await self._capture.admit(self._place)

    async def _break_off_again(self) -> None:
        pause = _SHORTEST_PAUSE
        while True:
            await self._capture.break_off(self._place)
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _is_reused(self, containers: Mapping[str, Container] | None) -> bool:
        """Whether a container runs that has its address now: another one, or itself, started again."""
        others = (one for one in (containers or {}).values() if one.pid and one.pid != self._container.pid)
        return any(network.address == self._place.address for one in others for network in one.networks)

    async def part(self) -> None:
        """Has it called past its proxy from now on, as before it was attached."""
        await self._capture.withdraw(self._place)
        self.bypassed = True
        self._changed()

    def _has_ended(self, container: Container | None) -> bool:
        return container is None or container.pid != self._container.pid

    def _look(self, container: Container | None) -> bool:
        """Takes how the container is now; returns whether that has changed."""
        if container is None or self._has_ended(container):
            ready, message = False, "it has ended"
        else:
            self._container = container
            stand = describe(container)
            ready = isinstance(stand, Described) and stand.ready
            message = stand.reason
        before = (self.ready, self.message)
        self.ready, self.message = ready, message
        return (ready, message) != before
