"""Keeps results as JSON, and writes docs/benchmarks.md from them. The text that explains a measure stands here, too."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from bench.mesh import ROOT
from bench.paths import EXPLICIT, HAND

DOCUMENT = ROOT / "docs" / "benchmarks.md"
DATA = ROOT / "docs" / "benchmarks.json"
_MEGABYTE = 1e6

_HEAD = """# Benchmarks

What Mizzen costs, measured by `make bench` (the package `bench/`), which also writes this page and
[benchmarks.json](benchmarks.json). `make bench ARGS='latency push'` measures some of it again and leaves the rest.

Whatever is compared is measured in turns in the same run on the same machine; only the ratios can be carried to
another one. Where a number has a range, it is the median of the rounds, and in brackets the smallest and the largest.
A virtual machine with two processors runs everything: the load generator, the proxies, the backend and the control
plane compete for them, so that times are longer, and their ranges wider, than on a machine of one's own.
"""

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

_IDLE = """Bookinfo in explicit capture, {seconds:g} s in which nobody calls anything; readiness probes run once a second.
Private memory is what ends with the process; most of an Envoy's resident memory is its binary, which all share.
"""


def keep(results: Mapping[str, Any]) -> None:
    """Puts results in the place of earlier ones of the same measures, and writes the page anew."""
    known = json.loads(DATA.read_text()) if DATA.exists() else {}
    known.update(results)
    DATA.write_text(to_json(known) + "\n")
    DOCUMENT.write_text(page(known))


def to_json(results: Mapping[str, Any]) -> str:
    return json.dumps(_rounded(results), indent=1)


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.5g}")
    if isinstance(value, Mapping):
        return {name: _rounded(one) for name, one in value.items()}
    return [_rounded(one) for one in value] if isinstance(value, list | tuple) else value


def page(results: Mapping[str, Any]) -> str:
    """Returns the page in Markdown."""
    parts = [_HEAD, _goals(results)]
    for name, section in _SECTIONS.items():
        if name in results:
            title, text = section(results[name]["result"])
            parts.append(f"## {title}\n\n{_measured(results[name])}\n\n{text}")
    return "\n".join(parts)


def _measured(kept: Mapping[str, Any]) -> str:
    on = kept["machine"]
    # What was measured before `busy` was recorded has the load average.
    before = (
        f"before it the processors were {on['busy'] * 100:.0f} % busy with other things"
        if "busy" in on
        else f"load average before it {on['load']}"
    )
    return (
        f"*{on['date']}; {on['processor']}, {on['processors']} processors, {on['memory'] / 2**30:.0f} GiB, {on['kernel']};"
        f" Mizzen {on['mizzen']}, Envoy {on['envoy']}, Python {on['python']}, grpcio {on['grpcio']},"
        f" protobuf {on['protobuf']}; {before}.*"
    )


def _goals(results: Mapping[str, Any]) -> str:
    rows = []
    if "latency" in results:
        ratio = results["latency"]["result"]["ways"][EXPLICIT]["ratio"]["median"]
        rows.append(
            ("Median latency against two hand-configured Envoys", "1.10, better 1.05", f"{ratio:.2f}", ratio <= 1.10)
        )
    if "start" in results:
        worst = max(one["answered"]["median"] for one in results["start"]["result"].values())
        rows.append(("First answer after `mizzen up`, Bookinfo", "5 s", f"{worst:.1f} s", worst <= 5))
    if "push" in results:
        p99 = results["push"]["result"]["bookinfo"]["known"]["p99"]
        rows.append(("Route change on 100 proxies, 99th percentile", "150 ms", f"{p99:.0f} ms", p99 <= 150))
    cells = [(what, goal, found, "yes" if met else "**no**") for what, goal, found, met in rows]
    return _table(("goal", "at most", "measured", "met"), cells)


def _latency(result: Mapping[str, Any]) -> tuple[str, str]:
    ways = result["ways"]
    times = [
        (
            name,
            *(f"{way[at]['median'] / 1000:.2f}" for at in ("p50", "p90", "p99")),
            f"{way['added']['median'] / 1000:.2f}",
            _spread(way["ratio"]),
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
            _megabytes(way["private"]),
            _megabytes(way["pss"]),
        )
        for name, way in ways.items()
        if "cpu" in way
    ]
    text = _LATENCY.format(**result["plan"], **result["generator"])
    first = _table(
        ("way", "p50 ms", "p90 ms", "p99 ms", "added to direct, p50 ms", "ratio of p50", "ratio of p90"), times
    )
    heads = ("each of the two proxies", "CPU seconds for 1000 requests", "ratio", "private memory MB", "PSS MB")
    return "Latency", "\n".join([text, first, _table(heads, costs)])


def _throughput(result: Mapping[str, Any]) -> tuple[str, str]:
    if "skipped" in result:
        return "Throughput", f"Not measured: {result['skipped']}.\n"
    rows = [
        (
            name,
            f"{way['rate']['median']:.0f} ({way['rate']['low']:.0f} to {way['rate']['high']:.0f})",
            _spread(way["ratio"]),
        )
        for name, way in result["ways"].items()
    ]
    return "Throughput", _THROUGHPUT.format(**result["plan"]) + "\n" + _table(
        ("way", "requests a second", "ratio"), rows
    )


def _start(result: Mapping[str, Any]) -> tuple[str, str]:
    rows = [
        (
            capture,
            _seconds(found["answered"]),
            _seconds(found["ready"]),
            str(found["plan"]["starts"]),
            f"{found['busy']['median'] * 100:.0f}",
        )
        for capture, found in result.items()
    ]
    return "Start", _START + "\n" + _table(
        ("capture", "first answer s", "mesh is ready s", "starts", "% busy before"), rows
    )


def _push(result: Mapping[str, Any]) -> tuple[str, str]:
    rows = [
        (
            name,
            *(f"{found[at]['p50']:.0f} / {found[at]['p99']:.0f}" for at in ("applied", "acknowledged", "known")),
            f"{found['cpu']:.0f}",
            _megabytes(found["private"]),
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
    return "Push", _PUSH.format(**result["bookinfo"]["plan"]) + "\n" + _table(heads, rows)


def _idle(result: Mapping[str, Any]) -> tuple[str, str]:
    rows = [
        (kind, f"{used['cpu'] * 100:.1f}", _megabytes(used["private"]), _megabytes(used["pss"]))
        for kind, used in result["processes"].items()
    ]
    heads = ("process", "% of one processor", "private memory MB", "PSS MB")
    return "Idle", _IDLE.format(**result["plan"]) + "\n" + _table(heads, rows)


_SECTIONS: Final[Mapping[str, Callable[[Mapping[str, Any]], tuple[str, str]]]] = {
    "latency": _latency,
    "throughput": _throughput,
    "start": _start,
    "push": _push,
    "idle": _idle,
}


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _spread(spread: Mapping[str, float]) -> str:
    return f"{spread['median']:.2f} ({spread['low']:.2f} to {spread['high']:.2f})"


def _seconds(spread: Mapping[str, float]) -> str:
    return f"{spread['median']:.1f} ({spread['low']:.1f} to {spread['high']:.1f})"


def _megabytes(size: float) -> str:
    return f"{size / _MEGABYTE:.1f}"
