"""Applications that crash, hang or do not start, in virtual time; test_processes.py has real ones."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.node.played import Stage, pause, workload

from mizzen.node.applications import ApplicationKeeper
from mizzen.node.capturing import Place
from mizzen.node.events import InstanceCrashed, InstanceNotReady
from mizzen.node.host import StartError
from mizzen.node.probes import Answer
from mizzen.registry.reports import InstancePort

pytestmark = pytest.mark.looptime

PLACE = Place(
    "default", "web-0", "explicit", "127.0.0.1", (InstancePort(number=9080, application=20001, inbound=20002),)
)
ALIVE = {"exec": {"command": ["check"]}, "periodSeconds": 10, "failureThreshold": 2}


def nothing() -> None:
    pass


def keeper(stage: Stage, **spec: Any) -> ApplicationKeeper:
    return ApplicationKeeper(stage.host, workload(**spec), PLACE, nothing)


async def test_it_starts_with_its_port_in_the_command_and_the_environment(stage: Stage) -> None:
    application = keeper(stage, command=["serve", "$(PORT)", "$(NAME)"], env=[{"name": "NAME", "value": "web"}])
    async with stage.running(application.keep()):
        await pause()
        assert list(stage.applications[0].command.line) == ["serve", "20001", "web"]
        assert stage.applications[0].command.env["PORT"] == "20001"
        assert (application.ready, application.pid) == (True, 2000)
        assert application.started > 0


@pytest.mark.parametrize(
    ("code", "tail", "message"),
    [(3, [], "exit code 3"), (0, [], "exit code 0"), (1, ["Traceback", "Boom", " "], "exit code 1: Boom")],
)
async def test_it_starts_again_however_it_ended(stage: Stage, code: int, tail: list[str], message: str) -> None:
    application = keeper(stage)
    async with stage.running(application.keep()):
        await pause()
        stage.applications[0].end(code, *tail)
        await pause()
        assert (application.waiting, application.ready, application.pid) == (True, False, 0)
        assert application.message == message
        await pause(0.2)
        assert (application.waiting, application.ready, application.restarts) == (False, True, 1)
    assert stage.told(InstanceCrashed) == [InstanceCrashed("default", "web-0", message, 0.2)]


async def test_it_waits_longer_after_each_crash_and_forgets_them_when_it_has_run_for_a_while(stage: Stage) -> None:
    application = keeper(stage)
    async with stage.running(application.keep()):
        for run in (0, 1, 2):
            await pause(10)
            stage.applications[run].end(1)
        await pause(60)
        stage.applications[3].end(1)
        await pause(1)
        assert application.restarts == 4
    assert [event.delay for event in stage.told(InstanceCrashed)] == [0.2, 0.4, 0.8, 0.2]


async def test_a_command_that_does_not_exist_ends_the_start_of_a_mesh(stage: Stage) -> None:
    stage.starting = True

    async def start() -> None:
        async with stage.running(keeper(stage).keep()):
            await pause()
            stage.applications[0].end(127, complaint="command not found: serve")
            await pause()

    with pytest.raises(ExceptionGroup) as raised:
        await start()
    assert raised.group_contains(StartError, match="Workload default/web: command not found: serve")


async def test_a_command_that_does_not_exist_any_more_is_tried_again(stage: Stage) -> None:
    application = keeper(stage)
    async with stage.running(application.keep()):
        await pause()
        stage.applications[0].end(127, "noise", complaint="command not found: serve")
        await pause(1)
        assert application.ready
    assert [event.message for event in stage.told(InstanceCrashed)] == ["command not found: serve"]


async def test_a_crash_while_the_mesh_starts_is_tried_again_too(stage: Stage) -> None:
    stage.starting = True
    application = keeper(stage)
    async with stage.running(application.keep()):
        await pause()
        stage.applications[0].end(1, "the database is not there yet")
        await pause(1)
        assert application.ready


@pytest.mark.parametrize("error", [OSError("no process left"), ValueError("embedded null byte")])
async def test_a_system_that_starts_no_process_is_asked_again(stage: Stage, error: Exception) -> None:
    stage.applications_refused = [error]
    application = keeper(stage)
    async with stage.running(application.keep()):
        await pause()
        assert application.message == f"cannot start a process: {error}"
        await pause(1)
        assert application.ready


async def test_it_is_not_ready_before_its_probe_passes_nor_after_it_fails(stage: Stage) -> None:
    stage.answer = Answer(False, "status 503")
    probe = {"httpGet": {"port": 9080}, "periodSeconds": 10, "failureThreshold": 2}
    application = keeper(stage, readinessProbe=probe)
    async with stage.running(application.keep()):
        await pause(1)
        assert (application.ready, application.message) == (False, "waiting for GET http://127.0.0.1:20001/")
        assert stage.told(InstanceNotReady) == []
        stage.answer = Answer(True)
        await pause(1)
        assert (application.ready, application.message) == (True, "")
        stage.answer = Answer(False, "status 503")
        await pause(15)
        assert application.ready
        await pause(10)
        assert (application.ready, application.message) == (False, "status 503")
    assert [event.message for event in stage.told(InstanceNotReady)] == ["status 503"]
    assert len(stage.applications) == 1


@pytest.mark.parametrize(
    ("message", "hinted"),
    [("connecting to port 20001: Connection refused", True), ("GET http://127.0.0.1:20001/: status 404", False)],
)
async def test_one_that_is_not_ready_for_long_is_told_of(stage: Stage, message: str, hinted: bool) -> None:
    stage.answer = Answer(False, message)
    application = keeper(stage)
    async with stage.running(application.keep()):
        await pause(4)
        assert stage.told(InstanceNotReady) == []
        await pause(2)
        assert application.message.startswith(message)
        assert ("$(PORT)" in application.message) is hinted
    assert [event.message for event in stage.told(InstanceNotReady)] == [application.message]


async def test_one_that_hangs_is_ended_with_its_grace_and_starts_again(stage: Stage) -> None:
    application = keeper(stage, ports=[], livenessProbe=ALIVE, terminationGracePeriodSeconds=7)
    async with stage.running(application.keep()):
        await pause(15)
        assert application.ready
        stage.answer = Answer(False, "command check: exit code 1")
        await pause(10)
        assert len(stage.applications) == 1
        await pause(10)
        stage.answer = Answer(True)
        await pause(1)
        assert stage.applications[0].graces == [7.0]
        assert (len(stage.applications), application.ready, application.restarts) == (2, True, 1)
    message = "the liveness probe failed: command check: exit code 1"
    assert [event.message for event in stage.told(InstanceCrashed)] == [message]


@pytest.mark.parametrize(("grace", "given"), [(1, 1.0), (30, 3.0)])
async def test_cancelled_it_gives_the_application_a_short_grace(stage: Stage, grace: int, given: float) -> None:
    application = keeper(stage, terminationGracePeriodSeconds=grace)
    async with stage.running(application.keep()) as task:
        await pause()
        task.cancel()
    assert stage.applications[0].graces == [given]
    assert not application.ready


async def test_cancelled_it_gives_the_application_the_grace_that_it_was_told(stage: Stage) -> None:
    application = keeper(stage)
    async with stage.running(application.keep()) as task:
        await pause()
        application.grace = 12.5
        task.cancel()
    assert stage.applications[0].graces == [12.5]
