"""Refuses calls of addresses that nobody has any more, and breaks connections with them, wherever they begin.

A network that an engine takes away takes nothing back: who is connected to it waits until the kernel has sent everything for
the last time (minutes), who connects until that times out, and no packet says so to either. So both are ended where they
are, in the network namespaces of the callers.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from ipaddress import IPv4Address

import structlog

from mizzen.node.capture import connections, refusals
from mizzen.node.capture.blocking import finished
from mizzen.node.capture.entering import in_each_namespace
from mizzen.node.capture.paths import number_of

log = structlog.get_logger(__name__)

# In each namespace the kernel goes through the connections of the whole host, which takes milliseconds. This is the most
# that all passes together take of a processor, so that those who are to tell the callers have time to do it.
_SHARE = 0.2


class Breaking:
    """``callers`` returns the paths of the namespaces where connections may begin, "" for this process's.

    There nothing is refused: it is not the mesh's alone.
    """

    def __init__(self, callers: Callable[[], Collection[str]]) -> None:
        self._callers = callers
        self._numbers: dict[str, int] = {}
        # By address the namespaces where it is refused, and those where besides nothing of before is left.
        self._refused: dict[IPv4Address, set[str]] = {}
        self._quiet: dict[IPv4Address, set[str]] = {}
        # Who has asked for what is done next.
        self._unwanted: set[IPv4Address] = set()
        self._asked: set[IPv4Address] = set()
        self._refusing, self._passing = asyncio.Lock(), asyncio.Lock()
        self._next = 0.0

    async def break_off(self, address: IPv4Address) -> None:
        """Returns when no connection is left that was there, or was being made, when it was called; raises OSError.

        From its beginning until :meth:`admit` new ones fail at once. Many containers may end at once: one pass through all
        namespaces is for all who ask before it begins.
        """
        await self._refuse(address)
        self._asked.add(address)
        clock = asyncio.get_running_loop().time
        async with self._passing:
            if address in self._asked:
                await asyncio.sleep(self._next - clock())
                spent = await self._pass()
                self._next = clock() + spent * (1 / _SHARE - 1)

    async def admit(self, address: IPv4Address) -> None:
        """Lets the address be called again; nothing if it is."""
        async with self._refusing:
            self._quiet.pop(address, None)
            if paths := self._refused.pop(address, None):
                await finished(lambda: in_each_namespace(paths, lambda _: refusals.admit([address])))

    async def leave(self, path: str) -> None:
        """Returns when nothing is done any more in a namespace that is no caller's now, whose routes are to be removed."""
        async with self._refusing:
            for paths in (*self._refused.values(), *self._quiet.values()):
                paths.discard(path)

    async def _refuse(self, address: IPv4Address) -> None:
        self._unwanted.add(address)
        async with self._refusing:
            if address in self._unwanted:
                unwanted, self._unwanted = self._unwanted, set()
                wanted = _missing(filter(None, self._current()), unwanted, self._refused)
                done = await finished(lambda: _refuse(wanted)) if wanted else set()
                for one in unwanted:
                    self._refused.setdefault(one, set()).update(path for path in done if one in wanted[path])

    def _current(self) -> Collection[str]:
        """Returns the callers of now. One that has got the path of another is told all anew."""
        numbers = {path: _number(path) for path in self._callers()}
        same = {path for path, number in numbers.items() if self._numbers.get(path, number) == number}
        for paths in (*self._refused.values(), *self._quiet.values()):
            paths.intersection_update(same)
        self._numbers = numbers
        return numbers.keys()

    async def _pass(self) -> float:
        """Returns how much of a processor's time it took, in seconds."""
        asked, self._asked = self._asked, set()
        refused = {address: frozenset(self._refused.get(address, ())) for address in asked}
        wanted = _missing(self._current(), asked, self._quiet)
        spent = await finished(lambda: _break_off(wanted)) if wanted else 0.0
        for address in asked & self._refused.keys():
            self._quiet.setdefault(address, set()).update(refused[address] & wanted.keys() & self._refused[address])
        return spent


def _number(path: str) -> int:
    """Returns what tells a namespace from another by the same path, 0 for this process's and for none."""
    try:
        return number_of(path) if path else 0
    except OSError:  # It is gone.
        return 0


def _missing(
    paths: Iterable[str], addresses: Collection[IPv4Address], done: Mapping[IPv4Address, Collection[str]]
) -> dict[str, set[IPv4Address]]:
    """Returns the addresses for which something is not done yet, by the paths where it is to be."""
    missing = {path: {one for one in addresses if path not in done.get(one, ())} for path in paths}
    return {path: left for path, left in missing.items() if left}


def _refuse(wanted: Mapping[str, Collection[IPv4Address]]) -> set[str]:
    """Returns where this is done now; elsewhere connections are broken off again and again."""
    done = set()

    def refuse(path: str) -> None:
        try:
            refusals.refuse(wanted[path])
        except OSError as error:
            log.warning("calls of a container that has ended are not refused", namespace=path, error=str(error))
        else:
            done.add(path)

    in_each_namespace(wanted, refuse)
    return done


def _break_off(wanted: Mapping[str, Collection[IPv4Address]]) -> float:
    """Returns how much of a processor's time it took, in seconds."""
    spent = 0.0

    def break_off(path: str) -> None:
        nonlocal spent
        began = time.thread_time()
        connections.break_off(wanted[path])
        spent += time.thread_time() - began

    in_each_namespace(wanted, break_off)
    return spent
