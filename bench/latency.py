"""Latency of a call: direct, through two hand-configured Envoys, and through two sidecars, in turns.

What counts is the ratio of the medians of Mizzen and of the hand-configured Envoys in the same round. Every trial starts
all processes anew: where a process happens to lie in memory makes a difference of some per cent, too.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from bench.generating import generate
from bench.load import Result, Task
from bench.paths import AUTHORITY, DIRECT, HAND, CallPath, call_paths
from bench.spread import Spread, percentile, spread
from bench.usage import cpu_seconds, memory


@dataclass(frozen=True)
class Plan:
    """How long to measure; see :class:`bench.load.Task`."""

    trials: int = 3
    rounds: int = 12
    turns: int = 15
    requests: int = 50
    warmup: int = 5
    rate: float = 400.0
    connections: int = 4


QUICK = Plan(trials=1, rounds=2, turns=2)


@dataclass
class _Way:
    """What was found of one way, over all trials."""

    latencies: list[list[int]]
    cpu: list[float]
    private: list[float]
    pss: list[float]


def measure(plan: Plan, *, transparent: bool) -> dict[str, Any]:
    """Returns what was measured, by way; times are in microseconds, memory in bytes."""
    found: dict[str, _Way] = {}
    late, cost = [], []
    for trial in range(plan.trials):
        with call_paths(transparent=transparent) as ways:
            before = {way.name: _cpu(way) for way in ways}
            result = _generate(plan, ways, trial)
            for way in ways:
                _add(found, way, result, _cpu(way) - before[way.name])
        late.append(result.late)
        cost.append(result.cpu)
    sent = plan.rounds * plan.turns * plan.requests
    return {
        "plan": asdict(plan),
        "ways": {name: _summary(name, found, sent) for name in found},
        "generator": {"late": statistics.median(late), "cpu": statistics.median(cost) * 1e6},
    }


def _generate(plan: Plan, ways: Sequence[CallPath], seed: int) -> Result:
    task = Task(
        targets=[way.target for way in ways],
        authority=AUTHORITY,
        rate=plan.rate,
        connections=plan.connections,
        rounds=plan.rounds,
        turns=plan.turns,
        requests=plan.requests,
        warmup=plan.warmup,
        seed=seed,
    )
    return generate(task)


def _cpu(way: CallPath) -> float:
    return sum(map(cpu_seconds, way.proxies))


def _add(found: dict[str, _Way], way: CallPath, result: Result, cpu: float) -> None:
    one = found.setdefault(way.name, _Way([], [], [], []))
    one.latencies += result.latencies[way.name]
    used = [memory(pid) for pid in way.proxies]
    if used:
        one.cpu.append(cpu)
        one.private.append(statistics.mean(each.private for each in used))
        one.pss.append(statistics.mean(each.pss for each in used))


def _summary(name: str, found: dict[str, _Way], sent: int) -> dict[str, Any]:
    """Of each round a number, and of the rounds the median, the smallest and the largest."""
    way, hand, direct = found[name], found[HAND], found[DIRECT]
    summary: dict[str, Any] = {
        "requests": sum(map(len, way.latencies)),
        **{label: asdict(_of_rounds(way, at)) for label, at in (("p50", 50), ("p90", 90), ("p99", 99))},
        "ratio": asdict(_ratio(way, hand, 50)),
        "ratio90": asdict(_ratio(way, hand, 90)),
        "added": asdict(_added(way, direct)),
    }
    if way.cpu:
        # Of one proxy, in seconds for 1000 requests.
        summary["cpu"] = asdict(spread([seconds / 2 / sent * 1000 for seconds in way.cpu]))
        summary["private"] = statistics.median(way.private)
        summary["pss"] = statistics.median(way.pss)
    return summary


def _of_rounds(way: _Way, at: int) -> Spread:
    return spread([percentile(latencies, at) for latencies in way.latencies])


def _ratio(way: _Way, to: _Way, at: int) -> Spread:
    pairs = zip(way.latencies, to.latencies, strict=True)
    return spread([percentile(one, at) / percentile(other, at) for one, other in pairs])


def _added(way: _Way, to: _Way) -> Spread:
    pairs = zip(way.latencies, to.latencies, strict=True)
    return spread([percentile(one, 50) - percentile(other, 50) for one, other in pairs])
