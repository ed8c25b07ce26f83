"""The command line of `mizzen run`: what it makes of its options, and what it refuses."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from tests.unit.cli.fakes import FakeApi, run

from mizzen.cli import accompanying
from mizzen.cli.accompanying import Errand


@pytest.fixture
def errands(monkeypatch: pytest.MonkeyPatch) -> list[Errand]:
    """Takes what would have been run, which ends with code 7."""
    taken: list[Errand] = []

    async def accompany(errand: Errand) -> int:
        taken.append(errand)
        return 7

    monkeypatch.setattr(accompanying, "accompany", accompany)
    return taken


def written(name: str, selector: dict[str, str] | None, *ports: dict[str, Any], **status: str) -> dict[str, Any]:
    """A Service as the API lists it."""
    spec = {"selector": selector, "ports": list(ports) or [{"port": 80, "targetPort": "http"}]}
    return {"kind": "Service", "metadata": {"name": name, "namespace": "default"}, "spec": spec, "status": status}


def listing(api: FakeApi, *services: dict[str, Any]) -> None:
    api.on("GET /v1/resources", {"items": list(services), "problems": []})


def test_the_least_that_can_be_said(api: FakeApi, errands: list[Errand]) -> None:
    assert run("run", "--", "./Web_Server.py", "-p", "80").exit_code == 7
    (errand,) = errands
    workload = errand.wish.workload
    assert (errand.mesh, errand.command, errand.grace) == ("default", ("./Web_Server.py", "-p", "80"), 30.0)
    assert errand.socket.name == "node.sock"
    assert (workload.namespace, workload.name, workload.labels) == (
        "default",
        "web-server-py",
        {"app": "web-server-py"},
    )
    assert workload.spec["serviceAccount"] == "web-server-py"
    assert workload.spec["workingDir"] == str(Path.cwd())
    assert errand.wish.services == ()
    assert api.asked == [], "who is not called needs no Service"


def test_all_that_can_be_said(api: FakeApi, errands: list[Errand]) -> None:
    listing(api)
    options = (
        "--workload-name web -n shop --port http:8080 --port grpc-api:9000 --service web --service www --service web"
    )
    more = "-l version=v2 --label app=shop --service-account robot --proxy node --ready-path /health --grace 1.5s"
    done = run("run", *options.split(), *more.split(), "web", "--port", "1")
    assert (done.exit_code, done.stderr) == (7, "")
    (errand,) = errands
    workload, spec = errand.wish.workload, errand.wish.workload.spec
    assert errand.command == ("web", "--port", "1")
    assert (workload.namespace, workload.name) == ("shop", "web")
    assert workload.labels == {"app": "shop", "version": "v2"}
    assert errand.wish.services == ("web", "www")
    assert spec["ports"] == [{"name": "http", "containerPort": 8080}, {"name": "grpc-api", "containerPort": 9000}]
    assert spec["readinessProbe"] == {"httpGet": {"path": "/health", "port": 8080}}
    assert (spec["serviceAccount"], spec["proxy"]) == ("robot", "node")
    assert (errand.grace, spec["terminationGracePeriodSeconds"]) == (1.5, 2)
    assert api.queries("GET /v1/resources") == [{"kind": "Service", "namespace": "shop"}]


def test_what_is_no_text_goes_past_the_node(
    api: FakeApi, errands: list[Errand], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOOD", "é")
    monkeypatch.setitem(os.environ, "BAD", "\udcff")
    run("run", "true")
    assert errands[0].wish.env["GOOD"] == "é"
    assert "BAD" not in errands[0].wish.env


@pytest.mark.parametrize(
    ("line", "code", "message"),
    [
        ("", 2, "Missing argument"),
        ("--", 2, "Missing argument"),
        ("--port 8080 true", 2, "'8080': write NAME:NUMBER; the name says the protocol"),
        ("--label x true", 2, "'x': write KEY=VALUE"),
        ("--ready-path / true", 2, "--ready-path asks the first port: give one with --port"),
        ("--port http:0 true", 125, "port number 0 must be in the range 1..65535"),
        ("--port HTTP:80 true", 125, "'HTTP' is not a valid port name"),
        ("--port http:80 --ready-path health true", 125, "path must begin with /"),
        ("--workload-name a_b true", 125, "--workload-name a_b: use at most 63"),
        ("-n A true", 125, "--namespace A: use at most 63"),
        ("--service a.b --port http:80 true", 125, "--service a.b: use at most 63"),
        ("--service web true", 125, "say with --port on which port the service is called"),
        ("--service-account a/b true", 125, "'a/b' is not a valid name of a service account"),
        ("--user nobody-of-this-name true", 125, "--user: "),
    ],
)
def test_what_is_refused(api: FakeApi, errands: list[Errand], line: str, code: int, message: str) -> None:
    done = run("run", *line.split())
    assert done.exit_code == code
    assert message in done.stderr
    assert errands == []


def test_without_a_mesh(errands: list[Errand]) -> None:
    done = run("run", "true")
    assert done.exit_code == 125
    assert done.stderr.startswith("error: no mesh is running\n  Start one with: mizzen up PATH")


def test_a_written_service_that_leads_there_is_as_good(api: FakeApi, errands: list[Errand]) -> None:
    listing(api, written("web", {"app": "web"}))
    for options in ((), ("--service", "web")):
        done = run("run", "--port", "http:8080", *options, "web")
        assert (done.exit_code, done.stderr) == (7, "")


def test_where_nobody_could_call_it_that_is_said(api: FakeApi, errands: list[Errand]) -> None:
    listing(api, written("api", {"app": "api"}))
    done = run("run", "--port", "http:8080", "web")
    assert done.exit_code == 7
    assert done.stderr == (
        "mizzen: no Service leads to web: nobody can call it by a name; give it one with --service NAME\n"
    )


@pytest.mark.parametrize(
    ("service", "message"),
    [
        (
            written("web", {"app": "shop", "tier": "1"}),
            "it selects app=shop, tier=1; add --label app=shop --label tier=1",
        ),
        (written("web", None), "it has no selector"),
        (written("web", {"app": "web"}, {"port": 80}, {"port": 90}), "it leads to 2 ports 80, 90; use --port"),
    ],
)
def test_a_written_service_that_leads_elsewhere_is_an_error(
    api: FakeApi, errands: list[Errand], service: dict[str, Any], message: str
) -> None:
    listing(api, service)
    done = run("run", "--port", "http:8080", "--service", "web", "web")
    assert done.exit_code == 125
    assert f"Service default/web is written, and does not lead here: {message}" in done.stderr


def test_a_service_that_another_run_offers_is_shared(api: FakeApi, errands: list[Errand]) -> None:
    offered = written("web", {"service.mizzen.dev/web": "true"}, {"port": 8080}, foundBy="mizzen run")
    listing(api, offered)
    done = run("run", "--port", "http:8080", "--service", "web", "web")
    assert (done.exit_code, done.stderr) == (7, "")
