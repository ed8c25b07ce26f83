"""What runs the application of an instance: this node itself, or an engine of containers.

An :class:`InstanceRunner` (instances.py) puts an instance together out of a place, a proxy and an application, always in
the same order. A :class:`Runtime` says where the place comes from and who runs the application in it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from mizzen.node.applications import ApplicationKeeper
from mizzen.node.capturing import Place
from mizzen.node.host import Host
from mizzen.node.specs import Workload


class Application(Protocol):
    """``ready`` says whether it passes its probe; ``waiting`` is True between a crash and the next start; ``message``
    says what is wrong; ``started`` is Unix time. ``grace`` (seconds) is what it gets when :meth:`keep` is cancelled.
    ``captured`` says whether what it calls from now on goes through its proxy, ``bypassed`` whether who calls it from now on
    reaches it past its proxy: one that ran before it had a proxy and goes on without.
    """

    captured: bool
    bypassed: bool
    ready: bool
    waiting: bool
    message: str
    grace: float

    @property
    def pid(self) -> int: ...

    @property
    def restarts(self) -> int: ...

    @property
    def started(self) -> float: ...

    @property
    def env(self) -> Mapping[str, str]: ...

    async def keep(self) -> None:
        """Keeps it, from when its proxy is ready until this is cancelled."""
        ...

    async def part(self) -> None:
        """Has it called past its proxy from now on, if it goes on when the instance ends."""
        ...

    def adopt(self, workload: Workload) -> None:
        """Takes the workload in another form of the same revision."""
        ...


class Runtime(Protocol):
    async def open(self, workload: Workload) -> Place:
        """Makes the place for the instance; raises :class:`mizzen.node.capturing.CaptureError`."""
        ...

    async def close(self, place: Place) -> None:
        """Gives back all that ``open`` took."""
        ...

    def application(self, workload: Workload, place: Place, changed: Callable[[], None]) -> Application:
        """Makes what keeps the application; ``changed`` is to be called after each change of its attributes."""
        ...


class ProcessRuntime:
    """Runs the command of a Workload, in a place that the mesh's capture makes."""

    def __init__(self, host: Host, name: str) -> None:
        self._host = host
        self._name = name

    async def open(self, workload: Workload) -> Place:
        return await self._host.capture.open(workload.namespace, self._name, workload.ports)

    async def close(self, place: Place) -> None:
        await self._host.capture.close(place)

    def application(self, workload: Workload, place: Place, changed: Callable[[], None]) -> Application:
        return ApplicationKeeper(self._host, workload, place, changed)
