"""Keeps the control plane's process running, and says so.

Its end disturbs nobody: proxies and applications go on with what they have. A control plane that ends before it has
ever answered cannot work with what it was given (a mistake in a file, a damaged database), and then the mesh ends.
"""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Awaitable, Callable, Sequence

from mizzen.node import processes
from mizzen.node.backoff import Backoff
from mizzen.node.events import ControlCrashed, ControlStarted, Event
from mizzen.node.host import StartError
from mizzen.node.leftovers import Records
from mizzen.node.output import Output
from mizzen.node.processes import Command, Process
from mizzen.settings import Settings

_BACKOFF = Backoff(first=0.1, longest=10.0)
_GRACE = 5.0
_UP_INTERVAL = 0.02
# A line of the log, in either of its formats: a date or a JSON object.
_LOG_LINE = re.compile(r"\x1b?\[?\d*m?\d{4}-\d\d-\d\d[T ]|\{")


class ControlKeeper:
    """``up`` asks the control plane whether it answers; ``command`` stands in for it in tests.

    ``told`` is set when the first has been told of: what it says comes after that.
    """

    def __init__(
        self,
        settings: Settings,
        records: Records,
        emit: Callable[[Event], None],
        up: Callable[[], Awaitable[bool]],
        command: Sequence[str] = (),
    ) -> None:
        # -P: a folder "mizzen" where the user happens to be must not be taken for the package.
        line = command or (sys.executable, "-P", "-m", "mizzen.control", "--settings", settings.to_json())
        self._command = Command(line)
        self._records = records
        self._emit = emit
        self._up = up
        self._output = Output(settings.control_log)
        self.told = asyncio.Event()

    async def keep(self) -> None:
        """Keeps it until this is cancelled, and ends it then; raises :class:`StartError` if it never comes up."""
        failures = restarts = 0
        while True:
            process = await processes.start(self._command, self._output, self._records)
            try:
                await self._wait_up(process, restarts)
                end = await process.wait()
            finally:
                await process.stop(_GRACE)
            if not self.told.is_set():
                message = last_message(process.tail) or str(end)
                raise StartError(message if end.code == 1 else f"the control plane does not start: {message}")
            failures = _BACKOFF.failures(failures, end.ran)
            restarts += 1
            delay = _BACKOFF.delay(failures, 0.0)
            self._emit(ControlCrashed(str(end), delay))
            await asyncio.sleep(delay)

    async def _wait_up(self, process: Process, restarts: int) -> None:
        """Returns when it answers or has ended."""
        while process.running:
            if await self._up():
                self._emit(ControlStarted(process.pid, restarts))
                self.told.set()
                return
            await asyncio.sleep(_UP_INTERVAL)


def last_message(tail: Sequence[str]) -> str:
    """Returns what the control plane said to the user before it ended: its last lines after those of its log.

    Of a traceback, which is a bug of ours and no message for a user, only the last line.
    """
    message: list[str] = []
    for line in reversed(tail):
        if _LOG_LINE.match(line):
            break
        message.insert(0, line)
    if any("Traceback (most recent call last)" in line for line in message):
        return f"the control plane has crashed ({message[-1].strip()}); this is a bug, logs/control.log has the rest"
    return "\n".join(message).strip()
