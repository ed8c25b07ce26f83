from __future__ import annotations

from pathlib import Path

import httpx2
import pytest
from tests.unit.cli.fakes import FakeApi, StartMesh, out, run

from mizzen.cli.choosing import Mesh
from mizzen.cli.client import Client
from mizzen.cli.output import Complaint

MESH = Mesh("shop", Path("/state/shop"), pid=7)


def _client(answer: httpx2.Response | Exception) -> Client:
    def respond(_: httpx2.Request) -> httpx2.Response:
        if isinstance(answer, Exception):
            raise answer
        return answer

    return Client(MESH, httpx2.MockTransport(respond))


@pytest.mark.parametrize(
    ("answer", "message", "hint"),
    [
        (httpx2.ReadTimeout("slow"), "the control plane of mesh shop does not answer", "/state/shop/logs/control.log"),
        (httpx2.ConnectError("refused"), "mesh shop runs, but its control plane cannot be reached: refused", "again"),
        (httpx2.RemoteProtocolError("cut off"), "mesh shop runs, but its control plane cannot be reached", "again"),
        (httpx2.Response(500, text="Oops"), "answered /v1/version with status 500: Oops", "control.log"),
        (httpx2.Response(200, text="<html>"), "answered /v1/version in an unknown form", "mizzen version"),
        (httpx2.Response(200, json={"version": 3}), "in an unknown form: Expected `str`", "mizzen version"),
    ],
)
def test_whatever_goes_wrong_is_one_message_with_what_to_do(
    answer: httpx2.Response | Exception, message: str, hint: str
) -> None:
    with _client(answer) as client, pytest.raises(Complaint) as raised:
        client.version()
    assert message in raised.value.message
    assert hint in raised.value.hint


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (httpx2.ReadTimeout("slow"), "does not answer: whether it has made the change is not known"),
        (httpx2.RemoteProtocolError("cut off"), "has gone away: whether it has made the change is not known"),
        (httpx2.ConnectError("refused"), "cannot be reached: refused"),
    ],
)
def test_whether_a_change_was_made_is_not_guessed(answer: Exception, message: str) -> None:
    with _client(answer) as client, pytest.raises(Complaint) as raised:
        client.delete([])
    assert message in raised.value.message


def test_problems_are_passed_on() -> None:
    answer = httpx2.Response(404, json={"problems": [{"code": "NotFound", "message": "there is no workload x"}]})
    with _client(answer) as client, pytest.raises(Complaint) as raised:
        client.exec_context("default", "x")
    assert [problem.message for problem in raised.value.problems] == ["there is no workload x"]


def test_fields_of_a_newer_control_plane_are_skipped() -> None:
    with _client(httpx2.Response(200, json={"version": "9", "new": {"a": 1}})) as client:
        assert client.version().version == "9"


def test_a_proxy_in_the_environment_is_not_used(api: FakeApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    api.on("GET /v1/version", {"version": "0.1.0", "mesh": "default", "envoy": "1.40.0"})
    assert "mesh default" in out("version")


def test_a_control_plane_that_is_away_is_not_a_mesh_that_is_away(start_mesh: StartMesh, home: Path) -> None:
    folder = start_mesh("shop")
    (folder / "mesh.json").write_text((folder / "mesh.json").read_text().replace("/tmp/mizzen-", "/tmp/gone-"))
    result = run("get", "vs")
    assert result.exit_code == 1
    first, second = result.stderr.splitlines()
    assert first.startswith("error: mesh shop runs, but its control plane cannot be reached: there is no /tmp/gone-")
    assert second == (
        "  Its proxies go on without it, and it starts again by itself; try again in a moment."
        f" Its log: {home}/shop/logs/control.log"
    )


def test_whatever_is_in_a_name_stays_one_part_of_an_address() -> None:
    asked: list[bytes] = []

    def respond(request: httpx2.Request) -> httpx2.Response:
        asked.append(request.url.raw_path)
        return httpx2.Response(200, json={"version": 1})

    with Client(MESH, httpx2.MockTransport(respond)) as client:
        client.restart("a/b", "x?y#z")
        client.restart("default", "..")
    assert asked == [b"/v1/workloads/a%2Fb/x%3Fy%23z/restart", b"/v1/workloads/default/%2E%2E/restart"]
