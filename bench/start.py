"""From `mizzen up examples/bookinfo` to the first answer, and to the mesh's own word that it is ready.

The first answer is Bookinfo's page, with its details and reviews, asked for from beside another workload: the request
and those that follow from it pass six sidecars. It is asked for again and again from the start on.
"""

from __future__ import annotations

import contextlib
import http.client
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx2

from bench.mesh import BOOKINFO, Mesh, await_ready, starting
from bench.paths import EXPLICIT
from bench.quiet import await_quiet
from bench.spread import spread
from bench.waiting import eventually
from mizzen.node.capture.entering import in_namespace

_CALLER = "ratings-v1-0"
_PORT = 9080
_HOST = "productpage.default.svc.cluster.local"
_WANTED = ("Publisher", "Reviewer1")


@dataclass(frozen=True)
class Plan:
    """``patience`` is how long to wait, in seconds, for the machine to be quiet before each start."""

    starts: int = 5
    patience: float = 120.0


QUICK = Plan(starts=1, patience=0.0)


def measure(plan: Plan, capture: str) -> dict[str, Any]:
    """Returns seconds from the start of the command."""
    answered, ready, busy = [], [], []
    for _ in range(plan.starts):
        busy.append(await_quiet(plan.patience))
        first, said = _start(capture)
        answered.append(first)
        ready.append(said)
    return {
        "plan": asdict(plan),
        "answered": asdict(spread(answered)),
        "ready": asdict(spread(ready)),
        "busy": asdict(spread(busy)),
    }


def _start(capture: str) -> tuple[float, float]:
    started = time.monotonic()
    moments: dict[str, float] = {}
    with starting([BOOKINFO], capture) as (mesh, process):

        def watch() -> None:
            await_ready(process)
            moments["ready"] = time.monotonic() - started

        watching = threading.Thread(target=watch)
        watching.start()
        ask = eventually(lambda: _way_in(mesh), "the caller's proxy is ready", interval=0.01)
        eventually(lambda: _is_page(ask), "the page comes", interval=0.01)
        first = time.monotonic() - started
        watching.join()
        return first, moments["ready"]


def _way_in(mesh: Mesh) -> Callable[[], str] | None:
    """Returns what asks for the page, once the proxy of the caller is there."""
    if not mesh.settings.api_socket.exists():
        return None
    try:
        caller = mesh.instances().get(_CALLER)
        if caller is None or not caller["proxyPid"]:
            return None
        if mesh.capture == EXPLICIT:
            port = next((one["local"] for one in caller["outbound"] if one["host"] == _HOST), None)
            return (lambda: _page("127.0.0.1", port)) if port else None
        netns = mesh.get(f"/v1/workloads/default/{_CALLER}/exec")["netns"]
        service = mesh.get("/v1/resources?kind=Service&namespace=default&name=productpage")["items"][0]
    except httpx2.HTTPError:
        return None  # the control plane has a socket and does not answer yet, or has nothing to say
    address = service["status"]["address"]
    return lambda: _inside(netns, lambda: _page(address, _PORT))


def _inside(netns: str, work: Callable[[], str]) -> str:
    with Path(netns).open("rb") as namespace:
        return in_namespace(namespace.fileno(), work)


def _page(host: str, port: int) -> str:
    with contextlib.closing(http.client.HTTPConnection(host, port, timeout=10)) as connection:
        connection.request("GET", "/productpage", headers={"Host": f"productpage:{_PORT}"})
        return connection.getresponse().read().decode()


def _is_page(ask: Callable[[], str]) -> bool:
    try:
        page = ask()
    except (OSError, http.client.HTTPException):
        return False  # nobody listens there yet
    return all(part in page for part in _WANTED)
