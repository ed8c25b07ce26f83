"""The load generator: a process of its own that sends HTTP/1.1 requests and times the answers, as a rule in an open loop.

It is a loop over ``select`` on plain sockets and nothing more, because it shares the machine with what it measures.
Arrivals are Poisson, as those of many independent clients are; a generator that sends in even intervals or in bursts
measures its own rhythm. Latency counts from the time at which a request was due, not from when it could be sent, so
that a slow answer does not hide the wait of those behind it.

The ways that are compared take turns of some fifty requests, a tenth of a second, in an order that is drawn anew each
time, over connections that stay open: what disturbs the machine for longer than that disturbs them all alike.

``python -m bench.load`` reads a :class:`Task` as JSON from standard input and writes a :class:`Result` to standard output.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import json
import os
import random
import select
import socket
import sys
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from mizzen.node.capture.entering import in_namespace

_TIMEOUT_NS = 5_000_000_000
_END = b"\r\n\r\n"
_LENGTH = b"content-length: "
_SET_TIMER_SLACK = 29  # PR_SET_TIMERSLACK of linux/prctl.h
_FIRST_NS = 1_000_000


@dataclass(frozen=True)
class Target:
    """Where a way begins: an address, in the network namespace of a path or in this one.

    ``gid`` is the group as which the client connects there; capture leaves that of Envoy alone.
    """

    name: str
    host: str
    port: int
    netns: str = ""
    gid: int | None = None


@dataclass(frozen=True)
class Task:
    """In each round each target gets ``turns`` turns of ``requests`` requests, of which the first ``warmup`` do not count.

    ``rate`` is in requests a second, over all ``connections`` of a target; with 0 the loop is closed: each request is due
    when the one before it has been answered, and one connection is enough.
    """

    targets: list[Target]
    authority: str
    rate: float
    connections: int
    rounds: int
    turns: int
    requests: int
    warmup: int
    seed: int = 1


@dataclass
class Result:
    """``latencies`` are in microseconds: by target, then by round.

    ``late`` is how late requests went out, at the median in microseconds; ``cpu`` is what a request cost the generator, in
    seconds.
    """

    latencies: dict[str, list[list[int]]] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    late: float = 0.0
    cpu: float = 0.0


class Connection:
    """One keep-alive connection, with at most one request on the way."""

    def __init__(self, target: Target) -> None:
        self.socket = _connect(target)
        self.due = 0
        self.counts = False
        self._received = b""

    def fileno(self) -> int:
        return self.socket.fileno()

    def send(self, request: bytes, due: int, *, counts: bool) -> None:
        self.due, self.counts, self._received = due, counts, b""
        self.socket.sendall(request)

    def receive(self) -> bytes:
        """Returns the answer once it is whole, until then nothing. Raises OSError."""
        data = self.socket.recv(65536)
        if not data:
            raise ConnectionResetError("closed before the answer was whole")
        self._received += data
        head = self._received.find(_END)
        if head < 0:
            return b""
        at = self._received.lower().find(_LENGTH, 0, head)
        if at < 0:
            raise ConnectionResetError("an answer without content-length")
        length = int(self._received[at + len(_LENGTH) :].split(b"\r", 1)[0])
        return self._received if len(self._received) == head + len(_END) + length else b""


def _connect(target: Target) -> socket.socket:
    def connect() -> socket.socket:
        if target.gid is not None:
            ctypes.CDLL(None).setfsgid(target.gid)  # of this thread, which ends with this
        made = socket.create_connection((target.host, target.port), timeout=5)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return made

    if not target.netns:
        return connect()
    with Path(target.netns).open("rb") as namespace:
        return in_namespace(namespace.fileno(), connect)


class Way:
    """One target with its connections; it sends when it is its turn."""

    def __init__(self, target: Target, task: Task) -> None:
        self.target = target
        self.latencies: list[int] = []
        self.failures: list[str] = []
        self.late: list[int] = []
        self._task = task
        self._request = f"GET / HTTP/1.1\r\nhost: {task.authority}\r\nuser-agent: bench\r\n\r\n".encode()
        self._idle = [Connection(target) for _ in range(task.connections)]
        self._busy: list[Connection] = []
        self._waiting: deque[tuple[int, bool]] = deque()

    def turn(self, chance: random.Random) -> None:
        """Sends one turn's requests, and returns when all are answered."""
        if not self._task.rate:
            self._closed_turn()
            return
        number, total = 0, self._task.requests
        due = time.monotonic_ns() + _FIRST_NS
        while number < total or self._busy:
            now = time.monotonic_ns()
            while number < total and due <= now:
                self._waiting.append((due, number >= self._task.warmup))
                number += 1
                due += int(chance.expovariate(self._task.rate) * 1e9)
            while self._waiting and self._idle:
                self._send(*self._waiting.popleft())
            self._await((due - time.monotonic_ns()) / 1e9 if number < total else 1.0)

    def _closed_turn(self) -> None:
        for number in range(self._task.requests):
            self._send(time.monotonic_ns(), number >= self._task.warmup)
            while self._busy:
                self._await(1.0)

    def close(self) -> None:
        for connection in [*self._idle, *self._busy]:
            connection.socket.close()

    def _send(self, due: int, counts: bool) -> None:
        connection = self._idle.pop()
        connection.send(self._request, due, counts=counts)
        self.late.append((time.monotonic_ns() - due) // 1000)
        self._busy.append(connection)

    def _await(self, seconds: float) -> None:
        ready, _, _ = select.select(self._busy, [], [], max(0.0, seconds))
        for connection in ready:
            try:
                answer = connection.receive()
            except OSError as error:
                self._fail(connection, str(error))
                continue
            if answer:
                self._answered(connection, answer)
        if not ready:
            limit = time.monotonic_ns() - _TIMEOUT_NS
            for connection in [one for one in self._busy if one.due < limit]:
                self._fail(connection, "no answer in time")

    def _answered(self, connection: Connection, answer: bytes) -> None:
        microseconds = (time.monotonic_ns() - connection.due) // 1000
        self._busy.remove(connection)
        self._idle.append(connection)
        if not answer.startswith(b"HTTP/1.1 200 "):
            self.failures.append(f"{self.target.name}: {answer[:60].decode(errors='replace')}")
        elif connection.counts:
            self.latencies.append(microseconds)

    def _fail(self, connection: Connection, message: str) -> None:
        self.failures.append(f"{self.target.name}: {message}")
        connection.socket.close()
        self._busy.remove(connection)
        self._idle.append(Connection(self.target))


def run(task: Task) -> Result:
    """Sends what the task says. Raises OSError if a target cannot be reached."""
    result = Result(latencies={target.name: [] for target in task.targets})
    chance = random.Random(task.seed)
    with _ways(task) as ways:
        cpu = time.process_time()
        for _ in range(task.rounds):
            for _ in range(task.turns):
                for way in chance.sample(ways, len(ways)):
                    way.turn(chance)
            for way in ways:
                result.latencies[way.target.name].append(way.latencies)
                way.latencies = []
        sent = sorted(late for way in ways for late in way.late)
        result.cpu = (time.process_time() - cpu) / len(sent)
        result.late = sent[len(sent) // 2]
        result.failures = [failure for way in ways for failure in way.failures]
    return result


@contextlib.contextmanager
def _ways(task: Task) -> Iterator[list[Way]]:
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(contextlib.closing(Way(target, task))) for target in task.targets]


def _be_punctual() -> None:
    """Sleeps end when they should: not when it suits the kernel's timers, nor when others have had their share."""
    ctypes.CDLL(None).prctl(_SET_TIMER_SLACK, 1, 0, 0, 0)
    with contextlib.suppress(PermissionError):  # whoever is not root waits for others
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))


def main() -> None:
    fields = json.load(sys.stdin)
    targets = [Target(**target) for target in fields.pop("targets")]
    if sys.platform == "linux":
        _be_punctual()
    gc.disable()
    json.dump(asdict(run(Task(targets=targets, **fields))), sys.stdout)


if __name__ == "__main__":
    main()
