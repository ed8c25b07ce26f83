"""The command of `mizzen run` as a child: its end, its signals, and the terminal, which here is a real one."""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import subprocess
import sys
import termios
from collections.abc import Iterator

import pytest

from mizzen.cli.child import Child

ALONE = """
import asyncio, os, signal, sys
from mizzen.cli.child import Child

async def main():
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, lambda: child.end(signal.SIGINT, 30))
    child = Child(["/bin/sh", "-c", sys.argv[1]], os.environ, lambda: None)
    await child.ended.wait()
    print("ended", child.code, os.tcgetpgrp(0) == os.getpgrp(), flush=True)

asyncio.run(main())
"""


async def ended(child: Child) -> int:
    async with asyncio.timeout(20):
        await child.ended.wait()
    return child.code


@pytest.mark.parametrize(("script", "code"), [("exit 0", 0), ("exit 3", 3), ("kill -9 $$", 137), ("kill -HUP $$", 129)])
async def test_its_code_is_that_of_a_shell(script: str, code: int) -> None:
    told: list[bool] = []
    child = Child(["/bin/sh", "-c", script], os.environ, lambda: told.append(True))
    assert await ended(child) == code
    assert told == [True]
    child.send(signal.SIGTERM)  # to nobody


async def test_what_it_leaves_in_its_group_is_killed() -> None:
    reader, writer = os.pipe()
    os.set_inheritable(writer, True)
    child = Child(["/bin/sh", "-c", "sleep 100 & exit 0"], os.environ, lambda: None)
    os.close(writer)
    assert await ended(child) == 0
    with os.fdopen(reader, "rb") as pipe:
        assert await asyncio.wait_for(asyncio.to_thread(pipe.read), 20) == b""


async def test_it_is_killed_when_its_time_is_up() -> None:
    child = Child(["/bin/sh", "-c", "trap '' TERM; while :; do sleep 0.05; done"], os.environ, lambda: None)
    child.end(signal.SIGTERM, 0.3)
    child.end(signal.SIGTERM, 1000)
    assert await ended(child) in {137, 143}  # it may have had no time for its trap


class Terminal:
    """A terminal, and in it a process that has a child for a command."""

    def __init__(self, script: str) -> None:
        self._master, slave = os.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-c", ALONE, script],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509 - no thread of ours runs
        )
        os.close(slave)
        self.shown = ""

    def type(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    def await_shown(self, text: str) -> None:
        """Reads what is shown until the text is there; the test's own time limit ends a wait in vain."""
        while text not in self.shown:
            try:
                self.shown += os.read(self._master, 4096).decode()
            except OSError as error:  # nobody has the terminal any more
                raise AssertionError(f"{text!r} was not shown: {self.shown}") from error

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._master)


@pytest.fixture
def terminals() -> Iterator[list[Terminal]]:
    opened: list[Terminal] = []
    yield opened
    for terminal in opened:
        terminal.close()


@pytest.mark.timeout(30)
def test_ctrl_c_reaches_not_the_command_but_who_ends_it_in_order(terminals: list[Terminal]) -> None:
    terminals.append(terminal := Terminal("trap 'echo told; exit 5' INT; echo on; while :; do sleep 0.05; done"))
    terminal.await_shown("on")
    terminal.type("\x03")
    terminal.await_shown("told")
    terminal.await_shown("ended 5 True")
    assert terminal.process.wait() == 0


@pytest.mark.timeout(30)
def test_a_command_that_reads_from_the_terminal_is_lent_it_and_all_its_keys(terminals: list[Terminal]) -> None:
    terminals.append(terminal := Terminal("read a; echo got $a; read b; echo got $b"))
    terminal.type("first\n")
    terminal.await_shown("got first")
    terminal.type("\x03")
    terminal.await_shown("ended 130 True")


@pytest.mark.timeout(30)
def test_ctrl_z_stops_both_and_fg_lets_both_go_on(terminals: list[Terminal]) -> None:
    terminals.append(terminal := Terminal("read a; echo got $a; read b; echo got $b"))
    terminal.type("first\n")
    terminal.await_shown("got first")
    terminal.type("\x1a")
    _, status = os.waitpid(terminal.process.pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status)
    os.kill(terminal.process.pid, signal.SIGCONT)
    terminal.type("second\n")
    terminal.await_shown("got second")
    terminal.await_shown("ended 0 True")
