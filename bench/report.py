"""Keeps results as JSON, and writes docs/benchmarks.md from them. sections.py and node_sections.py explain the measures."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from bench.mesh import ROOT
from bench.node_sections import NODE_SECTIONS, node_goals
from bench.paths import EXPLICIT
from bench.sections import SECTIONS
from bench.tables import Goal, table

DOCUMENT = ROOT / "docs" / "benchmarks.md"
DATA = ROOT / "docs" / "benchmarks.json"

_HEAD = """# Benchmarks

What Mizzen costs, measured by `make bench` (the package `bench/`), which also writes this page and
[benchmarks.json](benchmarks.json). `make bench ARGS='latency push'` measures some of it again and leaves the rest.

Whatever is compared is measured in turns in the same run on the same machine; only the ratios can be carried to
another one. Where a number has a range, it is the median of the rounds, and in brackets the smallest and the largest.
A virtual machine with two processors runs everything: the load generator, the proxies, the backend and the control
plane compete for them, so that times are longer, and their ranges wider, than on a machine of one's own.
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
    for name, section in {**SECTIONS, **NODE_SECTIONS}.items():
        if name in results:
            title, text = section(results[name]["result"])
            parts.append(f"## {title}\n\n{_measured(results[name])}\n\n{text}")
    return "\n".join(parts)


def _measured(kept: Mapping[str, Any]) -> str:
    on = kept["machine"]
    # Results of earlier days may have one of them and not the other.
    before = []
    if "busy" in on:
        before.append(f"before it the processors were {on['busy'] * 100:.0f} % busy with other things")
    if "load" in on:
        before.append(f"load average before it {on['load']:.1f}")
    return (
        f"*{on['date']}; {on['processor']}, {on['processors']} processors, {on['memory'] / 2**30:.0f} GiB, {on['kernel']};"
        f" Mizzen {on['mizzen']}, Envoy {on['envoy']}, Python {on['python']}, grpcio {on['grpcio']},"
        f" protobuf {on['protobuf']}; {', '.join(before)}.*"
    )


def _goals(results: Mapping[str, Any]) -> str:
    goals = [*_mesh_goals(results), *node_goals(results)]
    cells = [(goal.what, goal.most, goal.found, "yes" if goal.met else "**no**") for goal in goals]
    return table(("goal", "at most", "measured", "met"), cells)


def _mesh_goals(results: Mapping[str, Any]) -> Iterator[Goal]:
    if "latency" in results:
        ratio = results["latency"]["result"]["ways"][EXPLICIT]["ratio"]["median"]
        yield Goal(
            "Median latency against two hand-configured Envoys", "1.10, better 1.05", f"{ratio:.2f}", ratio <= 1.10
        )
    if "start" in results:
        worst = max(one["answered"]["median"] for one in results["start"]["result"].values())
        yield Goal("First answer after `mizzen up`, Bookinfo", "5 s", f"{worst:.1f} s", worst <= 5)
    if "push" in results:
        p99 = results["push"]["result"]["bookinfo"]["known"]["p99"]
        yield Goal("Route change on 100 proxies, 99th percentile", "150 ms", f"{p99:.0f} ms", p99 <= 150)
    if "compile" in results:
        kinds = results["compile"]["result"]["kinds"].values()
        nothing, changed = (max(one[what]["median"] for one in kinds) for what in ("nothing", "changed"))
        what = "1,000 services and VirtualServices compiled"
        yield Goal(f"{what} from nothing", "2 s", f"{nothing / 1000:.1f} s", nothing <= 2000)
        yield Goal(f"{what} after one changed route", "10 ms", f"{changed:.1f} ms", changed <= 10)
