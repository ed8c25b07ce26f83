"""Attach and detach of containers: from the request to the mesh's API to its answer that it is done, one by one.

The containers run already, and go on running. All are attached, then all detached, in one mode of proxies after the other:
so the last ones come into a mesh in which the others are members, and every proxy there has to be told.
"""

from __future__ import annotations

import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.support import images
from tests.support.applications import small
from tests.support.containers import Engine, engine

from bench.mesh import Mesh, running
from bench.paths import MODES, TRANSPARENT
from bench.spread import percentile, spread
from bench.waiting import eventually

_NETWORK = "bench"
_TIMEOUT = 30
ATTACH, DETACH = "attach", "detach"
_STATES = {ATTACH: "Attached", DETACH: "Outside"}


@dataclass(frozen=True)
class Plan:
    """Each of ``containers`` is attached and detached in each mode, ``rounds`` times."""

    containers: int = 20
    rounds: int = 2


QUICK = Plan(containers=2, rounds=1)


def measure(plan: Plan) -> dict[str, Any]:
    """Returns milliseconds, by mode and by what was asked for."""
    names = [f"small-{number:02}" for number in range(plan.containers)]
    found: dict[str, dict[str, list[float]]] = {mode: {what: [] for what in _STATES} for mode in MODES}
    with engine() as podman, tempfile.TemporaryDirectory(prefix="mizzen-bench-") as folder:
        start_small(podman, names)
        with running([Path(folder)], TRANSPARENT, engine=podman) as mesh:
            for _ in range(plan.rounds):
                for mode in MODES:
                    for what, proxy in ((ATTACH, mode), (DETACH, "none")):
                        found[mode][what] += [_timed(mesh, name, proxy, _STATES[what]) for name in names]
    return {"plan": asdict(plan), "modes": {mode: _summary(one) for mode, one in found.items()}}


def start_small(podman: Engine, names: list[str]) -> None:
    """Starts containers that serve HTTP, in a network that is made; returns when all listen."""
    podman.network(_NETWORK)
    podman.run_all(small(name, _NETWORK) for name in names)
    eventually(lambda: all(podman.listens(name, images.SMALL_PORT) for name in names), "all containers listen")


def _timed(mesh: Mesh, name: str, proxy: str, wanted: str) -> float:
    began = time.monotonic()
    answer = attach(mesh, name, proxy)
    milliseconds = (time.monotonic() - began) * 1000
    if [one["state"] for one in answer["items"]] != [wanted]:
        raise RuntimeError(f"{name} is not {wanted} after {milliseconds:.0f} ms: {answer}")
    return milliseconds


def attach(mesh: Mesh, target: str, proxy: str) -> Any:
    """Has containers attached by a proxy, or detached (``none``), and waits; returns how they stand then."""
    with mesh.client() as client:
        response = client.post("/v1/attachments", json={"targets": [target], "proxy": proxy, "timeout": _TIMEOUT})
        return response.raise_for_status().json()


def _summary(found: dict[str, list[float]]) -> dict[str, Any]:
    return {
        what: asdict(spread(times)) | {"p90": percentile(times, 90) if len(times) > 1 else times[0]}
        for what, times in found.items()
    }
