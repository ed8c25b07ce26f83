"""Breaks connections with addresses that nobody has any more, wherever they begin.

A network that an engine takes away takes nothing back: who is connected to it waits until the kernel has sent everything for
the last time (minutes), who connects until that times out, and no packet says so to either. So their connections are broken
where they are, in the network namespaces of the callers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from ipaddress import IPv4Address

from mizzen.node.capture import connections
from mizzen.node.capture.blocking import finished
from mizzen.node.capture.entering import in_each_namespace


class Breaking:
    """``callers`` returns the paths of the namespaces where connections may begin, "" for this process's."""

    def __init__(self, callers: Callable[[], Collection[str]]) -> None:
        self._callers = callers
        self._asked: set[IPv4Address] = set()
        self._passing = asyncio.Lock()

    async def break_off(self, address: IPv4Address) -> None:
        """Returns when no connection is left that was there, or was being made, when it was called; raises OSError.

        Many containers may end at once: one pass through all namespaces is for all who ask before it begins.
        """
        self._asked.add(address)
        async with self._passing:
            if address in self._asked:
                asked, self._asked = self._asked, set()
                callers = self._callers()
                await finished(lambda: in_each_namespace(callers, lambda: connections.break_off(asked)))
