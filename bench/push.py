"""From a change of a route to the last acknowledgement: a real control plane, and a hundred real delta streams.

The clock starts when the request to apply the change is sent, and stops when the last proxy has written its
acknowledgement; and again when the control plane answers that all have it, which is what ``mizzen apply`` waits for.
"""

from __future__ import annotations

import contextlib
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx2
import msgspec

from bench.ending import ended
from bench.spread import percentile
from bench.usage import cpu_seconds, memory
from bench.waiting import eventually
from bench.worlds import World
from mizzen.settings import Settings

_PROCESSES = 2
_TIMEOUT = 60


@dataclass(frozen=True)
class Plan:
    """``pause`` is the longest pause between two changes, in seconds."""

    proxies: int = 100
    changes: int = 200
    pause: float = 0.1


QUICK = Plan(proxies=10, changes=5)


@dataclass(frozen=True)
class Control:
    """A control plane that runs."""

    settings: Settings
    pid: int
    client: httpx2.Client

    def apply(self, *texts: str) -> int:
        """Applies resources; returns the version in which they take effect."""
        files = [{"name": f"{number}.yaml", "text": text} for number, text in enumerate(texts)]
        return int(self._answer(self.client.post("/v1/resources/apply", json={"files": files}))["version"])

    def report(self, report: Any) -> None:
        self._answer(self.client.put("/v1/node/report", content=msgspec.json.encode(report)))

    def await_version(self, version: int) -> int:
        """Returns how many proxies have a version, when all that are connected have it."""
        progress = self._answer(self.client.get(f"/v1/versions/{version}?timeout={_TIMEOUT}"))
        if progress["pending"] or progress["rejected"]:
            raise RuntimeError(f"version {version} did not reach all proxies: {progress}")
        return len(progress["synced"])

    def _answer(self, response: httpx2.Response) -> Any:
        if response.is_error:
            raise RuntimeError(f"the control plane refuses: {response.text}")
        return response.json()


@contextlib.contextmanager
def control_plane() -> Iterator[Control]:
    """Runs a control plane as a node would, with a state directory of its own."""
    with tempfile.TemporaryDirectory(prefix="mizzen-bench-") as folder:
        settings = Settings(name="bench", state_dir=Path(folder))
        line = [sys.executable, "-P", "-m", "mizzen.control", "--settings", settings.to_json()]
        with (Path(folder) / "log").open("w") as log:
            process = subprocess.Popen(line, stderr=log, stdout=log)
        with ended(process), _client(settings.api_socket) as client:
            eventually(lambda: _answers(client, settings.api_socket), "the control plane answers")
            yield Control(settings, process.pid, client)


def _client(socket: Path) -> httpx2.Client:
    return httpx2.Client(
        transport=httpx2.HTTPTransport(uds=str(socket), verify=False), base_url="http://mizzen", timeout=_TIMEOUT + 10
    )


def _answers(client: httpx2.Client, socket: Path) -> bool:
    if not socket.exists():
        return False
    try:
        return client.get("/v1/version").is_success
    except httpx2.TransportError:
        return False


def measure(plan: Plan, world: World, capture: str = "explicit") -> dict[str, Any]:
    """Returns what was measured; times are in milliseconds, memory in bytes."""
    with control_plane() as control:
        # In this order: nothing takes effect before a node has said what runs.
        report = world.report(plan.proxies, capture)
        control.report(report)
        control.apply(*world.texts, world.route(50))
        eventually(control.settings.xds_socket.exists, "the control plane serves xDS")
        nodes = [
            f"sidecar~{one.address}~{one.name}.{one.namespace}~{one.namespace}.svc.cluster.local"
            for one in report.instances
        ]
        with _clients(control.settings.xds_socket, nodes) as clients:
            before = cpu_seconds(control.pid)
            sent = [_change(control, world, number, plan) for number in range(plan.changes)]
            cpu = cpu_seconds(control.pid) - before
            used = memory(control.pid)
            acknowledged = [event for client in clients for event in client.end()]
    return {
        "plan": asdict(plan),
        "services": len(world.hosts),
        "capture": capture,
        **_times(sent, acknowledged, plan.proxies),
        "cpu": cpu / plan.changes * 1000,
        "private": used.private,
        "pss": used.pss,
    }


@dataclass(frozen=True)
class _Sent:
    """One change: its version, and in nanoseconds when it was sent, in effect, and known to be everywhere."""

    version: int
    started: int
    applied: int
    known: int


def _change(control: Control, world: World, number: int, plan: Plan) -> _Sent:
    time.sleep(random.uniform(0, plan.pause))
    # Never the weights of the change before.
    text = world.route(10 + number % 80)
    started = time.monotonic_ns()
    version = control.apply(text)
    applied = time.monotonic_ns()
    synced = control.await_version(version)
    known = time.monotonic_ns()
    if synced != plan.proxies:
        raise RuntimeError(f"{synced} proxies of {plan.proxies} have version {version}")
    return _Sent(version, started, applied, known)


def _times(sent: Sequence[_Sent], acknowledged: Sequence[tuple[int, int]], proxies: int) -> dict[str, Any]:
    found: dict[int, list[int]] = {}
    for moment, version in acknowledged:
        found.setdefault(version, []).append(moment)
    for change in sent:
        if len(found.get(change.version, ())) < proxies:
            raise RuntimeError(f"version {change.version} was not acknowledged by all proxies")
    return {
        "applied": _percentiles([change.applied - change.started for change in sent]),
        "acknowledged": _percentiles([max(found[change.version]) - change.started for change in sent]),
        "known": _percentiles([change.known - change.started for change in sent]),
    }


def _percentiles(nanoseconds: Sequence[int]) -> dict[str, float]:
    milliseconds = [value / 1e6 for value in nanoseconds]
    return {"p50": percentile(milliseconds, 50), "p99": percentile(milliseconds, 99), "max": max(milliseconds)}


class _Clients:
    """A process with some of the proxies."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def start(self, socket: Path, nodes: Sequence[str]) -> None:
        assert self._process.stdin
        self._process.stdin.write(json.dumps({"socket": str(socket), "nodes": nodes}) + "\n")
        self._process.stdin.flush()

    def await_ready(self) -> None:
        assert self._process.stdout
        if self._process.stdout.readline() != "ready\n":
            raise RuntimeError("the proxies did not get their configuration; what they said stands above")

    def end(self) -> list[tuple[int, int]]:
        out, _ = self._process.communicate(timeout=_TIMEOUT)
        return [(moment, version) for moment, version in json.loads(out)]


@contextlib.contextmanager
def _clients(socket: Path, nodes: Sequence[str]) -> Iterator[list[_Clients]]:
    line = [sys.executable, "-m", "bench.ads_clients"]
    with contextlib.ExitStack() as stack:
        clients = []
        for number in range(_PROCESSES):
            process = subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            stack.enter_context(ended(process))
            clients.append(_Clients(process))
            clients[-1].start(socket, nodes[number::_PROCESSES])
        for one in clients:
            one.await_ready()
        yield clients
