"""Stays with one command in the mesh, from its place to its end: the conversation of ``mizzen.node.run_messages``.

The command is this process's child (``child.py``) and the node makes everything around it. Where the node ends and the
command still has its place, on loopback ports of the host, it goes on and joins the next node of the mesh. Elsewhere it
cannot: its network went with the node.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from mizzen.cli.child import Child
from mizzen.cli.executing import check_may_enter
from mizzen.cli.output import Complaint, note
from mizzen.node.backoff import Backoff
from mizzen.node.environment import expand
from mizzen.node.launching import launch_command
from mizzen.node.notifying import VARIABLE, notify
from mizzen.node.ports import Ports
from mizzen.node.run_messages import (
    LONGEST_LINE,
    Again,
    End,
    Ended,
    FromNode,
    Go,
    Gone,
    Leave,
    Link,
    Ready,
    Refused,
    RunPlace,
    Started,
    Told,
    Wish,
)

LOST = 125
"""The exit code where the mesh was not there, or has gone: as that of `docker run` where it is not the command's."""

_ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_PASSED_ON = (signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH)
_DOLLARS = re.compile(r"\$\$(?!\()")
_RETRY = Backoff(first=0.02, longest=0.25, jitter=0.0)
# How long nothing is said of a command that has to wait for its proxy, in seconds.
_PATIENCE = 3.0


@dataclass(frozen=True)
class Errand:
    """What to run: ``mesh`` is the mesh's name, ``socket`` its node's, ``user`` whom to run as, ``grace`` in seconds."""

    mesh: str
    socket: Path
    wish: Wish
    command: tuple[str, ...]
    grace: float
    user: str = ""
    user_env: Mapping[str, str] | None = None


async def accompany(errand: Errand) -> int:
    """Runs the command in the mesh until it has ended; returns its exit code, or :data:`LOST`.

    Raises :class:`Complaint` if it was never started.
    """
    return await _Companion(errand).run()


class _Companion:
    def __init__(self, errand: Errand) -> None:
        self._errand = errand
        self._loop = asyncio.get_running_loop()
        self._link: Link[FromNode] | None = None
        self._child: Child | None = None
        self._place = RunPlace(instance="")
        self._began = 0.0
        self._asked: signal.Signals | None = None
        self._is_lost = False

    async def run(self) -> int:
        with self._signals():
            self._link = await self._connect()
            wish: Wish | None = self._errand.wish
            while wish and self._link:
                is_over = await self._converse(self._link, wish)
                wish = None if is_over else await self._joined_again()
            return await self._result()

    async def _connect(self) -> Link[FromNode]:
        try:
            return await self._connected()
        except OSError as error:
            raise Complaint(
                f"the node of mesh {self._errand.mesh} takes no runs: {self._errand.socket}: {error.strerror}",
                hint="It may be stopping, or of another version of Mizzen: mizzen list; mizzen version",
            ) from error

    async def _connected(self) -> Link[FromNode]:
        return Link(*await asyncio.open_unix_connection(self._errand.socket, limit=LONGEST_LINE), FromNode)

    # --- the conversation

    async def _converse(self, link: Link[FromNode], wish: Wish) -> bool:
        """Says what is wished for and does what is answered; returns whether that was all, or the node has gone."""
        link.send(wish)
        waiting = self._loop.call_later(_PATIENCE, self._say_waiting)
        try:
            while (message := await _received(link)) is not None:
                waiting.cancel()
                if isinstance(message, Gone):
                    return True
                if isinstance(message, Refused):
                    self._refused(message.message)
                    return True
                self._take(message, link)
            return False
        finally:
            waiting.cancel()
            self._link = None
            link.close()

    def _take(self, message: FromNode, link: Link[FromNode]) -> None:
        if isinstance(message, Go):
            self._start(message, link)
        elif isinstance(message, End):
            self._end(message.grace, link)
        elif isinstance(message, Ready):
            notify(os.environ.get(VARIABLE, ""), "READY=1", f"STATUS={self._place.instance} is ready")
        elif isinstance(message, Told):
            _say(message.message)

    def _start(self, go: Go, link: Link[FromNode]) -> None:
        errand, place = self._errand, go.place
        check_may_enter(place.instance, place.netns)
        line = launch_command(
            [_expanded(word, go.env) for word in errand.command],
            netns=place.netns,
            resolv_conf=place.resolv_conf,
            user=errand.user,
            die_with_parent=True,
        )
        env = {**os.environ, **go.env, **(errand.user_env or {})}
        self._place = place
        self._child = Child(line, env, self._child_ended)
        self._began = time.time()
        link.send(Started(self._child.pid))

    def _child_ended(self) -> None:
        if self._link:
            self._link.send(Ended())

    def _end(self, grace: float, link: Link[FromNode]) -> None:
        if self._child is None:
            link.send(Ended())
            return
        if self._asked is None and not self._child.ended.is_set():
            self._lose(f"mesh {self._errand.mesh} stops, and {self._place.instance} with it")
        self._child.end(self._asked or signal.SIGTERM, grace)

    def _refused(self, message: str) -> None:
        if self._child is None:
            raise Complaint(message)
        if not self._child.ended.is_set():
            self._lose(f"{self._place.instance} cannot be in mesh {self._errand.mesh} again: {message}")

    # --- without a node

    async def _joined_again(self) -> Wish | None:
        """Waits for the next node, and returns what to wish for then; None where there is no use in that."""
        child, place = self._child, self._place
        if child is None or child.ended.is_set() or self._asked:
            return None
        if place.netns:
            self._lose(f"the node of mesh {self._errand.mesh} has gone, and the network of {place.instance} with it")
            return None
        _say(
            f"the node of mesh {self._errand.mesh} has gone; the command goes on, and is in the mesh again when it is back"
        )
        ports = Ports()
        try:
            for port in place.taken:
                ports.take_back(port)  # so that nobody else is given it meanwhile
            self._link = await self._next_node(child)
        finally:
            ports.close()
        if self._link is None:
            return None
        again = Again(place=place, pid=child.pid, started=self._began)
        return msgspec.structs.replace(self._errand.wish, again=again)

    async def _next_node(self, child: Child) -> Link[FromNode] | None:
        """Returns the connection to the next node, or None when the command has ended before there was one."""
        failures = 0
        while not child.ended.is_set():
            with contextlib.suppress(OSError):
                return await self._connected()
            failures += 1
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_RETRY.delay(failures, 0.0)):
                    await child.ended.wait()
        return None

    # --- the end

    def _lose(self, why: str) -> None:
        self._is_lost = True
        _say(why)

    async def _result(self) -> int:
        child = self._child
        if child is None:
            if self._asked:
                return 128 + self._asked
            raise Complaint(f"the node of mesh {self._errand.mesh} has ended before the command could be started")
        if not child.ended.is_set():
            child.end(self._asked or signal.SIGTERM, self._errand.grace)
            await child.ended.wait()
        return LOST if self._is_lost else child.code

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        """Handles signals but for those that this process was started to ignore, as by nohup."""
        kept = [number for number in _ENDING if signal.getsignal(number) is not signal.SIG_IGN]
        for number in kept:
            self._loop.add_signal_handler(number, self._end_for, number)
        for number in _PASSED_ON:
            self._loop.add_signal_handler(number, self._pass_on, number)
        try:
            yield
        finally:
            for number in (*kept, *_PASSED_ON):
                self._loop.remove_signal_handler(number)

    def _end_for(self, number: signal.Signals) -> None:
        """Ends in order at the first signal, and at once at the second."""
        if self._asked:
            if self._child:
                self._child.send(signal.SIGKILL)
            if self._link:
                self._link.close()
            return
        self._asked = number
        notify(os.environ.get(VARIABLE, ""), "STOPPING=1")
        if self._link:
            self._link.send(Leave())
        elif self._child:
            self._child.end(number, self._errand.grace)

    def _pass_on(self, number: signal.Signals) -> None:
        if self._child and not self._child.ended.is_set():
            self._child.send(number)

    def _say_waiting(self) -> None:
        _say(f"waiting for the proxy ({self._errand.wish.workload.name}); `mizzen status` says what it waits for")


def _expanded(word: str, env: Mapping[str, str]) -> str:
    """Expands ``$(NAME)`` as in a Workload; unlike there a ``$$`` before anything else stays, as shells know it."""
    return expand(_DOLLARS.sub("$$$$", word), env)


async def _received(link: Link[FromNode]) -> FromNode | None:
    try:
        return await link.receive()
    except msgspec.DecodeError as error:
        raise Complaint(
            f"the node answers in an unknown form: {error}", hint="Restart the mesh: its version differs."
        ) from error


def _say(text: str) -> None:
    note(f"mizzen: {text}")
