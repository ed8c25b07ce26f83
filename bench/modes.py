"""Latency that a mesh adds to a call between two workloads of one host: a proxy for the node against two sidecars.

Each mode has a mesh of its own, and in it two ways from the same client to the same backend: through its proxies, and past
them. What the proxies add is the difference of the two medians in the same round; what counts is the ratio of the two
modes' in that round. The loop is closed, with one connection, so that nothing waits but for the call itself; a second
figure is from an open loop. All processes that a call passes have real-time priority, as the generator has: two sidecars
are on the processor's waiting list twice as often as one proxy, and the ratio would tell of what else the machine does.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from bench.generating import generate
from bench.latency import Plan
from bench.load import Task
from bench.paths import AUTHORITY, MODES, CallPath, direct_name, mode_paths
from bench.spread import percentile, spread
from bench.undisturbed import undisturb
from bench.usage import cpu_seconds

CLOSED, OPEN = "closed loop", "open loop"
_SHARES = (50, 90)


# The rate and the connections are the open loop's.
PLAN = Plan(turns=10)
QUICK = Plan(trials=1, rounds=2, turns=2)


@dataclass
class _Found:
    """What was found in all trials: by way the latencies in each round, and by mode the processor time of its proxies."""

    latencies: dict[str, list[list[int]]]
    cpu: dict[str, list[float]]


def measure(plan: Plan) -> dict[str, Any]:
    """Returns what was measured, by loop and mode; times are in microseconds, processor time in seconds."""
    found = {CLOSED: _Found({}, {}), OPEN: _Found({}, {})}
    plans = {CLOSED: replace(plan, rate=0.0, connections=1), OPEN: plan}
    for trial in range(plan.trials):
        with mode_paths() as ways:
            undisturb(pid for way in ways for pid in (*way.proxies, way.backend_pid) if pid)
            for loop, one in plans.items():
                _measure(found[loop], one, ways, trial)
    return {"plan": asdict(plan), "loops": {loop: _summary(one) for loop, one in found.items()}}


def _measure(found: _Found, plan: Plan, ways: Sequence[CallPath], seed: int) -> None:
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
    before = {way.name: _cpu(way) for way in ways}
    result = generate(task)
    sent = plan.rounds * plan.turns * plan.requests
    for way in ways:
        found.latencies.setdefault(way.name, []).extend(result.latencies[way.name])
        found.cpu.setdefault(way.name, []).append((_cpu(way) - before[way.name]) / sent * 1000)


def _cpu(way: CallPath) -> float:
    return sum(map(cpu_seconds, way.proxies))


def _summary(found: _Found) -> dict[str, Any]:
    added = {mode: {share: _added(found, mode, share) for share in _SHARES} for mode in MODES}
    sidecar, node = (added[mode] for mode in MODES)
    return {
        "modes": {mode: _of_mode(found, mode, added[mode]) for mode in MODES},
        **{
            f"ratio{share}": asdict(
                spread([one / other for one, other in zip(node[share], sidecar[share], strict=True)])
            )
            for share in _SHARES
        },
        "cpuRatio": statistics.median(found.cpu[MODES[1]]) / statistics.median(found.cpu[MODES[0]]),
    }


def _of_mode(found: _Found, mode: str, added: dict[int, list[float]]) -> dict[str, Any]:
    """Of each round a number, and of the rounds the median, the smallest and the largest; ``cpu`` is for 1000 requests."""
    return {
        "requests": sum(map(len, found.latencies[mode])),
        "direct": asdict(spread([percentile(one, 50) for one in found.latencies[direct_name(mode)]])),
        "through": asdict(spread([percentile(one, 50) for one in found.latencies[mode]])),
        **{f"added{share}": asdict(spread(values)) for share, values in added.items()},
        "cpu": asdict(spread(found.cpu[mode])),
    }


def _added(found: _Found, mode: str, share: int) -> list[float]:
    pairs = zip(found.latencies[mode], found.latencies[direct_name(mode)], strict=True)
    return [percentile(one, share) - percentile(other, share) for one, other in pairs]
