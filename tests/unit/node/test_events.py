from __future__ import annotations

import pytest

from mizzen.node import events
from mizzen.node.events import Event


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (events.ControlStarted(7, 0), "control plane is up (process 7)"),
        (events.ControlStarted(7, 1), "control plane is up again (process 7)"),
        (events.InstanceReady("default", "web-0", 1.26), "web-0 is ready (1.3 s)"),
        (events.InstanceReady("prod", "web-0", 1.26), "web-0.prod is ready (1.3 s)"),
        (
            events.InstanceCrashed("default", "web-0", "exit code 3", 0.2),
            "web-0 failed: exit code 3; starts again in 0.2 s",
        ),
        (events.ComposeRuns("shop", "docker compose up -d"), "project shop: docker compose up -d"),
        (events.MeshReady(1, 2.0), "mesh is ready: 1 instance in 2.0 s"),
        (events.MeshReady(6, 2.0), "mesh is ready: 6 instances in 2.0 s"),
        (
            events.MeshStarting("default", "explicit", "no root"),
            "mesh default is starting, capture is explicit (no root)",
        ),
    ],
)
def test_each_event_has_a_line(event: Event, line: str) -> None:
    assert event.line == line
    assert event.to_dict()["line"] == line


def test_an_event_as_json() -> None:
    assert events.InstanceReady("default", "web-0", 1.5).to_dict() == {
        "event": "InstanceReady",
        "level": "info",
        "line": "web-0 is ready (1.5 s)",
        "namespace": "default",
        "instance": "web-0",
        "seconds": 1.5,
    }


def test_what_went_wrong_is_not_told_as_if_it_were_usual() -> None:
    assert events.InstanceReady("default", "web-0", 1.5).level == "info"
    assert events.InstanceNotReady("default", "web-0", "no answer").level == "warning"
    assert events.InstanceCrashed("default", "web-0", "exit code 3", 0.2).to_dict()["level"] == "error"
