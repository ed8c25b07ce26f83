"""The benchmarks run and give numbers. How fast anything is depends on the machine, and is nothing that a test asserts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from tests.support.meshes import ROOT

pytestmark = [pytest.mark.envoy, pytest.mark.e2e, pytest.mark.timeout(300)]


MEASURES = ("latency", "throughput", "start", "push", "compile", "idle")
OF_MODES = ("modes", "memory")
OF_CONTAINERS = ("attach", "first-packet")


def _run(*measures: str) -> Any:
    own = {name: value for name, value in os.environ.items() if not name.startswith("MIZZEN_")}
    done = subprocess.run(
        [sys.executable, "-m", "bench", "--quick", "--no-write", *measures],
        cwd=ROOT,
        env=own,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def results() -> Any:
    return _run(*MEASURES)


@pytest.fixture(scope="module")
def of_modes() -> Any:
    return _run(*OF_MODES)


@pytest.fixture(scope="module")
def of_containers() -> Any:
    return _run(*OF_CONTAINERS)


def _numbers(value: Any) -> Iterator[float]:
    if isinstance(value, dict):
        for one in value.values():
            yield from _numbers(one)
    elif isinstance(value, int | float):
        yield value


def _check(results: Any, measures: Sequence[str]) -> None:
    assert list(results) == list(measures)
    for name, kept in results.items():
        assert kept["machine"]["envoy"], name
        assert "skipped" in kept["result"] or any(number > 0 for number in _numbers(kept["result"])), name


def test_every_measure_gives_numbers(results: Any) -> None:
    _check(results, MEASURES)


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


@pytest.mark.privileged
def test_both_modes_of_proxies_are_compared_in_one_run(of_modes: Any) -> None:
    _check(of_modes, OF_MODES)
    for loop in of_modes["modes"]["result"]["loops"].values():
        assert list(loop["modes"]) == ["sidecar", "node"]
        assert loop["modes"]["sidecar"]["requests"] == loop["modes"]["node"]["requests"] > 0
        assert 0 < loop["modes"]["node"]["direct"]["median"] < loop["modes"]["node"]["through"]["high"]
    for size, found in of_modes["memory"]["result"]["sizes"].items():
        for when in ("idle", "used"):
            assert found["modes"]["sidecar"][when]["proxies"] == int(size)
            assert found["modes"]["node"][when]["proxies"] == 1
    assert _sections(of_modes) == ["## Node mode: latency", "## Node mode: memory"]


@pytest.mark.privileged
@pytest.mark.containers
def test_containers_are_attached_and_detached_and_captured_as_they_start(of_containers: Any) -> None:
    _check(of_containers, OF_CONTAINERS)
    for mode in ("sidecar", "node"):
        attach = of_containers["attach"]["result"]["modes"][mode]
        assert 0 < attach["attach"]["median"] <= attach["attach"]["high"]
        assert 0 < attach["detach"]["median"] <= attach["detach"]["high"]
        start = of_containers["first-packet"]["result"]["modes"][mode]
        assert start["captured"]["median"] <= start["served"]["median"]
    assert _sections(of_containers) == ["## Attach and detach", "## First packet"]


def test_the_page_is_made_from_the_results(results: Any) -> None:
    from bench.report import page

    assert _sections(results) == [f"## {name.capitalize()}" for name in MEASURES]
    assert "| goal | at most | measured | met |" in page(results)


def test_what_cannot_be_measured_is_said() -> None:
    from bench.report import page

    lacking = {"result": {"skipped": "needs podman"}}
    machine = json.loads((ROOT / "docs" / "benchmarks.json").read_text())["push"]["machine"]
    made = page({name: {**lacking, "machine": machine} for name in ("throughput", *OF_MODES, *OF_CONTAINERS)})
    assert made.count("Not measured: needs podman.") == 5


def _sections(results: Any) -> list[str]:
    from bench.report import page

    return [line for line in page(results).splitlines() if line.startswith("## ")]
