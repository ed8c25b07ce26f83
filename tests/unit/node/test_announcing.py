from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from mizzen.node.announcing import Board
from mizzen.registry.reports import ExecContext, Instance, Report


def instance(name: str, phase: str = "Running") -> Instance:
    return Instance(name=name, namespace="default", workload="web", digest="1", phase=phase)


CONTEXT = ExecContext(instance="web-0", namespace="default", env={}, working_dir="/")


class Receiver:
    """Takes reports; while ``gate`` is clear it keeps the sender waiting."""

    def __init__(self) -> None:
        self.reports: list[Report] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self, report: Report) -> int:
        self.reports.append(report)
        await self.gate.wait()
        return 100 + len(self.reports)

    def phases(self) -> list[dict[str, str]]:
        return [{item.name: item.phase for item in report.instances} for report in self.reports]


@asynccontextmanager
async def running(receiver: Receiver) -> AsyncIterator[Board]:
    board = Board("node", receiver)
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        task = group.create_task(board.run())
        yield board
        task.cancel()


async def test_the_first_report_comes_unasked() -> None:
    receiver = Receiver()
    async with running(receiver) as board:
        assert await board.delivered() == 101
    assert receiver.reports == [Report(node="node")]


async def test_a_change_is_delivered_with_its_version() -> None:
    receiver = Receiver()
    async with running(receiver) as board:
        board.put(instance("web-0"), CONTEXT)
        assert await board.delivered() == 101
        board.remove("default", "web-0")
        assert await board.delivered() == 102
    assert receiver.reports[0].exec_contexts == (CONTEXT,)
    assert receiver.reports[1] == Report(node="node")


async def test_changes_on_the_way_go_together_into_the_next_report() -> None:
    receiver = Receiver()
    async with running(receiver) as board:
        await board.delivered()
        receiver.gate.clear()
        board.put(instance("web-0", "Pending"))
        while len(receiver.reports) < 2:
            await asyncio.sleep(0)
        for phase in ("Starting", "Running"):
            board.put(instance("web-0", phase))
        board.put(instance("web-1", "Pending"))
        receiver.gate.set()
        assert await board.delivered() == 103
    assert receiver.phases() == [{}, {"web-0": "Pending"}, {"web-0": "Running", "web-1": "Pending"}]


async def test_what_is_the_same_is_not_sent_again_unless_told() -> None:
    receiver = Receiver()
    async with running(receiver) as board:
        board.put(instance("web-0"))
        await board.delivered()
        board.put(instance("web-0"))
        board.remove("default", "unknown")
        assert await board.delivered() == 101
        board.resend()
        assert await board.delivered() == 102
    assert receiver.phases() == [{"web-0": "Running"}] * 2
