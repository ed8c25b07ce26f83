"""No field of a Workload is read and ignored: each one changes what the node does in the life of its replicas.

What a field means to proxies (the protocol of a port) is in tests/unit/compile/test_every_field.py.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.support.fields import ABSENT, Two, Variant, covered, implemented, usual, variants
from tests.unit.node.played import Stage, pause, played

from mizzen.node import probes
from mizzen.node.instances import InstanceRunner
from mizzen.node.probes import Answer, Probe, Surroundings
from mizzen.node.specs import Workload
from mizzen.node.workloads import Workloads
from mizzen.registry.reports import DesiredWorkload
from mizzen.resources.workload import WorkloadSpec

pytestmark = pytest.mark.looptime


def probe(action: Mapping[str, Any]) -> dict[str, Any]:
    rule = {
        "initialDelaySeconds": Two(1, 2),
        "periodSeconds": Two(5, 6),
        "timeoutSeconds": Two(1, 2),
        "failureThreshold": Two(2, 4),
    }
    return {**action, **rule}


def actions() -> list[dict[str, Any]]:
    header = {"name": Two("X-Name", "X-Other"), "value": Two("1", "2")}
    get = {
        "path": Two("/ready", "/other"),
        "port": Two("http", 9090),
        "host": Two("127.0.0.1", "127.0.0.2"),
        "scheme": Two("HTTP", "HTTPS"),
        "httpHeaders": [header],
    }
    return [
        {"httpGet": get},
        {"tcpSocket": {"port": Two(9080, 9090), "host": Two("127.0.0.1", "127.0.0.2")}},
        {"exec": {"command": [Two("check", "test"), "it"]}},
    ]


PORTS: dict[str, Any] = {
    "command": ["serve"],
    "ports": [{"containerPort": 9080, "name": "http"}, {"containerPort": 9090}],
}
TEMPLATES: list[dict[str, Any]] = [
    {
        "command": [Two("serve", "run"), "$(PORT)"],
        "workingDir": Two("/srv", "/opt"),
        "env": [{"name": Two("NAME", "OTHER"), "value": Two("1", "2")}],
        "ports": [{"containerPort": Two(9080, 9081), "name": Two("http", ABSENT)}],
        "replicas": Two(1, 2),
        "serviceAccount": Two("default", "shop"),
        "terminationGracePeriodSeconds": Two(7, 1),
        "proxy": Two("sidecar", "node"),
    },
    *({**PORTS, "readinessProbe": probe(action) | {"successThreshold": Two(1, 2)}} for action in actions()),
    *({**PORTS, "livenessProbe": probe(action)} for action in actions()),
]
VARIANTS = [
    pytest.param(template, variant, id=f"{number}-{variant.path}")
    for number, template in enumerate(TEMPLATES)
    for variant in variants(WorkloadSpec, template)
]
# The protocol of a port is for its proxy, as is the address of a gateway, and a liveness probe needs one success, no more and no fewer (Kubernetes).
ELSEWHERE = {"ports.appProtocol", "livenessProbe.successThreshold", "gateway.address"}


async def life(stage: Stage, monkeypatch: pytest.MonkeyPatch, spec: Mapping[str, Any]) -> list[Any]:
    """Returns all that a node does for a workload that starts, hangs for a while, recovers, and is stopped."""
    asked: list[tuple[float, Any, float]] = []
    began = stage.now

    async def ask(probe: Probe, around: Surroundings) -> Answer:
        asked.append((round(stage.now - began, 3), probe.action, probe.rule.timeout))
        return stage.answer

    def make(workload: Workload, name: str, changed: Callable[[], None]) -> InstanceRunner:
        return stage.runner(workload, name, changed)

    monkeypatch.setattr(probes, "ask", ask)
    running = Workloads(make, stage.events.append)
    async with stage.running(running.run()) as task:
        running.take([DesiredWorkload(namespace="default", name="web", digest="1", spec=dict(spec))])
        await pause(20)
        stage.answer = Answer(False, "it hangs")
        await pause(14)
        stage.answer = Answer(True)
        await pause(20)
        running.stop()
        await task
    return [
        stage.log,
        [dataclasses.asdict(application.command) for application in stage.applications],
        [application.graces for application in stage.applications],
        [[instance.ports for instance in report.values()] for report in stage.history],
        sorted(asked, key=repr),  # two that are asked in one instant have no order
    ]


@pytest.mark.parametrize(("template", "variant"), VARIANTS)
async def test_a_field_has_an_effect(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, template: Mapping[str, Any], variant: Variant
) -> None:
    lives = [await life(played(tmp_path, monkeypatch), monkeypatch, spec) for spec in (usual(template), variant.spec)]
    assert lives[0] != lives[1]


async def test_equal_workloads_have_equal_lives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise the tests above would prove nothing."""
    for template in TEMPLATES:
        lives = [await life(played(tmp_path, monkeypatch), monkeypatch, usual(template)) for _ in range(2)]
        assert lives[0] == lives[1]


def test_every_field_that_is_implemented_is_looked_at() -> None:
    varied = {variant.path for template in TEMPLATES for variant in variants(WorkloadSpec, template)} | ELSEWHERE
    assert [path for path in implemented(WorkloadSpec) if not covered(path, varied)] == []
