"""The parent of a detached node: starts it again when a signal has ended it for which nobody has asked.

Run as ``python -I -S supervise.py COMMAND...``, so it needs the standard library alone and is so small that whoever looks
for memory looks elsewhere. What the user must mend (exit codes) and what somebody has asked for (SIGTERM and the like, to
the node or to this process, which passes it on) ends both. If this process is killed, the node goes on without it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from types import FrameType

_ASKING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
# A node that lives for less is a failure in a row of failures, which must not go on for ever.
_STABLE = 10.0
_MOST = 5
_LONGEST_DELAY = 4.0


class Supervisor:
    """``command`` begins with the path of a program."""

    def __init__(self, command: list[str]) -> None:
        self._command = command
        self._child = 0
        self._asked = False

    def run(self) -> int:
        """Returns the exit code of the last child: as a shell has it, 1 after too many in a row."""
        failures = 0
        for number in _ASKING:
            signal.signal(number, self._pass_on)
        while True:
            began = time.monotonic()
            status = self._run_once()
            if self._asked or not os.WIFSIGNALED(status) or os.WTERMSIG(status) in _ASKING:
                return 128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
            name = signal.Signals(os.WTERMSIG(status)).name
            failures = 1 if time.monotonic() - began >= _STABLE else failures + 1
            if failures == _MOST:
                _say(f"the node was killed {failures} times in a row, at last by {name}, and is not started again")
                return 1
            _say(f"the node was killed by {name}; it is started again")
            time.sleep(delay(failures))

    def _run_once(self) -> int:
        # A signal that comes before the child is known could not be passed on.
        signal.pthread_sigmask(signal.SIG_BLOCK, _ASKING)
        try:
            self._child = os.posix_spawn(self._command[0], self._command, os.environ, setsigmask=())
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _ASKING)
        _, status = os.waitpid(self._child, 0)
        self._child = 0
        return status

    def _pass_on(self, number: int, _frame: FrameType | None) -> None:
        if not self._child:
            sys.exit(0)  # The node has been killed, and now it is not wanted any more.
        self._asked = True
        with contextlib.suppress(ProcessLookupError):  # It has just ended.
            os.kill(self._child, number)


def delay(failures: int) -> float:
    """Returns how many seconds to wait after that many failures in a row; the first is mended at once."""
    return min(2.0 ** (failures - 2), _LONGEST_DELAY) if failures > 1 else 0.0


def _say(line: str) -> None:
    sys.stderr.write(f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} [warning  ] {line}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(Supervisor(sys.argv[1:]).run())
