from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from mizzen.node import processes
from mizzen.node.leftovers import Records
from mizzen.node.output import Output
from mizzen.node.process_table import start_time
from mizzen.node.processes import Command, Exit, Process


@pytest.fixture
def records(tmp_path: Path) -> Records:
    return Records(tmp_path / "children")


@pytest.fixture
def output(tmp_path: Path) -> Output:
    return Output(tmp_path / "out.log")


async def shell(script: str, output: Output, records: Records) -> Process:
    return await processes.start(Command(["sh", "-c", script]), output, records)


async def said(output: Output, line: str) -> None:
    async with asyncio.timeout(10):
        while line not in output.tail:
            await asyncio.sleep(0.005)


async def test_output_and_exit_code(output: Output, records: Records) -> None:
    process = await shell("echo out; echo err >&2; exit 3", output, records)
    end = await process.wait()
    assert (end.code, str(end), end.complaint) == (3, "exit code 3", None)
    assert output.path.read_text() == "out\nerr\n"
    assert process.tail == ["out", "err"]
    assert not process.running
    assert await process.wait() is end
    assert (await process.stop(1)).code == 3


@pytest.mark.parametrize(("end", "text"), [(Exit(-9, 0), "killed by SIGKILL"), (Exit(-250, 0), "killed by signal 250")])
def test_signals_are_named(end: Exit, text: str) -> None:
    assert str(end) == text


async def test_a_command_that_does_not_exist(output: Output, records: Records) -> None:
    process = await processes.start(Command(["/no/such/command"]), output, records)
    end = await process.wait()
    assert end.complaint == str(end) == "command not found: /no/such/command"


async def test_stopping_asks_first(output: Output, records: Records) -> None:
    process = await shell("trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.01; done", output, records)
    await said(output, "up")
    end = await process.stop(10)
    assert end.code == 0
    assert output.tail[-1] == "bye"


async def test_what_does_not_end_in_time_is_killed(output: Output, records: Records) -> None:
    process = await shell("trap '' TERM; echo up; while :; do sleep 0.01; done", output, records)
    await said(output, "up")
    assert (await process.stop(0.05)).code == -signal.SIGKILL


async def test_cancelling_a_stop_kills_at_once(output: Output, records: Records) -> None:
    process = await shell("trap '' TERM; echo up; while :; do sleep 0.01; done", output, records)
    await said(output, "up")
    async with asyncio.timeout(10):
        async with asyncio.TaskGroup() as group:
            task = group.create_task(process.stop(1000))
            await asyncio.sleep(0)
            task.cancel()
        assert (await process.wait()).code == -signal.SIGKILL


async def test_children_of_the_child_end_with_it(output: Output, records: Records) -> None:
    process = await shell("sleep 100 & echo $!", output, records)
    await process.wait()
    grandchild = int(output.tail[0])
    async with asyncio.timeout(10):
        while start_time(grandchild) is not None:
            await asyncio.sleep(0.005)


async def test_a_grandchild_that_keeps_the_output_open_delays_nothing_for_long(
    output: Output, records: Records
) -> None:
    escape = "import os, time; os.setsid(); print(os.getpid(), flush=True); time.sleep(100)"
    process = await shell(f"python3 -c '{escape}' & while :; do sleep 0.01; done", output, records)
    async with asyncio.timeout(10):
        while not output.tail:
            await asyncio.sleep(0.005)
        process.signal(signal.SIGKILL)
        await process.wait()
    os.kill(int(output.tail[0]), signal.SIGKILL)


async def test_a_child_is_recorded_while_it_runs(output: Output, records: Records, tmp_path: Path) -> None:
    process = await shell("sleep 100", output, records)
    assert [file.name for file in (tmp_path / "children").iterdir()] == [str(process.pid)]
    await process.stop(0)
    assert list((tmp_path / "children").iterdir()) == []


async def test_it_has_a_session_of_its_own_and_no_input(output: Output, records: Records) -> None:
    process = await shell("cat; ps -o sid= -p $$", output, records)
    await process.wait()
    assert int(output.tail[-1]) == process.pid


async def test_environment_and_folder(output: Output, records: Records, tmp_path: Path) -> None:
    command = Command(["sh", "-c", "echo $A; pwd"], {"A": "1", "PATH": os.environ["PATH"]}, str(tmp_path))
    await (await processes.start(command, output, records)).wait()
    assert output.tail[0] == "1"
    assert Path(output.tail[1]).resolve() == tmp_path.resolve()
