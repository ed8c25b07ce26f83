"""One child process: start it, keep its output, wait for its end, stop it with all that it started.

Every child leads a session and process group of its own, so a Ctrl-C on the terminal reaches the node alone, and the
group can be ended as a whole. Children start through launch.py and die with the node.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mizzen.node.launching import complaint, launch_command
from mizzen.node.leftovers import Records
from mizzen.node.output import Output

# A grandchild that left the group may hold the pipe open for ever; this long its last words are waited for.
_LAST_WORDS = 0.5


@dataclass(frozen=True)
class Command:
    """What to start: the command line, its whole environment, where, and as which group (see launch_command)."""

    line: Sequence[str]
    env: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    working_dir: str = ""
    netns: str = ""
    resolv_conf: str = ""
    gid: int | None = None


@dataclass(frozen=True)
class Exit:
    """How a process ended: with an exit code, or by a signal (then ``code`` is its negative, as Python has it).

    ``complaint`` says why the command could not even be started, or is None. ``ran`` is in seconds.
    """

    code: int
    ran: float
    complaint: str | None = None

    def __str__(self) -> str:
        if self.complaint:
            return self.complaint
        if self.code >= 0:
            return f"exit code {self.code}"
        try:
            return f"killed by {signal.Signals(-self.code).name}"
        except ValueError:
            return f"killed by signal {-self.code}"


class _Protocol(asyncio.SubprocessProtocol):
    def __init__(self, output: Output) -> None:
        loop = asyncio.get_running_loop()
        self._output = output
        self.exited: asyncio.Future[None] = loop.create_future()
        self.silent: asyncio.Future[None] = loop.create_future()

    def pipe_data_received(self, fd: int, data: bytes) -> None:  # noqa: ARG002 - asyncio's signature
        self._output.write(data)

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:  # noqa: ARG002
        if fd == 1:
            self.silent.set_result(None)

    def process_exited(self) -> None:
        self.exited.set_result(None)


class Process:
    """A running child. Use :func:`start`; whoever starts one waits for it or stops it."""

    def __init__(
        self, transport: asyncio.SubprocessTransport, protocol: _Protocol, output: Output, records: Records
    ) -> None:
        self._transport = transport
        self._protocol = protocol
        self._output = output
        self._records = records
        self._began = time.monotonic()
        self._exit: Exit | None = None
        self.pid = transport.get_pid()

    @property
    def running(self) -> bool:
        return not self._protocol.exited.done()

    @property
    def tail(self) -> list[str]:
        """The last lines of its output."""
        return self._output.tail

    async def wait(self) -> Exit:
        """Waits until it has ended, its last output is kept, and nothing of its process group is left."""
        await asyncio.shield(self._protocol.exited)
        if self._exit is None:
            ran = time.monotonic() - self._began
            self.signal(signal.SIGKILL)
            await asyncio.wait([self._protocol.silent], timeout=_LAST_WORDS)
            self._transport.close()
            self._records.remove(self.pid)
            code = self._transport.get_returncode()
            assert code is not None
            self._exit = Exit(code, ran, complaint(code, self._output.tail))
            self._output.close()
        return self._exit

    async def stop(self, grace: float) -> Exit:
        """Asks its group to end (SIGTERM), kills it after ``grace`` seconds, or at once if this is cancelled."""
        try:
            if self.running:
                self.signal(signal.SIGTERM)
                await asyncio.wait([self._protocol.exited], timeout=grace)
        finally:
            if self.running:
                self.signal(signal.SIGKILL)
            end = await self.wait()
        return end

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal to its whole process group; one that is gone is no error."""
        with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS: EPERM for a group of zombies
            os.killpg(self.pid, number)


async def start(command: Command, output: Output, records: Records) -> Process:
    """Starts a command. Whether it exists shows when it ends: :attr:`Exit.complaint`.

    Raises OSError where the system starts no process at all (too many, no memory).
    """
    line = launch_command(
        command.line,
        netns=command.netns,
        resolv_conf=command.resolv_conf,
        gid=command.gid,
        working_dir=command.working_dir,
        die_with_parent=True,
    )
    output.fresh()
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.subprocess_exec(
        lambda: _Protocol(output),
        *line,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=dict(command.env),
        start_new_session=True,
    )
    process = Process(transport, protocol, output, records)
    records.add(process.pid)
    return process
