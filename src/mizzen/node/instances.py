"""The life of one replica, from its place to its end, in the one order in which no caller ever notices it.

    in:   place → reported, certificate → proxy ready → application starts → probe passes → reported ready
    out:  reported as draining → every proxy has acknowledged → proxy drains → application ends → proxy ends

serving.py keeps its proxy in between, and what its runtime gives keeps its application; their changes are reported.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from msgspec import structs

from mizzen.latest import Latest
from mizzen.node import gateways
from mizzen.node.capturing import CaptureError, Place, TakenError
from mizzen.node.envoys import InstanceProxy, sidecar
from mizzen.node.events import (
    InstanceCrashed,
    InstanceDraining,
    InstanceReady,
    InstanceStarting,
    InstanceStopped,
)
from mizzen.node.host import Host, StartError
from mizzen.node.node_proxy import NodeProxy, SeatKeeper
from mizzen.node.runtimes import Application, Runtime
from mizzen.node.serving import Serving
from mizzen.node.specs import Workload
from mizzen.registry.membership import OUTSIDE
from mizzen.registry.reports import ExecContext, Instance

# How long to wait for all proxies to acknowledge; one that takes longer is stuck, and the rest must go on.
_ACKNOWLEDGE = 10.0
# Kubernetes gives an application this much although its grace period was spent on draining.
_LEAST_GRACE = 2.0
_UNCERTIFIED = "waiting for its certificate"


class InstanceRunner:
    """Runs one instance. ``changed`` is called when one of the public attributes changes.

    ``announced`` is True while it is ready and every proxy has been told so (or takes longer than it may). ``taken_by``
    names the mesh that has its place, and is "" where none has.
    """

    def __init__(
        self,
        host: Host,
        workload: Workload,
        name: str,
        changed: Callable[[], None],
        runtime: Runtime,
        node_proxy: NodeProxy,
    ) -> None:
        self._host = host
        self.workload = workload
        self.name = name
        self._uid = secrets.token_hex(8)
        self._runtime = runtime
        self._node_proxy = node_proxy
        self.announced = False
        self.leaving = False
        self.taken_by = ""
        self._changed = changed
        self._place: Place | None = None
        self._application: Application | None = None
        self._serving = Serving(self._make_proxy, self._update, self._host.acknowledged, self._handing_over)
        self._kind = Latest(self._wanted_kind(workload))
        self._message = _UNCERTIFIED
        self._certified = False
        self._failed = False
        self._is_gone = False
        self._has_left = False
        self._standing = (False, "")
        self._gateway = gateways.GatewayState(host, name)
        self._ready = False
        self._was_ready = False
        self._began = asyncio.get_running_loop().time()
        self._stop = asyncio.Event()
        self._readiness = asyncio.Event()

    @property
    def ready(self) -> bool:
        return self._ready

    @property
    def settled(self) -> bool:
        """Whether a proxy of the right kind serves it both ways and, if the application is ready, all proxies know."""
        captured = self._application is not None and self._application.captured
        return captured and self._serving.settled(self._kind.get()) and self.announced == self._ready

    @property
    def goes_on(self) -> bool:
        """Whether its application is called past its proxy, and is there when the instance has ended."""
        return self._application is not None and self._application.bypassed and not self._is_gone

    @property
    def message(self) -> str:
        """What is wrong, or ""."""
        proxy, application = self._serving.current, self._application
        return (proxy and proxy.message) or (application and application.message) or self._message

    def stop(self) -> None:
        """Begins the way out; :meth:`run` returns at its end."""
        self._stop.set()

    def stop_gone(self) -> None:
        """The same for one whose application has ended already: nothing is in flight that could end well.

        Its engine is about to take its network away, and then callers are not told any more that their connections have
        ended. So what serves it alone ends at once.
        """
        if not self._stop.is_set():
            self._is_gone = True
            self._stop.set()
            self._serving.kill()

    async def run(self) -> None:
        """Runs it until it is stopped; cancelled, it ends both processes without waiting for callers.

        Raises :class:`StartError` while the mesh starts (see :class:`Host`), in an exception group.
        """
        namespace = self.workload.namespace
        self._host.emit(InstanceStarting(namespace, self.name))
        self._host.identities.files.follow((namespace, self.name), self._update)
        try:
            async with asyncio.TaskGroup() as group:
                announcer = group.create_task(self._announce())
                proxy = group.create_task(self._live_proxy())
                application = group.create_task(self._live_application())
                await self._stop.wait()
                await self._leave(application, proxy)
                self._has_left = True
                announcer.cancel()
        finally:
            await self._vanish()
        self._host.emit(InstanceStopped(namespace, self.name))

    def adopt(self, workload: Workload) -> None:
        """Takes its workload as it is written now, in the same revision: how it is to be stopped may have changed."""
        if self.leaving:
            return
        self.workload = workload
        if self._application:
            self._application.adopt(workload)
        if (kind := self._wanted_kind(workload)) != self._kind.get():
            self._kind.set(kind)
        self._update()

    def refresh(self) -> None:
        """Reports it anew: what it reads from its surroundings (the services) may have changed."""
        self._update()

    async def _live_proxy(self) -> None:
        """Makes the place, gets the certificate, and keeps the proxy."""
        self._place = await self._open_place()
        self._application = self._runtime.application(self.workload, self._place, self._update)
        self._update()
        async with asyncio.TaskGroup() as group:
            # An Envoy takes a while to start, and is not ready before it has both its certificate and its configuration.
            group.create_task(self._hold_certificate())
            group.create_task(self._serving.keep(self._kind))

    async def _hold_certificate(self) -> None:
        await self._host.identities.hold(self.workload.namespace, self.name, self.workload.spec.service_account)
        self._message, self._certified = "", True
        self._update()

    async def _live_application(self) -> None:
        await self._serving.was_ready.wait()
        assert self._application
        await self._application.keep()

    def _wanted_kind(self, workload: Workload) -> str:
        return gateways.KIND if workload.spec.gateway else workload.spec.proxy or self._host.settings.proxy

    def _make_proxy(self, kind: str, changed: Callable[[], None]) -> InstanceProxy:
        assert self._place
        if kind == "node":
            return SeatKeeper(self._node_proxy, self._place, changed)
        if kind == gateways.KIND:
            return gateways.proxy(self._host, self.workload, self._place, self._uid, changed)
        return sidecar(self._host, self.workload, self._place, self._uid, changed)

    def _handing_over(self) -> AbstractAsyncContextManager[None]:
        assert self._place, "there is a proxy in it"
        return self._place.handing_over()

    async def _vanish(self) -> None:
        """Gives the place back, when no proxy has anything open in it any more."""
        namespace = self.workload.namespace
        if self._node_proxy.keeper.id in self._serving.ids and self._has_left:
            self._take_leave()
            await self._host.acknowledged(_ACKNOWLEDGE)
        self._host.identities.release(namespace, self.name)
        self._host.identities.files.forget((namespace, self.name))
        if self._place:
            await self._runtime.close(self._place)
        self._take_leave()

    def _take_leave(self) -> None:
        """Reports that it is no instance of the mesh any more: gone, or there without a proxy."""
        if self._place and self.goes_on:
            self._host.board.put(
                structs.replace(self._state(self._place), capture=OUTSIDE, proxies=(), closing=""), None
            )
        else:
            self._host.board.remove(self.workload.namespace, self.name)

    async def _open_place(self) -> Place:
        failures = 0
        while True:
            try:
                place = await self._open_right_place()
            except CaptureError as error:
                failures += 1
                delay = self._host.delay(failures)
                self._tell_no_place(error, delay)
                await asyncio.sleep(delay)
            else:
                self.taken_by, self._message = "", _UNCERTIFIED
                return place

    def _tell_no_place(self, error: CaptureError, delay: float) -> None:
        """Says why there is no place; that another mesh has it, members.py says once for all."""
        self.taken_by = error.mesh if isinstance(error, TakenError) else ""
        if not self.taken_by:
            if self._host.starting():
                raise StartError(f"{self.name}: {error}") from error
            self._host.emit(InstanceCrashed(self.workload.namespace, self.name, str(error), delay))
        self._failed, self._message = True, str(error)
        self._update()

    async def _open_right_place(self) -> Place:
        """Raises :class:`CaptureError` for a place that cannot be made, or in which the wanted proxy cannot serve."""
        place = await self._runtime.open(self.workload)
        if self._kind.get() == "node" and not place.netns:
            await self._runtime.close(place)
            raise CaptureError(
                "a node proxy needs transparent capture, and capture is explicit: use sidecars (`proxy: sidecar`)"
            )
        return place

    async def _leave(self, application: asyncio.Task[None], proxy: asyncio.Task[None]) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self.workload.grace
        self.leaving = True
        self._host.emit(InstanceDraining(self.workload.namespace, self.name))
        self._update()
        if self._was_ready and not self._is_gone:
            await self._host.acknowledged(min(self.workload.grace, _ACKNOWLEDGE))
            await self._part(deadline)
        if self._application:
            self._application.grace = max(deadline - loop.time(), _LEAST_GRACE)
        application.cancel()
        if not self._is_gone:
            await asyncio.wait([application])
        proxy.cancel()
        await asyncio.wait([proxy])
        if self._is_gone:
            # It goes on until all proxies know of its end, and without this its own would be waited for, too.
            self._update()
            await asyncio.wait([application])

    async def _part(self, deadline: float) -> None:
        """Lets what is in flight on its proxy end; who goes on without one is called without one from now on."""
        assert self._application
        await self._application.part()
        if proxy := self._serving.current:
            if self.goes_on:
                self._serving.close(proxy)
            await proxy.drain(max(deadline - asyncio.get_running_loop().time(), 0), outbound=self.goes_on)

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
        application = self._application
        served = self._serving.ready and application and not application.bypassed
        ready = bool(served and application and application.ready and not self.leaving)
        if ready and not self._ready:
            seconds = asyncio.get_running_loop().time() - self._began
            self._host.emit(InstanceReady(self.workload.namespace, self.name, seconds))
        if ready != self._ready:
            self._ready = ready
            self._readiness.set()
        self._was_ready = self._was_ready or ready
        if self._place:
            self._host.board.put(self._state(self._place), self._exec_context(self._place))
        if (standing := (self.settled, self.message)) != self._standing:
            self._standing = standing
            self._changed()

    def _phase(self) -> str:
        proxy, application = self._serving.current, self._application
        if self.leaving:
            return "Draining"
        if proxy is None or application is None or not self._certified:
            return "Backoff" if self._failed else "Pending"
        if proxy.waiting or application.waiting:
            return "Backoff"
        return "Running" if proxy.ready and (application.pid or application.ready) else "Starting"

    def _state(self, place: Place) -> Instance:
        proxy, application = self._serving.current, self._application
        gateway = self.workload.spec.gateway is not None
        problem = self._host.identities.files.problem((self.workload.namespace, self.name))
        return Instance(
            name=self.name,
            namespace=self.workload.namespace,
            uid=self._uid,
            workload=self.workload.name,
            digest=self.workload.revision.digest,
            phase=self._phase(),
            labels=dict(self.workload.labels),
            service_account=self.workload.spec.service_account,
            ready=self._ready,
            message=problem if self._ready else self.message,
            address=place.address,
            capture=place.capture,
            ports=place.ports,
            outbound=() if gateway else self._host.capture.outbound(place),
            http_proxy=place.http_proxy,
            admin=str(proxy.admin_socket) if proxy else "",
            pid=application.pid if application else 0,
            proxy_pid=proxy.pid if proxy else 0,
            restarts=application.restarts if application else 0,
            proxy_restarts=proxy.restarts if proxy else 0,
            started=application.started if application else 0.0,
            proxies=self._serving.ids,
            closing=self._serving.closing,
            bypassed=bool(application and application.ready and self.goes_on),
            netns=place.netns,
            networks=place.networks,
            gateways=place.gateways,
            gateway=gateway,
            sockets=self._gateway.sockets(self.workload) if gateway else (),
            locality=str(self._host.locality(self.workload.labels)),
            started_with=proxy.started_with if proxy else None,
            mesh_address=self._gateway.called_at(self.workload) if gateway else "",
        )

    def _exec_context(self, place: Place) -> ExecContext | None:
        if self._application is None or self.workload.spec.gateway:
            return None
        return ExecContext(
            instance=self.name,
            namespace=self.workload.namespace,
            env=dict(self._application.env),
            working_dir=self.workload.spec.working_dir or str(Path.cwd()),
            netns=place.netns,
            resolv_conf=place.resolv_conf,
        )
