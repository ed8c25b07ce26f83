"""What the page says of each measure of a mesh of processes: how it is done, and its table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from bench.paths import HAND
from bench.tables import megabytes, ranged, table

Section = Callable[[Mapping[str, Any]], tuple[str, str]]
"""Makes a title and a text of a result."""

_LATENCY = """A client calls a backend that answers 1 kB at once (an Envoy with a direct response) over HTTP/1.1 with
keep-alive: directly, through two Envoys with the shortest configuration that does it by hand (one connection manager
with the router each, mutual TLS with certificates from files, everything else Envoy's default), and through two
sidecars of a mesh. One worker each, TLS 1.3, ECDSA P-256. The backend is the same process for the direct, the
hand-configured and the explicit way. In transparent capture client and backend are in network namespaces of their
own, so a call also crosses a bridge and nftables, which the hand-configured Envoys have not: its ratio contains that.

The load is an open loop with Poisson arrivals over {connections} connections, {rate:g} requests a second for the way whose
turn it is; latency counts from the time at which a request was due. Ways take turns of {requests} requests in an order
drawn anew each time; a round has {turns} turns of each way, a trial {rounds} rounds, and each of the {trials} trials starts all
processes anew. The ratio is that of the medians of the same round. The generator is our own (`bench/load.py`): {cpu:.0f} µs
of processor time a request, and half of the requests go out within {late:.0f} µs of when they are due. k6 was tried and
is not used: it takes 0.45 ms of processor time a request, as much as both proxies together, and sends in even intervals.
"""

_THROUGHPUT = """As many requests as the ways carry: wrk with one thread and {connections} connections, {seconds} s each in turn, {rounds} rounds.
"""

_START = """From the start of the command `mizzen up examples/bookinfo` (six workloads, each with its Envoy) to
the first page of productpage with details and reviews in it, asked for through the sidecar of another workload; and to
the line that says that the mesh is ready. Every start has a state directory of its own, so it makes a root certificate, too.
"""

_PUSH = """A control plane with a node's report of {proxies} instances, and {proxies} delta ADS streams in two other processes (real gRPC over
the Unix socket, every response decoded and acknowledged, nothing applied). {changes} times the weights of a VirtualService
are changed over the API. The first column ends when the change is stored and in force in the control plane, the second when
the last proxy has written its acknowledgement, the third when the control plane answers that all have it, which is what
`mizzen apply --wait` waits for. Times in milliseconds; the processors are shared with the clients.
"""

_COMPILE = """{services} services and {services} VirtualServices (two rules and two weighted destinations each), compiled for one proxy in one
process on one core: by a compiler that has just started, and after one weight has changed ({changes} changes). Before the
compiler sees a change it is put into a snapshot, which is the last column. Other proxies of the same namespace and kind share
what was compiled. Times in milliseconds.
"""

_IDLE = """Bookinfo in explicit capture, {seconds:g} s in which nobody calls anything; readiness probes run once a second.
Private memory is what ends with the process; most of an Envoy's resident memory is its binary, which all share.
"""


def _latency(result: Mapping[str, Any]) -> tuple[str, str]:
    ways = result["ways"]
    times = [
        (
            name,
            *(f"{way[at]['median'] / 1000:.2f}" for at in ("p50", "p90", "p99")),
            f"{way['added']['median'] / 1000:.2f}",
            ranged(way["ratio"]),
            f"{way['ratio90']['median']:.2f}",
        )
        for name, way in ways.items()
    ]
    hand = ways[HAND]["cpu"]["median"]
    costs = [
        (
            name,
            f"{way['cpu']['median']:.3f}",
            f"{way['cpu']['median'] / hand:.2f}",
            megabytes(way["private"]),
            megabytes(way["pss"]),
        )
        for name, way in ways.items()
        if "cpu" in way
    ]
    text = _LATENCY.format(**result["plan"], **result["generator"])
    first = table(
        ("way", "p50 ms", "p90 ms", "p99 ms", "added to direct, p50 ms", "ratio of p50", "ratio of p90"), times
    )
    heads = ("each of the two proxies", "CPU seconds for 1000 requests", "ratio", "private memory MB", "PSS MB")
    return "Latency", "\n".join([text, first, table(heads, costs)])


def _throughput(result: Mapping[str, Any]) -> tuple[str, str]:
    if "skipped" in result:
        return "Throughput", f"Not measured: {result['skipped']}.\n"
    rows = [
        (
            name,
            f"{way['rate']['median']:.0f} ({way['rate']['low']:.0f} to {way['rate']['high']:.0f})",
            ranged(way["ratio"]),
        )
        for name, way in result["ways"].items()
    ]
    return "Throughput", _THROUGHPUT.format(**result["plan"]) + "\n" + table(
        ("way", "requests a second", "ratio"), rows
    )


def _start(result: Mapping[str, Any]) -> tuple[str, str]:
    rows = [
        (
            capture,
            ranged(found["answered"], 1),
            ranged(found["ready"], 1),
            str(found["plan"]["starts"]),
            f"{found['busy']['median'] * 100:.0f}",
        )
        for capture, found in result.items()
    ]
    return "Start", _START + "\n" + table(
        ("capture", "first answer s", "mesh is ready s", "starts", "% busy before"), rows
    )


def _push(result: Mapping[str, Any]) -> tuple[str, str]:
    rows = [
        (
            name,
            *(f"{found[at]['p50']:.0f} / {found[at]['p99']:.0f}" for at in ("applied", "acknowledged", "known")),
            f"{found['cpu']:.0f}",
            megabytes(found["private"]),
        )
        for name, found in result.items()
    ]
    heads = (
        "mesh",
        "in force p50 / p99",
        "last ACK p50 / p99",
        "known p50 / p99",
        "CPU ms a change",
        "private memory MB",
    )
    return "Push", _PUSH.format(**result["bookinfo"]["plan"]) + "\n" + table(heads, rows)


def _compile(result: Mapping[str, Any]) -> tuple[str, str]:
    rows = [
        (kind, ranged(found["nothing"], 0), ranged(found["changed"], 1), ranged(found["snapshot"], 1))
        for kind, found in result["kinds"].items()
    ]
    heads = ("proxy", "from nothing", "one changed route", "its snapshot")
    return "Compile", _COMPILE.format(**result["plan"]) + "\n" + table(heads, rows)


def _idle(result: Mapping[str, Any]) -> tuple[str, str]:
    rows = [
        (kind, f"{used['cpu'] * 100:.1f}", megabytes(used["private"]), megabytes(used["pss"]))
        for kind, used in result["processes"].items()
    ]
    heads = ("process", "% of one processor", "private memory MB", "PSS MB")
    return "Idle", _IDLE.format(**result["plan"]) + "\n" + table(heads, rows)


SECTIONS: Final[Mapping[str, Section]] = {
    "latency": _latency,
    "throughput": _throughput,
    "start": _start,
    "push": _push,
    "compile": _compile,
    "idle": _idle,
}
