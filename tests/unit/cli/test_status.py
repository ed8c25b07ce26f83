from __future__ import annotations

import json
import time
from typing import Any

import pytest
from tests.unit.cli.fakes import LONG_AGO, FakeApi, container, instance, out, run

ABOUT = {
    "version": "0.1.0",
    "envoy": "1.40.0",
    "mesh": "default",
    "snapshot": 12,
    "capture": "explicit",
    "trustDomain": "cluster.local",
    "ready": True,
}


def _proxy(name: str, **states: str) -> dict[str, Any]:
    types = {
        type_: {"state": state, "resources": 3, "sent": 1.0, "acked": 2.0, "error": ""}
        for type_, state in states.items()
    }
    return {
        "id": name,
        "node": "sidecar~...",
        "connected": True,
        "connectedSince": time.time() - LONG_AGO,
        "version": 12,
        "types": types,
    }


SYNCED = dict.fromkeys(("CDS", "LDS", "EDS", "RDS"), "SYNCED")


@pytest.fixture
def mesh(api: FakeApi) -> FakeApi:
    api.on("GET /v1/version", ABOUT)
    api.on("GET /v1/resources", {"items": [], "problems": []})
    api.on("GET /v1/proxies", {"items": [_proxy("reviews-v1-0.default", **SYNCED)]})
    api.on("GET /v1/workloads", {"items": [instance("reviews-v1-0", "reviews-v1", restarts=1, proxy_restarts=2)]})
    api.on("GET /v1/containers", {"items": [], "problems": []})
    return api


def test_a_healthy_mesh(mesh: FakeApi) -> None:
    assert out("status") == (
        "mesh default (explicit capture, trust domain cluster.local): version 12, 1 proxy in sync, 1 of 1 instance"
        " ready\n"
        "\n"
        "NAME                   CDS      LDS      EDS      RDS      VERSION   CONNECTED\n"
        "reviews-v1-0.default   SYNCED   SYNCED   SYNCED   SYNCED   12        3d12h\n"
        "\n"
        "INSTANCE               PHASE     READY   RESTARTS (APP/PROXY)   AGE     MESSAGE\n"
        "reviews-v1-0.default   Running   yes     1/2                    3d12h   -\n"
    )
    assert out("ps") == out("status")


def test_what_is_wrong_stands_out(mesh: FakeApi) -> None:
    refused = _proxy("a.default", CDS="SYNCED", LDS="SYNCED", EDS="NOT SENT", RDS="ERROR")
    refused["types"]["RDS"]["error"] = "no argument for repetition operator: *"
    also = _proxy("b.default", CDS="STALE", LDS="SYNCED", RDS="ERROR")
    also["types"]["RDS"]["error"] = "no argument for repetition operator: *"
    gone = _proxy("c.default", **SYNCED) | {"connected": False, "connectedSince": None, "version": None, "types": {}}
    mesh.on("GET /v1/proxies", {"items": [also, refused, gone]})
    crashed = instance("a", "a", phase="Backoff", ready=False, started=0.0, message="exit code 1")
    mesh.on("GET /v1/workloads", {"items": [crashed]})
    problem = {"code": "IST0101", "level": "error", "message": "no such subset", "path": "spec.http[0]"}
    mesh.on("GET /v1/resources", {"items": [], "problems": [problem]})
    result = run("status")
    assert result.exit_code == 0
    assert result.stdout == (
        "mesh default (explicit capture, trust domain cluster.local): version 12, 3 of 3 proxies not in sync, 0 of 1"
        " instance ready\n"
        "\n"
        "NAME        CDS      LDS      EDS        RDS     VERSION   CONNECTED\n"
        "a.default   SYNCED   SYNCED   NOT SENT   ERROR   12        3d12h\n"
        "b.default   STALE    SYNCED   IGNORED    ERROR   12        3d12h\n"
        "c.default   -        -        -          -       -         no\n"
        "\n"
        "refused: RDS by a.default, b.default: no argument for repetition operator: *\n"
        "\n"
        "INSTANCE    PHASE     READY   RESTARTS (APP/PROXY)   AGE   MESSAGE\n"
        "a.default   Backoff   no      0/0                    -     exit code 1\n"
    )
    assert result.stderr == "\nerror: spec.http[0]: no such subset [IST0101]\n"


def test_a_mesh_with_nothing_in_it(mesh: FakeApi) -> None:
    mesh.on("GET /v1/proxies", {"items": []})
    mesh.on("GET /v1/workloads", {"items": []})
    assert out("status").splitlines()[1:] == ["", "No proxy has connected yet.", "", "No workload runs."]


def test_containers_are_shown_that_are_not_what_they_should_be(mesh: FakeApi) -> None:
    refused = container("infra", "Refused", reason="it has no network")
    mistaken = container("cache", "Outside", reason="its labels have a mistake: label mizzen.dev/ports: odd")
    problems = ["the engine is away", "label mizzen.dev/ports: odd", "infra stays outside: it has no network"]
    mesh.on("GET /v1/containers", {"items": [container("web"), refused, mistaken], "problems": problems})
    member = instance("web", "web", proxies=("vm.mizzen-system",), capture="transparent")
    outside = instance("cache", "cache", capture="none", ready=False)
    mesh.on("GET /v1/workloads", {"items": [member, outside]})
    result = run("status")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[0].endswith("1 of 1 instance ready")
    assert result.stdout.split("\n\n")[2:] == [
        (
            "INSTANCE      PHASE     READY   RESTARTS (APP/PROXY)   AGE     MESSAGE\n"
            "web.default   Running   yes     0/0                    3d12h   -"
        ),
        "CONTAINER   PROJECT   STATE     REASON\ninfra       shop      Refused   it has no network\n",
    ]
    assert result.stderr == "\nwarning: the engine is away\nwarning: label mizzen.dev/ports: odd\n"


def test_json_has_it_all(mesh: FakeApi) -> None:
    facts = json.loads(out("status", "-o", "json"))
    assert list(facts) == ["about", "proxies", "instances", "containers", "problems"]
    assert facts["about"]["trustDomain"] == "cluster.local"
    assert facts["proxies"][0]["types"]["CDS"]["state"] == "SYNCED"
