"""Breaks connections with addresses that nobody has any more, wherever they begin.

A network that an engine takes away takes nothing back: who is connected to it waits until the kernel has sent everything for
the last time (minutes), who connects until that times out, and no packet says so to either. So their connections are broken
where they are, in the network namespaces of the callers.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection
from ipaddress import IPv4Address

from mizzen.node.capture import connections
from mizzen.node.capture.blocking import finished
from mizzen.node.capture.entering import in_each_namespace

# In each namespace the kernel goes through the connections of the whole host, which takes milliseconds. This is the most
# that all passes together take of a processor, so that those who are to tell the callers have time to do it.
_SHARE = 0.2


class Breaking:
    """``callers`` returns the paths of the namespaces where connections may begin, "" for this process's."""

    def __init__(self, callers: Callable[[], Collection[str]]) -> None:
        self._callers = callers
        self._asked: set[IPv4Address] = set()
        self._passing = asyncio.Lock()
        self._next = 0.0

    async def break_off(self, address: IPv4Address) -> None:
        """Returns when no connection is left that was there, or was being made, when it was called; raises OSError.

        Many containers may end at once: one pass through all namespaces is for all who ask before it begins.
        """
        self._asked.add(address)
        clock = asyncio.get_running_loop().time
        async with self._passing:
            if address in self._asked:
                await asyncio.sleep(self._next - clock())
                asked, self._asked = self._asked, set()
                callers = self._callers()
                spent = await finished(lambda: _pass(callers, asked))
                self._next = clock() + spent * (1 / _SHARE - 1)


def _pass(callers: Collection[str], peers: Collection[IPv4Address]) -> float:
    """Returns how much of a processor's time it took, in seconds."""
    spent = 0.0

    def break_off() -> None:
        nonlocal spent
        began = time.thread_time()
        connections.break_off(peers)
        spent += time.thread_time() - began

    in_each_namespace(callers, break_off)
    return spent
