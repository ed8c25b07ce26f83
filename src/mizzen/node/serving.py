"""The proxies of one instance: the one that serves it, and the change from one kind to the other without a gap.

A sidecar and a seat of the node's proxy listen on the same ports of the same place, side by side (SO_REUSEPORT). So the
new one is made ready first. Then the old one closes its listeners, which leaves what they have not accepted to the new one's,
asks with each response to move, and goes when what is in flight on it has ended.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager

from mizzen.latest import Latest
from mizzen.node.envoy import DRAIN_SECONDS
from mizzen.node.envoys import InstanceProxy

# How long requests on the old proxy may take to end, in seconds. What its clients have not moved by then is closed by Envoy,
# before its clusters go: a connection that outlived them would find nothing.
_LONGEST_CHANGE = DRAIN_SECONDS + 2.0


class Serving:
    """``make`` makes a proxy of a kind. ``changed`` is called after each change; ``acknowledged`` returns when all proxies
    know of it, or after that many seconds. ``handing_over`` is the place's. ``was_ready`` is set when any proxy is ready for
    the first time: the first that is made may be replaced before. ``closing`` is the id of the proxy that is to go, or "".
    """

    def __init__(
        self,
        make: Callable[[str, Callable[[], None]], InstanceProxy],
        changed: Callable[[], None],
        acknowledged: Callable[[float], Awaitable[None]],
        handing_over: Callable[[], AbstractAsyncContextManager[None]],
    ) -> None:
        self._make = make
        self._changed = changed
        self._acknowledged = acknowledged
        self._handing_over = handing_over
        self._all: list[InstanceProxy] = []
        self._kind = ""
        self.current: InstanceProxy | None = None
        self.closing = ""
        self._has_closed = False
        self.was_ready = asyncio.Event()

    @property
    def ids(self) -> tuple[str, ...]:
        """The proxies that serve it now, by their ids; the one that is to go comes first."""
        return tuple(proxy.id for proxy in self._all)

    def settled(self, kind: str) -> bool:
        """Whether a proxy of this kind is ready, and what another one has is only what was begun before."""
        others = [proxy for proxy in self._all if proxy is not self.current]
        ready = self.current is not None and self.current.ready
        return self._kind == kind and ready and (not others or self._has_closed)

    @property
    def ready(self) -> bool:
        return any(proxy.ready for proxy in self._all)

    async def keep(self, kinds: Latest[str]) -> None:
        """Serves with a proxy of the latest kind until this is cancelled; raises what the proxies' keepers raise."""
        async with asyncio.TaskGroup() as group:
            task = None
            async for wanted in kinds:
                if wanted == self._kind:
                    continue
                proxy = self._make(wanted, self._proxy_changed)
                self._all.append(proxy)
                self.current = self.current or proxy
                self._changed()
                started = group.create_task(proxy.keep())
                if task is not None:
                    await proxy.was_ready.wait()
                    old, self.current, self._kind = self.current, proxy, wanted
                    await self._retire(old, task)
                self._kind, task = wanted, started
                self._changed()

    def _proxy_changed(self) -> None:
        if any(proxy.was_ready.is_set() for proxy in self._all):
            self.was_ready.set()
        self._changed()

    def kill(self) -> None:
        """Ends what serves this instance alone, at once."""
        for proxy in self._all:
            proxy.kill()

    async def _retire(self, proxy: InstanceProxy, task: asyncio.Task[None]) -> None:
        async with self._handing_over():
            self.close(proxy)
            await self._acknowledged(_LONGEST_CHANGE)
            self._has_closed = True
            self._changed()
            await proxy.drain(_LONGEST_CHANGE, outbound=True, idle=True)
        task.cancel()
        await asyncio.wait([task])
        self._all.remove(proxy)
        self.closing, self._has_closed = "", False

    def close(self, proxy: InstanceProxy) -> None:
        """Has a proxy take nothing new, and ask with each response to move to another connection."""
        self.closing = proxy.id
        self._changed()
