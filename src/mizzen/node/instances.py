"""The life of one replica, from its place to its end, in the one order in which no caller ever notices it.

    in:   place → certificate → reported → Envoy ready → application starts → probe passes → reported ready
    out:  reported as draining → every proxy has acknowledged → Envoy drains → application ends → Envoy ends

sidecars.py and applications.py keep the two processes running in between; each of their changes is reported.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path

from mizzen.node.applications import ApplicationKeeper
from mizzen.node.capturing import CaptureError, Place
from mizzen.node.events import (
    InstanceCrashed,
    InstanceDraining,
    InstanceReady,
    InstanceStarting,
    InstanceStopped,
)
from mizzen.node.host import Host, StartError
from mizzen.node.sidecars import SidecarKeeper
from mizzen.node.specs import Workload
from mizzen.registry.reports import ExecContext, Instance

# How long to wait for all proxies to acknowledge; one that takes longer is stuck, and the rest must go on.
_ACKNOWLEDGE = 10.0
# Kubernetes gives an application this much although its grace period was spent on draining.
_LEAST_GRACE = 2.0


class InstanceRunner:
    """Runs one instance. ``changed`` is called when :attr:`announced` or :attr:`leaving` changes.

    ``announced`` is True while it is ready and every proxy has been told so (or takes longer than it may).
    """

    def __init__(self, host: Host, workload: Workload, name: str, changed: Callable[[], None]) -> None:
        self._host = host
        self.workload = workload
        self.name = name
        self.announced = False
        self.leaving = False
        self._changed = changed
        self._place: Place | None = None
        self._sidecar: SidecarKeeper | None = None
        self._application: ApplicationKeeper | None = None
        self._message = "waiting for its certificate"
        self._failed = False
        self._ready = False
        self._was_ready = False
        self._began = asyncio.get_running_loop().time()
        self._stop = asyncio.Event()
        self._readiness = asyncio.Event()
        self._proxy_made = asyncio.Event()

    @property
    def ready(self) -> bool:
        return self._ready

    def stop(self) -> None:
        """Begins the way out; :meth:`run` returns at its end."""
        self._stop.set()

    async def run(self) -> None:
        """Runs it until it is stopped; cancelled, it ends both processes without waiting for callers.

        Raises :class:`StartError` while the mesh starts (see :class:`Host`), in an exception group.
        """
        namespace = self.workload.namespace
        self._host.emit(InstanceStarting(namespace, self.name))
        try:
            async with asyncio.TaskGroup() as group:
                announcer = group.create_task(self._announce())
                proxy = group.create_task(self._live_proxy())
                application = group.create_task(self._live_application())
                await self._stop.wait()
                await self._leave(application, proxy)
                announcer.cancel()
        finally:
            self._host.identities.release(namespace, self.name)
            if self._place:
                await self._host.capture.close(self._place)
            self._host.board.remove(namespace, self.name)
        self._host.emit(InstanceStopped(namespace, self.name))

    def adopt(self, workload: Workload) -> None:
        """Takes its workload as it is written now, in the same revision: how it is to be stopped may have changed."""
        if self.leaving:
            return
        self.workload = workload
        if self._application:
            self._application.adopt(workload)

    def refresh(self) -> None:
        """Reports it anew: what it reads from its surroundings (the services) may have changed."""
        self._update()

    async def _live_proxy(self) -> None:
        """Makes the place, gets the certificate, and keeps Envoy in it."""
        self._place = await self._open_place()
        self._update()
        await self._host.identities.hold(self.workload.namespace, self.name, self.workload.spec.service_account)
        self._message = ""
        self._application = ApplicationKeeper(self._host, self.workload, self._place, self._update)
        self._sidecar = SidecarKeeper(self._host, self.workload, self._place, self._update)
        self._update()
        # Envoy would be refused its configuration until the control plane has heard of it.
        await self._host.board.delivered()
        self._proxy_made.set()
        await self._sidecar.keep()

    async def _live_application(self) -> None:
        await self._proxy_made.wait()
        assert self._sidecar
        assert self._application
        await self._sidecar.was_ready.wait()
        await self._application.keep()

    async def _open_place(self) -> Place:
        failures = 0
        while True:
            try:
                return await self._host.capture.open(self.workload.namespace, self.name, self.workload.ports)
            except CaptureError as error:
                if self._host.starting():
                    raise StartError(f"{self.name}: {error}") from error
                failures += 1
                delay = self._host.delay(failures)
                self._host.emit(InstanceCrashed(self.workload.namespace, self.name, str(error), delay))
                self._failed, self._message = True, str(error)
                self._update()
                await asyncio.sleep(delay)

    async def _leave(self, application: asyncio.Task[None], proxy: asyncio.Task[None]) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self.workload.grace
        self.leaving = True
        self._host.emit(InstanceDraining(self.workload.namespace, self.name))
        self._update()
        if self._was_ready:
            await self._withdraw(min(self.workload.grace, _ACKNOWLEDGE))
            if self._sidecar:
                await self._sidecar.drain(max(deadline - loop.time(), 0))
        if self._application:
            self._application.grace = max(deadline - loop.time(), _LEAST_GRACE)
        for task in (application, proxy):
            task.cancel()
            await asyncio.wait([task])

    async def _withdraw(self, longest: float) -> None:
        """Waits until nobody calls it any more. A control plane that is away cannot tell anybody: then time decides."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(longest):
                version = await self._host.board.delivered()
                await self._host.control.acknowledged(version, longest)

    async def _announce(self) -> None:
        """Sets :attr:`announced` when every proxy knows that this instance is ready."""
        while True:
            await self._readiness.wait()
            self._readiness.clear()
            if self._ready:
                version = await self._host.board.delivered()
                await self._host.control.acknowledged(version, _ACKNOWLEDGE)
            if self.announced != self._ready:
                self.announced = self._ready
                self._changed()

    def _update(self) -> None:
        """Takes the state of both processes, and reports it where it has changed."""
        proxy, application = self._sidecar, self._application
        ready = bool(proxy and proxy.ready and application and application.ready and not self.leaving)
        if ready and not self._ready:
            seconds = asyncio.get_running_loop().time() - self._began
            self._host.emit(InstanceReady(self.workload.namespace, self.name, seconds))
        if ready != self._ready:
            self._ready = ready
            self._readiness.set()
        self._was_ready = self._was_ready or ready
        if self._place:
            self._host.board.put(self._state(self._place), self._exec_context(self._place))

    def _phase(self) -> str:
        proxy, application = self._sidecar, self._application
        if self.leaving:
            return "Draining"
        if proxy is None or application is None:
            return "Backoff" if self._failed else "Pending"
        if proxy.waiting or application.waiting:
            return "Backoff"
        return "Running" if proxy.ready and application.pid else "Starting"

    def _state(self, place: Place) -> Instance:
        proxy, application = self._sidecar, self._application
        message = (proxy and proxy.message) or (application and application.message) or self._message
        return Instance(
            name=self.name,
            namespace=self.workload.namespace,
            workload=self.workload.name,
            digest=self.workload.revision.digest,
            phase=self._phase(),
            labels=dict(self.workload.labels),
            service_account=self.workload.spec.service_account,
            ready=self._ready,
            message="" if self._ready else message,
            address=place.address,
            capture=place.capture,
            ports=place.ports,
            outbound=self._host.capture.outbound(place),
            http_proxy=place.http_proxy,
            admin=str(proxy.admin_socket) if proxy else "",
            pid=application.pid if application else 0,
            proxy_pid=proxy.pid if proxy else 0,
            restarts=application.restarts if application else 0,
            proxy_restarts=proxy.restarts if proxy else 0,
            started=application.started if application else 0.0,
        )

    def _exec_context(self, place: Place) -> ExecContext | None:
        if self._application is None:
            return None
        return ExecContext(
            instance=self.name,
            namespace=self.workload.namespace,
            env=self._application.env,
            working_dir=self.workload.spec.working_dir or str(Path.cwd()),
            netns=place.netns,
            resolv_conf=place.resolv_conf,
        )
