"""The measures by name, each as one call that returns plain data; ``quick`` only sees that everything works."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from bench import (
    attaching,
    compiling,
    first_packet,
    idle,
    latency,
    modes,
    proxy_memory,
    push,
    start,
    throughput,
    worlds,
)
from bench.lacking import containers_lack, transparent_lacks
from bench.paths import EXPLICIT, TRANSPARENT

_MANY_SERVICES = 200


def _transparent(*, quick: bool) -> bool:
    return not quick and not transparent_lacks()


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


def _compile(*, quick: bool) -> dict[str, Any]:
    return compiling.measure(compiling.QUICK if quick else compiling.Plan())


def _idle(*, quick: bool) -> dict[str, Any]:
    return idle.measure(idle.QUICK if quick else idle.Plan())


def _modes(*, quick: bool) -> dict[str, Any]:
    lacking = transparent_lacks()
    return {"skipped": lacking} if lacking else modes.measure(modes.QUICK if quick else modes.PLAN)


def _memory(*, quick: bool) -> dict[str, Any]:
    lacking = transparent_lacks()
    return (
        {"skipped": lacking} if lacking else proxy_memory.measure(proxy_memory.QUICK if quick else proxy_memory.Plan())
    )


def _attach(*, quick: bool) -> dict[str, Any]:
    lacking = containers_lack()
    return {"skipped": lacking} if lacking else attaching.measure(attaching.QUICK if quick else attaching.Plan())


def _first_packet(*, quick: bool) -> dict[str, Any]:
    lacking = containers_lack()
    return (
        {"skipped": lacking} if lacking else first_packet.measure(first_packet.QUICK if quick else first_packet.Plan())
    )


MEASURES: Final[Mapping[str, Callable[..., dict[str, Any]]]] = {
    "latency": _latency,
    "throughput": _throughput,
    "start": _start,
    "push": _push,
    "compile": _compile,
    "idle": _idle,
    "modes": _modes,
    "memory": _memory,
    "attach": _attach,
    "first-packet": _first_packet,
}
