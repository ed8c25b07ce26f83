"""Probes: whether an application is ready, and whether it is alive, with Kubernetes' meaning of all fields.

:class:`Tally` is the pure part: answers in, verdicts out. The rest asks: over HTTP, TCP, or by a command, always the
application itself and from inside its place, never through its sidecar.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mizzen.node import processes
from mizzen.node.capturing import Place
from mizzen.node.leftovers import Records
from mizzen.node.output import Output
from mizzen.node.ports import LOOPBACK
from mizzen.node.processes import Command

_LONGEST_STATUS_LINE = 4096


@dataclass(frozen=True)
class Rule:
    """When to ask, and how many answers in a row count; times in seconds. The defaults are Kubernetes'."""

    initial_delay: float = 0.0
    period: float = 10.0
    timeout: float = 1.0
    success_threshold: int = 1
    failure_threshold: int = 3


@dataclass(frozen=True)
class Answer:
    """One answer; ``message`` says what was wrong, or is "" ."""

    ok: bool
    message: str = ""


class Tally:
    """Turns answers into a verdict, which changes after a threshold of equal answers in a row.

    Readiness begins as failed and liveness as passed. While a verdict has never been a success and the last answer was
    no success either, ``hurry`` (seconds) shortens the wait, so that an application that needs 0.4 s is not found
    ready after 10.
    """

    def __init__(self, rule: Rule, *, passed: bool, hurry: float | None = None) -> None:
        self.passed = passed
        self._rule = rule
        self._hurry = hurry
        self._streak = 0
        self._last: bool | None = None

    @property
    def wait(self) -> float:
        """How long to wait before the next question."""
        if self._hurry is None or self.passed or self._last:
            return self._rule.period
        return min(self._hurry, self._rule.period)

    def add(self, answer: bool) -> bool:
        """Takes an answer; returns whether the verdict has changed by it."""
        self._streak = self._streak + 1 if answer is self._last else 1
        self._last = answer
        threshold = self._rule.success_threshold if answer else self._rule.failure_threshold
        if answer is self.passed or self._streak < threshold:
            return False
        self.passed = answer
        self._hurry = None
        return True


@dataclass(frozen=True)
class HttpGet:
    port: int
    path: str = "/"
    host: str = LOOPBACK
    tls: bool = False
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class TcpSocket:
    port: int
    host: str = LOOPBACK


@dataclass(frozen=True)
class Exec:
    command: tuple[str, ...]


@dataclass(frozen=True)
class Probe:
    action: HttpGet | TcpSocket | Exec
    rule: Rule = Rule()


@dataclass(frozen=True)
class Surroundings:
    """Where a probe is asked from: the place, and for commands what the application has too."""

    place: Place
    records: Records
    env: Mapping[str, str] = field(default_factory=dict)
    working_dir: str = ""


Report = Callable[[bool, str], Awaitable[None]]


async def watch(probe: Probe, around: Surroundings, tally: Tally, report: Report) -> None:
    """Asks for ever; awaits ``report(passed, message)`` whenever the verdict changes."""
    await asyncio.sleep(probe.rule.initial_delay)
    while True:
        answer = await ask(probe, around)
        if tally.add(answer.ok):
            await report(tally.passed, answer.message)
        await asyncio.sleep(tally.wait)


async def ask(probe: Probe, around: Surroundings) -> Answer:
    """Asks once; never raises for what the application does or fails to do."""
    try:
        async with asyncio.timeout(probe.rule.timeout):
            match probe.action:
                case HttpGet():
                    return await _http_get(probe.action, around.place)
                case TcpSocket():
                    return await _tcp_socket(probe.action, around.place)
                case Exec():
                    return await _exec(probe.action, around)
    except TimeoutError:
        return Answer(False, f"{describe(probe.action)}: no answer within {probe.rule.timeout:g} s")
    except (OSError, EOFError, ValueError) as error:
        reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
        return Answer(False, f"{describe(probe.action)}: {reason}")


def describe(action: HttpGet | TcpSocket | Exec) -> str:
    match action:
        case HttpGet():
            return f"GET http{'s' if action.tls else ''}://{action.host}:{action.port}{action.path}"
        case TcpSocket():
            return f"connecting to port {action.port}"
        case Exec():
            return f"command {' '.join(action.command)}"


async def _connect(host: str, port: int, place: Place) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    made = place.new_socket()
    try:
        await asyncio.get_running_loop().sock_connect(made, (host, port))
        return await asyncio.open_connection(sock=made, limit=_LONGEST_STATUS_LINE)
    except BaseException:
        made.close()
        raise


async def _tcp_socket(action: TcpSocket, place: Place) -> Answer:
    with place.new_socket() as made:
        await asyncio.get_running_loop().sock_connect(made, (action.host, action.port))
    return Answer(True)


async def _http_get(action: HttpGet, place: Place) -> Answer:
    """Any status from 200 to 399 passes, as in Kubernetes; certificates are not checked, also as there."""
    reader, writer = await _connect(action.host, action.port, place)
    try:
        if action.tls:
            context = ssl.create_default_context()
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            await writer.start_tls(context)
        headers = {"host": f"{action.host}:{action.port}", "user-agent": "mizzen-probe", "accept": "*/*"}
        headers |= {name.lower(): value for name, value in action.headers} | {"connection": "close"}
        lines = [f"GET {action.path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
        writer.write("\r\n".join(lines).encode())
        status = await reader.readline()
        code = int(status.split()[1]) if status.startswith(b"HTTP/1.") and len(status.split()) > 1 else 0
    finally:
        writer.transport.abort()
    if 200 <= code < 400:
        return Answer(True)
    return Answer(False, f"{describe(action)}: " + (f"status {code}" if code else "the answer is not HTTP/1.1"))


async def _exec(action: Exec, around: Surroundings) -> Answer:
    place = around.place
    command = Command(action.command, around.env, around.working_dir, place.netns, place.resolv_conf)
    output = Output(Path(os.devnull))
    process = await processes.start(command, output, around.records)
    try:
        end = await process.wait()
    finally:
        if process.running:
            await process.stop(0)
    if end.code == 0:
        return Answer(True)
    last = output.tail[-1:] if not end.complaint else []
    return Answer(False, ": ".join([describe(action), str(end), *last]))
