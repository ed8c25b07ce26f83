"""The measures by name, each as one call that returns plain data; ``quick`` only sees that everything works."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from bench import idle, latency, push, start, throughput, worlds
from bench.paths import EXPLICIT, TRANSPARENT
from mizzen.node.capture.available import availability

_MANY_SERVICES = 200


def _transparent(*, quick: bool) -> bool:
    return not quick and availability().usable


def _latency(*, quick: bool) -> dict[str, Any]:
    return latency.measure(latency.QUICK if quick else latency.Plan(), transparent=_transparent(quick=quick))


def _throughput(*, quick: bool) -> dict[str, Any]:
    if not throughput.available():
        return {"skipped": "wrk is not installed"}
    return throughput.measure(throughput.QUICK if quick else throughput.Plan(), transparent=_transparent(quick=quick))


def _start(*, quick: bool) -> dict[str, Any]:
    captures = [EXPLICIT, *([TRANSPARENT] if _transparent(quick=quick) else [])]
    return {capture: start.measure(start.QUICK if quick else start.Plan(), capture) for capture in captures}


def _push(*, quick: bool) -> dict[str, Any]:
    if quick:
        return {"bookinfo": push.measure(push.QUICK, worlds.bookinfo())}
    many = worlds.services(_MANY_SERVICES)
    return {
        "bookinfo": push.measure(push.Plan(), worlds.bookinfo()),
        f"{_MANY_SERVICES} services": push.measure(push.Plan(), many),
        f"{_MANY_SERVICES} services, transparent": push.measure(push.Plan(), many, TRANSPARENT),
    }


def _idle(*, quick: bool) -> dict[str, Any]:
    return idle.measure(idle.QUICK if quick else idle.Plan())


MEASURES: Final[Mapping[str, Callable[..., dict[str, Any]]]] = {
    "latency": _latency,
    "throughput": _throughput,
    "start": _start,
    "push": _push,
    "idle": _idle,
}
