"""What the page says of the measures of proxy modes and of containers: how they are done, their tables, and their goals."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from bench.attaching import ATTACH, DETACH
from bench.modes import CLOSED
from bench.sections import Section
from bench.tables import Goal, megabytes, ranged, table

_GOAL_SIZE = "20"

_MODES = """Two meshes with transparent capture, one with a sidecar for each workload and one with one proxy for the node. In each, a
client calls a backend that answers 1 kB at once (an Envoy with a direct response) over HTTP/1.1 with keep-alive: through
the mesh, and directly, which is from the same client's network namespace to the same process in the backend's, over the same
bridge, past the proxies. What a mesh adds is the difference of the two medians of a round, and the ratio is that of what the
two meshes add in the same round.

The closed loop has one connection, and each request is sent when the one before is answered; the open loop is that of the
first section, {rate:g} requests a second over {connections} connections. The ways take turns of {requests} requests; a round has {turns} turns of
each, a loop {rounds} rounds, and each of the {trials} trials starts all processes anew. All processes that a call passes have real-time
priority, so that the ratio is not one of how often they wait for what else the machine does.
"""

_MEMORY = """A mesh with as many services as workloads, each of which may call all; while nobody has called anything, and after each
workload has called {called} others {requests} times. *Own* is the memory of all proxies that is in no file, which is theirs alone;
*with the program* adds, once, their program as far as it is in memory, where it is a cache of the file and shared by all.
"""

_ATTACH = """{containers} containers that run in Podman on a network of their own, all attached and then all detached one by one, first with a
sidecar each and then in the node's proxy, {rounds} times. Milliseconds from the request that `mizzen attach` sends to the answer that
it is done.
"""

_FIRST_PACKET = """A container is started where all are to be members of the mesh. Every millisecond a connection to a server outside the mesh is
opened in its network: *captured* is when the first one was begun that did not go past the mesh, *served* when the first one was
open that the proxy has taken. Milliseconds after the first process of the container began, as it wrote to a file (whose time
the kernel has to 4 ms); less than 0 is before.
"""


def _skipped(title: str, result: Mapping[str, Any]) -> tuple[str, str]:
    return title, f"Not measured: {result['skipped']}.\n"


def _modes(result: Mapping[str, Any]) -> tuple[str, str]:
    title = "Node mode: latency"
    if "skipped" in result:
        return _skipped(title, result)
    times = [
        (
            loop,
            mode,
            f"{one['direct']['median'] / 1000:.2f}",
            f"{one['through']['median'] / 1000:.2f}",
            f"{one['added50']['median'] / 1000:.2f}",
            f"{one['added90']['median'] / 1000:.2f}",
            f"{one['cpu']['median']:.3f}",
        )
        for loop, found in result["loops"].items()
        for mode, one in found["modes"].items()
    ]
    heads = (
        "loop",
        "mode",
        "direct, p50 ms",
        "through, p50 ms",
        "added, p50 ms",
        "added, p90 ms",
        "CPU s for 1000 requests",
    )
    ratios = [
        (loop, ranged(found["ratio50"]), ranged(found["ratio90"]), f"{found['cpuRatio']:.2f}")
        for loop, found in result["loops"].items()
    ]
    ratio_heads = ("node against sidecars", "ratio of added p50", "ratio of added p90", "ratio of CPU")
    return title, "\n".join([_MODES.format(**result["plan"]), table(heads, times), table(ratio_heads, ratios)])


def _memory(result: Mapping[str, Any]) -> tuple[str, str]:
    title = "Node mode: memory"
    if "skipped" in result:
        return _skipped(title, result)
    rows = [
        (
            size,
            when,
            *(megabytes(found["modes"][mode][when][kind]) for mode in found["modes"] for kind in ("own", "total")),
            f"{found['ratio'][when]['own']:.2f}",
            f"{found['ratio'][when]['total']:.2f}",
        )
        for size, found in result["sizes"].items()
        for when in ("idle", "used")
    ]
    heads = (
        "workloads",
        "calls",
        *(f"{mode}, {what} MB" for mode in ("sidecars", "node") for what in ("own", "with the program")),
        "ratio of own",
        "ratio with the program",
    )
    return title, _MEMORY.format(**result["plan"]) + "\n" + table(heads, rows)


def _attach(result: Mapping[str, Any]) -> tuple[str, str]:
    title = "Attach and detach"
    if "skipped" in result:
        return _skipped(title, result)
    rows = [
        (mode, what, ranged(found[what], 0), f"{found[what]['p90']:.0f}")
        for mode, found in result["modes"].items()
        for what in (ATTACH, DETACH)
    ]
    return title, _ATTACH.format(**result["plan"]) + "\n" + table(("mode", "", "median ms", "p90 ms"), rows)


def _first_packet(result: Mapping[str, Any]) -> tuple[str, str]:
    title = "First packet"
    if "skipped" in result:
        return _skipped(title, result)
    rows = [
        (
            mode,
            ranged(found["captured"], 0),
            ranged(found["served"], 0),
            f"{found['withPast']} of {found['containers']}",
        )
        for mode, found in result["modes"].items()
    ]
    heads = ("mode", "captured ms", "served ms", "containers of which something could go past")
    return title, _FIRST_PACKET + "\n" + table(heads, rows)


NODE_SECTIONS: Final[Mapping[str, Section]] = {
    "modes": _modes,
    "memory": _memory,
    "attach": _attach,
    "first-packet": _first_packet,
}


def node_goals(results: Mapping[str, Any]) -> Iterator[Goal]:
    """Yields the goals of what was measured."""
    done = {name: kept["result"] for name, kept in results.items() if "skipped" not in kept["result"]}
    if "modes" in done:
        ratio = done["modes"]["loops"][CLOSED]["ratio50"]["median"]
        yield Goal("Latency added by a node's proxy, against sidecars", "0.50", f"{ratio:.2f}", ratio <= 0.50)
    if _GOAL_SIZE in done.get("memory", {}).get("sizes", {}):
        ratios = done["memory"]["sizes"][_GOAL_SIZE]["ratio"].values()
        own, total = (max(one[kind] for one in ratios) for kind in ("own", "total"))
        found = f"{own:.2f} ({total:.2f} with the program)"
        yield Goal("Memory of a node's proxy for 20 workloads, against sidecars", "0.25", found, own <= 0.25)
    if "attach" in done:
        for what in (ATTACH, DETACH):
            worst = max(mode[what]["median"] for mode in done["attach"]["modes"].values())
            yield Goal(
                f"{what.capitalize()} a container, median, the slower mode", "300 ms", f"{worst:.0f} ms", worst < 300
            )
