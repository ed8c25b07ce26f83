"""The benchmarks run and give numbers. How fast anything is depends on the machine, and is nothing that a test asserts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from tests.support.meshes import ROOT

pytestmark = [pytest.mark.envoy, pytest.mark.e2e, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def results() -> Any:
    own = {name: value for name, value in os.environ.items() if not name.startswith("MIZZEN_")}
    done = subprocess.run(
        [sys.executable, "-m", "bench", "--quick", "--no-write"],
        cwd=ROOT,
        env=own,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def _numbers(value: Any) -> Iterator[float]:
    if isinstance(value, dict):
        for one in value.values():
            yield from _numbers(one)
    elif isinstance(value, int | float):
        yield value


def test_every_measure_gives_numbers(results: Any) -> None:
    assert set(results) == {"latency", "throughput", "start", "push", "idle"}
    for name, kept in results.items():
        assert kept["machine"]["envoy"], name
        assert "skipped" in kept["result"] or any(number > 0 for number in _numbers(kept["result"])), name


def test_all_ways_to_the_backend_are_compared_in_one_run(results: Any) -> None:
    ways = results["latency"]["result"]["ways"]
    assert list(ways) == ["direct", "hand-configured", "explicit"]
    for way in ways.values():
        assert way["requests"] == ways["direct"]["requests"] > 0
        assert 0 < way["p50"]["low"] <= way["p50"]["median"] <= way["p50"]["high"]
    assert ways["hand-configured"]["ratio"] == {"median": 1.0, "low": 1.0, "high": 1.0}
    assert ways["explicit"]["ratio"]["median"] > 0


def test_a_change_is_in_force_before_it_is_acknowledged_and_acknowledged_before_that_is_known(results: Any) -> None:
    push = results["push"]["result"]["bookinfo"]
    assert push["applied"]["p50"] > 0
    assert 0 < push["acknowledged"]["p50"] < push["known"]["p50"] <= push["known"]["max"]


def test_the_page_is_made_from_the_results(results: Any) -> None:
    from bench.report import page

    made = page(results)
    assert [line for line in made.splitlines() if line.startswith("## ")] == [
        "## Latency",
        "## Throughput",
        "## Start",
        "## Push",
        "## Idle",
    ]
    assert "| goal | at most | measured | met |" in made
