from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mizzen.node.capturing import Place
from mizzen.node.leftovers import Records
from mizzen.node.probes import Exec, HttpGet, Probe, Rule, Surroundings, Tally, TcpSocket, ask, watch

PLACE = Place(namespace="default", instance="web-0", capture="explicit", address="127.0.0.1")


@pytest.fixture
def around(tmp_path: Path) -> Surroundings:
    return Surroundings(PLACE, Records(tmp_path), {"PATH": "/bin:/usr/bin", "A": "1"}, str(tmp_path))


@contextlib.asynccontextmanager
async def serving(answer: bytes | None, seen: list[bytes] | None = None) -> AsyncIterator[int]:
    """A server that gives one answer, or never answers if it is None."""

    closed = asyncio.Event()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError):
            request = await reader.readuntil(b"\r\n\r\n")
            if seen is not None:
                seen.append(request)
            if answer is None:
                await reader.read()
            else:
                writer.write(answer)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
        closed.set()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]
        await closed.wait()


def unused_port() -> int:
    with socket.socket() as made:
        made.bind(("127.0.0.1", 0))
        port: int = made.getsockname()[1]
        return port


@pytest.mark.parametrize(
    ("rule", "passed", "answers", "verdicts"),
    [
        (Rule(), False, "+", "+"),
        (Rule(), True, "---", "++-"),
        (Rule(), True, "--+---", "+++++-"),
        (Rule(success_threshold=2), False, "+-++", "---+"),
        (Rule(failure_threshold=1), True, "-+-", "-+-"),
        (Rule(), False, "-----+", "-----+"),
    ],
)
def test_verdicts_change_after_a_threshold(rule: Rule, passed: bool, answers: str, verdicts: str) -> None:
    tally = Tally(rule, passed=passed)
    for answer, verdict in zip(answers, verdicts, strict=True):
        before = tally.passed
        assert tally.add(answer == "+") is (before is not tally.passed)
        assert tally.passed is (verdict == "+")


@given(st.lists(st.booleans()), st.integers(1, 4), st.integers(1, 4))
def test_a_verdict_is_what_the_last_threshold_of_answers_say(answers: list[bool], success: int, failure: int) -> None:
    tally = Tally(Rule(success_threshold=success, failure_threshold=failure), passed=False)
    expected = False
    for index, answer in enumerate(answers):
        tally.add(answer)
        count = success if answer else failure
        if answers[max(index + 1 - count, 0) : index + 1] == [answer] * count:
            expected = answer
        assert tally.passed is expected


def test_it_hurries_until_the_first_success_alone() -> None:
    tally = Tally(Rule(period=10, success_threshold=2), passed=False, hurry=0.05)
    waits = [tally.wait]
    for answer in (False, True, False, True, True, False, False, False):
        tally.add(answer)
        waits.append(tally.wait)
    assert waits == [0.05, 0.05, 10, 0.05, 10, 10, 10, 10, 10]
    assert not tally.passed
    assert Tally(Rule(period=0.01), passed=False, hurry=0.05).wait == 0.01
    assert Tally(Rule(), passed=True).wait == 10


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", ""),
        (b"HTTP/1.0 204 No Content\r\n\r\n", ""),
        (b"HTTP/1.1 302 Found\r\nlocation: /x\r\n\r\n", ""),
        (b"HTTP/1.1 503 No\r\n\r\n", "GET http://127.0.0.1:PORT/health?x=1: status 503"),
        (b"HTTP/1.1 404\r\n\r\n", "GET http://127.0.0.1:PORT/health?x=1: status 404"),
        (b"", "GET http://127.0.0.1:PORT/health?x=1: the answer is not HTTP/1.1"),
        (b"SSH-2.0-x\r\n", "GET http://127.0.0.1:PORT/health?x=1: the answer is not HTTP/1.1"),
        (b"HTTP/1.1 abc\r\n", "GET http://127.0.0.1:PORT/health?x=1: invalid literal for int() with base 10: b'abc'"),
    ],
)
async def test_http(around: Surroundings, answer: bytes, message: str) -> None:
    seen: list[bytes] = []
    async with serving(answer, seen) as port:
        action = HttpGet(port, "/health?x=1", headers=(("X-A", "1"), ("Host", "web")))
        got = await ask(Probe(action), around)
    assert got.message == message.replace("PORT", str(port))
    assert got.ok is (message == "")
    lines = seen[0].decode().split("\r\n")
    assert lines[0] == "GET /health?x=1 HTTP/1.1"
    assert {"host: web", "x-a: 1", "connection: close"} <= set(lines)


async def test_no_answer_in_time(around: Surroundings) -> None:
    async with serving(None) as port:
        got = await ask(Probe(HttpGet(port), Rule(timeout=0.05)), around)
    assert got.message == f"GET http://127.0.0.1:{port}/: no answer within 0.05 s"


async def test_https_without_a_certificate_to_check(around: Surroundings) -> None:
    async with serving(b"HTTP/1.1 200 OK\r\n\r\n") as port:
        got = await ask(Probe(HttpGet(port, tls=True)), around)
    assert not got.ok
    assert got.message.startswith(f"GET https://127.0.0.1:{port}/: ")


async def test_tcp(around: Surroundings) -> None:
    async with serving(b"") as port:
        assert (await ask(Probe(TcpSocket(port)), around)).ok
    port = unused_port()
    got = await ask(Probe(TcpSocket(port)), around)
    assert (got.ok, got.message) == (False, f"connecting to port {port}: Connection refused")


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("test $A = 1", ""),
        ("exit 3", "command sh -c exit 3: exit code 3"),
        ("echo not yet; exit 1", "command sh -c echo not yet; exit 1: exit code 1: not yet"),
    ],
)
async def test_commands(around: Surroundings, script: str, message: str) -> None:
    got = await ask(Probe(Exec(("sh", "-c", script)), Rule(timeout=10)), around)
    assert (got.ok, got.message) == (message == "", message)


async def test_a_command_that_does_not_exist(around: Surroundings) -> None:
    got = await ask(Probe(Exec(("no-such-command",)), Rule(timeout=10)), around)
    assert got.message.startswith("command no-such-command: command not found: no-such-command")


async def test_a_command_that_takes_too_long_is_ended(around: Surroundings, tmp_path: Path) -> None:
    got = await ask(Probe(Exec(("sleep", "100")), Rule(timeout=0.1)), around)
    assert got.message == "command sleep 100: no answer within 0.1 s"
    assert list(tmp_path.iterdir()) == []  # no process is recorded any more


async def test_changes_are_reported_and_only_changes(around: Surroundings) -> None:
    reports: list[tuple[bool, str]] = []
    changed = asyncio.Event()

    async def report(passed: bool, message: str) -> None:
        reports.append((passed, message))
        changed.set()

    rule = Rule(period=0.01, failure_threshold=2)
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        async with serving(b"HTTP/1.1 200 OK\r\n\r\n") as port:
            tally = Tally(rule, passed=False)
            task = group.create_task(watch(Probe(HttpGet(port), rule), around, tally, report))
            await changed.wait()
            changed.clear()
        await changed.wait()
        task.cancel()
    assert [passed for passed, _ in reports] == [True, False]
    assert reports[1][1] == f"GET http://127.0.0.1:{port}/: Connection refused"
