"""Whether an application is ready: asks its readiness probe, and explains one that has had the time and never was."""

from __future__ import annotations

import asyncio
import errno
import os

from mizzen.node import probes, specs
from mizzen.node.probes import Answer, Probe, Report, Surroundings, Tally

# How long nothing is said of an application that has never been ready; most need less.
_PATIENCE = 5.0


async def watch(probe: Probe, around: Surroundings, report: Report) -> None:
    """Asks for ever; awaits ``report(ready, message)`` whenever that changes, and once when it is long in coming."""
    tally = Tally(probe.rule, passed=False, hurry=specs.hurry(probe))
    async with asyncio.TaskGroup() as group:
        group.create_task(probes.watch(probe, around, tally, report))
        group.create_task(_complain(probe, around, tally, report))


async def _complain(probe: Probe, around: Surroundings, tally: Tally, report: Report) -> None:
    """Says why an application is not ready that has had the time for it: the usual reason is another port."""
    await asyncio.sleep(probe.rule.initial_delay + _PATIENCE)
    if tally.passed:
        return
    answer = await probes.ask(probe, around)
    if not answer.ok and not tally.passed:
        await report(False, f"{answer.message}{_hint(answer)}")


def _hint(answer: Answer) -> str:
    refused = os.strerror(errno.ECONNREFUSED) in answer.message
    return " (does the application listen on $(PORT), which it also has as the variable PORT?)" if refused else ""
