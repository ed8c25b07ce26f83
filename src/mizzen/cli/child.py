"""The command of `mizzen run`: a child with the standard streams of this process and a process group of its own.

The group is its own so that Ctrl-C reaches `mizzen run` alone, which then ends it in order. The terminal is lent to it
when it asks: when it reads from the terminal, or changes how that works, the kernel stops it, and we see that. From
then on the terminal's keys are its own, as those of any command of a shell.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Mapping, Sequence

_TERMINAL = 0
_WANTS_TERMINAL = (signal.SIGTTIN, signal.SIGTTOU)


class Child:
    """Starts it at once, in the main thread; ``on_end`` is called when it has ended, and ``code`` is there then: its
    exit code as a shell has it, 128 and the number of the signal that ended it.

    Whatever of its group is left when it has ended is killed.
    """

    def __init__(self, line: Sequence[str], env: Mapping[str, str], on_end: Callable[[], None]) -> None:
        self._on_end = on_end
        self._loop = asyncio.get_running_loop()
        self._killing: asyncio.TimerHandle | None = None
        self._stopped = False
        self._lent = False
        self.code = 0
        self.ended = asyncio.Event()
        self._loop.add_signal_handler(signal.SIGCHLD, self._look)
        self._loop.add_signal_handler(signal.SIGCONT, self._go_on)
        self.pid = os.posix_spawn(line[0], list(line), dict(env), setpgroup=0)

    def send(self, number: signal.Signals) -> None:
        """Sends a signal to all of its group."""
        with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS: EPERM for a group of zombies
            os.killpg(self.pid, number)

    def end(self, number: signal.Signals, grace: float) -> None:
        """Asks it to end with a signal, and kills it after ``grace`` seconds."""
        if self.ended.is_set() or self._killing:
            return
        self.send(number)
        self.send(signal.SIGCONT)
        self._killing = self._loop.call_later(grace, self.send, signal.SIGKILL)

    def _look(self) -> None:
        """Takes what has become of it."""
        while not self.ended.is_set():
            pid, status = os.waitpid(self.pid, os.WNOHANG | os.WUNTRACED)
            if not pid:
                return
            if os.WIFSTOPPED(status):
                self._take_stop(os.WSTOPSIG(status))
            else:
                self._take_end(status)

    def _take_end(self, status: int) -> None:
        code = os.waitstatus_to_exitcode(status)
        self.code = code if code >= 0 else 128 - code
        self.send(signal.SIGKILL)
        self._take_terminal()
        if self._killing:
            self._killing.cancel()
        for number in (signal.SIGCHLD, signal.SIGCONT):
            self._loop.remove_signal_handler(number)
        self.ended.set()
        self._on_end()

    def _take_stop(self, number: int) -> None:
        wants_terminal = number in _WANTS_TERMINAL
        if not (wants_terminal or self._lent):
            return  # By somebody who will also let it go on.
        self._stopped = True
        if wants_terminal and _in_foreground(os.getpgrp()):
            self._go_on()
            return
        # Its user has stopped it from the keyboard, or it runs in the background: so does the job that it is all of.
        self._take_terminal()
        os.kill(os.getpid(), signal.SIGSTOP)

    def _go_on(self) -> None:
        if self._stopped:
            self._stopped = False
            if _in_foreground(os.getpgrp()):
                _give_terminal(self.pid)
                self._lent = True
            self.send(signal.SIGCONT)

    def _take_terminal(self) -> None:
        if self._lent and _in_foreground(self.pid):
            _give_terminal(os.getpgrp())
        self._lent = False


def _in_foreground(group: int) -> bool:
    try:
        return os.tcgetpgrp(_TERMINAL) == group
    except OSError:  # standard input is no terminal, or not this session's
        return False


def _give_terminal(group: int) -> None:
    # Who gives the terminal from the background is stopped by this signal otherwise.
    before = signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    try:
        with contextlib.suppress(OSError):
            os.tcsetpgrp(_TERMINAL, group)
    finally:
        signal.signal(signal.SIGTTOU, before)
