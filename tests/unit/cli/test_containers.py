"""containers, attach, detach: the containers of this host, and which of them are in the mesh."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from tests.unit.cli.fakes import FakeApi, container, instance, out, run

from mizzen.registry.reports import InstancePort

WEB_PORT = InstancePort(number=9080, application=9080, inbound=9080, name="http-9080", app_protocol="http")
LABELS = {"app": "web", "service.mizzen.dev/web": "true", "service.mizzen.dev/front": "true"}
REFUSED = container("infra", "Refused", project="", instance="", namespace="", reason="it has no network")


@pytest.fixture
def host(api: FakeApi) -> FakeApi:
    api.on(
        "GET /v1/containers",
        {"items": [container("web"), container("db", "Outside"), REFUSED], "problems": ["the engine is away"]},
    )
    web = instance("web", "web", ports=(WEB_PORT,), labels=LABELS, address="10.89.0.2", proxies=("vm.mizzen-system",))
    db = instance("db", "db", ports=(), ready=False, capture="none", message="its health check has not passed")
    api.on("GET /v1/workloads", {"items": [web, db]})
    return api


def test_containers_are_shown_with_what_they_are_in_the_mesh(host: FakeApi) -> None:
    result = run("containers")
    assert (result.exit_code, result.stderr) == (0, "warning: the engine is away\n")
    assert result.stdout == (
        "NAME    PROJECT   STATE      PROXY   READY   PORTS       REASON\n"
        "infra   -         Refused    -       -       -           it has no network\n"
        "db      shop      Outside    -       no      -           its health check has not passed\n"
        "web     shop      Attached   node    yes     9080/http   -\n"
    )
    assert run("get", "containers").stdout == result.stdout
    assert run("get", "container").stdout == result.stdout


def test_wide_shows_the_instance_and_the_names_by_which_it_is_called(host: FakeApi) -> None:
    line = run("containers", "-o", "wide").stdout.splitlines()[3]
    assert line.split() == [
        "web",
        "shop",
        "Attached",
        "node",
        "yes",
        "9080/http",
        "web.default",
        "web,front",
        "10.89.0.2",
        "776562007765",
        "-",
    ]


def test_containers_as_data(host: FakeApi) -> None:
    web = json.loads(run("containers", "-o", "json").stdout)[2]
    assert web == yaml.safe_load(run("get", "containers", "-o", "yaml").stdout)[2]
    assert web | {"id": ""} == {
        "name": "web",
        "id": "",
        "project": "shop",
        "state": "Attached",
        "reason": "",
        "instance": "web",
        "namespace": "default",
        "proxy": "node",
        "ready": True,
        "address": "10.89.0.2",
        "ports": ["9080/http"],
        "services": ["web", "front"],
    }


def test_containers_are_named_with_their_kind_as_they_are_listed(host: FakeApi) -> None:
    assert run("containers", "-o", "name").stdout == "container/infra\ncontainer/db\ncontainer/web\n"
    host.on("POST /v1/attachments", {"items": [container("web")]})
    for arguments in (["attach"], ["containers"], ["get"]):
        run(*arguments, "container/web", "ctr/db")
    assert _asked(host)["targets"] == ["web", "db"]
    asked = host.queries("GET /v1/containers")[1:]
    assert asked == [
        {"target": "db", "look": "true"},
        {"target": "db", "look": "true"},
    ]  # of several the fake keeps the last
    host.on("GET /v1/logs", "hello\n")
    assert out("logs", "container/web", "--proxy") == "hello\n"


def test_while_its_proxy_changes_a_container_has_both(host: FakeApi) -> None:
    host.on("GET /v1/workloads", {"items": [instance("web", "web", proxies=("web.default", "vm.mizzen-system"))]})
    assert run("containers").stdout.splitlines()[3].split()[3] == "sidecar,node"


def test_what_does_not_run_is_said(host: FakeApi) -> None:
    host.on("GET /v1/containers", {"items": [container("web")], "unmatched": ["nothing"]})
    result = run("containers", "web", "nothing")
    assert (result.exit_code, result.stderr) == (1, "error: no container or project nothing runs [NotFound]\n")
    assert result.stdout.splitlines()[1].startswith("web ")


def test_no_container_at_all(host: FakeApi) -> None:
    host.on("GET /v1/containers", {})
    result = run("containers")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == "No container runs on this host.\n"
    assert out("containers", "-o", "json") == "[]\n"


# --- attach and detach


def _asked(api: FakeApi) -> Any:
    (body,) = api.bodies("POST /v1/attachments")
    return body


def test_attach_says_what_became_of_each(host: FakeApi) -> None:
    host.on("POST /v1/attachments", {"items": [container("web"), container("db")]})
    assert out("attach", "shop") == "container/web attached\ncontainer/db attached\n"
    assert _asked(host) == {"targets": ["shop"], "proxy": "", "timeout": 30.0, "existing": True}


def test_the_proxy_and_the_wait_are_chosen(host: FakeApi) -> None:
    host.on("POST /v1/attachments", {"items": [container("web")]})
    out("attach", "web", "7765", "--proxy", "node", "--timeout", "2m")
    assert _asked(host) == {"targets": ["web", "7765"], "proxy": "node", "timeout": 120.0, "existing": True}


def test_those_are_named_that_keep_another_proxy(host: FakeApi) -> None:
    web = container("web", proxy="sidecar", by="web")
    host.on("POST /v1/attachments", {"items": [web, container("db", proxy="node", by="shop")]})
    result = run("attach", "shop", "--proxy", "node")
    assert (result.exit_code, result.stdout) == (0, "container/web attached\ncontainer/db attached\n")
    assert result.stderr == (
        "web keeps its sidecar: it is attached by its own name too, which is more exact than shop; to change it: mizzen"
        " attach web --proxy node\n"
    )
    assert out("attach", "shop") == result.stdout


def test_detach(host: FakeApi) -> None:
    host.on("POST /v1/attachments", {"items": [container("web", "Outside")]})
    assert out("detach", "--all") == "container/web detached\n"
    assert _asked(host) == {"targets": ["*"], "proxy": "none", "timeout": 30.0, "existing": True}


@pytest.mark.parametrize("command", ["attach", "detach"])
@pytest.mark.parametrize("arguments", [[], [""], ["web", "--all"]])
def test_wrong_usage(api: FakeApi, command: str, arguments: list[str]) -> None:
    assert run(command, *arguments).exit_code == 2


@pytest.mark.parametrize(
    ("command", "found", "line"),
    [
        ("attach", REFUSED, "refused: infra: it has no network"),
        (
            "attach",
            container("web", "Attaching", reason="waiting for its certificate"),
            "attaching: web: waiting for its certificate",
        ),
        ("attach", container("web", "Attaching"), "attaching: web: its proxy is not ready yet"),
        (
            "attach",
            container("web", "Outside", reason="its label mizzen.dev/mesh is false"),
            "outside: web: its label mizzen.dev/mesh is false",
        ),
        (
            "detach",
            container("web", by="web"),
            "attached: web: it is attached by its own name too, which is more exact; mizzen detach web",
        ),
        (
            "detach",
            container("web", "Detaching"),
            "detaching: web: the requests that are on their way to it are ending",
        ),
    ],
)
def test_what_is_not_done_is_said_with_the_reason(host: FakeApi, command: str, found: Any, line: str) -> None:
    done = container("db", "Attached" if command == "attach" else "Outside")
    host.on("POST /v1/attachments", {"items": [done, found]})
    result = run(command, "db", found.name)
    assert (result.exit_code, result.stdout) == (1, f"container/db {command}ed\n")
    assert result.stderr == f"{line}\nerror: 1 of 2 containers not {command}ed\n  See: mizzen containers\n"


@pytest.mark.parametrize("targets", [["shop"], ["--all"]])
def test_who_attaches_many_does_not_mean_those_that_stay_outside(host: FakeApi, targets: list[str]) -> None:
    outside = container("db", "Outside", reason="its label mizzen.dev/mesh is false")
    detached = container("cache", "Outside", by="cache")
    host.on("POST /v1/attachments", {"items": [container("web"), outside, detached]})
    result = run("attach", *targets)
    assert (result.exit_code, result.stdout) == (0, "container/web attached\n")
    assert result.stderr == (
        "outside: db: its label mizzen.dev/mesh is false\n"
        "outside: cache: it was detached by its own name, which is more exact; mizzen attach cache\n"
    )


def test_without_a_wait_it_is_on_the_way(host: FakeApi) -> None:
    found = [container("web"), container("db", "Outside"), container("cache", "Attaching", reason="no certificate")]
    host.on("POST /v1/attachments", {"items": found, "unmatched": ["later"], "taken": False})
    result = run("attach", "shop", "later", "--no-wait")
    assert result.exit_code == 0
    assert result.stdout == "container/web attached\ncontainer/db attaching\ncontainer/cache attaching\n"
    assert result.stderr == "asked for; mizzen containers shows what becomes of it\n"
    assert _asked(host)["timeout"] == 0.0


def test_a_node_that_does_not_answer_in_time(host: FakeApi) -> None:
    host.on("POST /v1/attachments", {"unmatched": ["web"], "problems": ["the engine is away"], "taken": False})
    result = run("attach", "web", "--timeout", "1s")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == (
        "warning: the engine is away\n"
        "error: the node has not done what is asked within 1 s; it goes on\n"
        "  See: mizzen containers; mizzen status\n"
    )


def test_what_does_not_run_yet_is_attached_when_it_starts(host: FakeApi) -> None:
    host.on("POST /v1/attachments", {"items": [container("web")], "unmatched": ["far"]})
    result = run("attach", "web", "far", "--future")
    assert (result.exit_code, result.stdout) == (0, "container/web attached\n")
    assert result.stderr == (
        "far attached: no container or project of that name runs; what is called so is attached when it starts\n"
    )
    assert _asked(host)["existing"] is False
    host.on("POST /v1/attachments", {"unmatched": ["far"]})
    assert run("detach", "far").stderr == "far detached: no container or project of that name runs\n"


def test_what_is_attached_and_does_not_exist_is_named(host: FakeApi) -> None:
    host.on("GET /v1/containers", {"items": [container("web")], "waiting": ["shpo", "far"]})
    result = run("containers")
    assert (result.exit_code, len(result.stdout.splitlines())) == (0, 2)
    assert result.stderr == "attached, but nothing is called so: shpo, far (mizzen detach NAME forgets it)\n"
    assert run("containers", "web").stderr == ""


def test_all_of_none(host: FakeApi) -> None:
    host.on("POST /v1/attachments", {})
    host.on("GET /v1/containers", {})
    result = run("attach", "*")
    assert (result.exit_code, result.stderr) == (0, "no container runs; all are attached when they start\n")


def test_without_an_engine_nothing_is_attached(host: FakeApi) -> None:
    nothing = {"problems": ["there is no container engine: /run/docker.sock does not exist"]}
    host.on("POST /v1/attachments", nothing | {"unmatched": ["web"]})
    host.on("GET /v1/containers", nothing)
    result = run("attach", "web")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == (
        "warning: there is no container engine: /run/docker.sock does not exist\n"
        "error: no container can be attached before that is mended\n"
    )


def test_only_what_the_named_containers_disagree_about_is_told(host: FakeApi) -> None:
    clash = "service web: port 80 is http in container web and tcp in container db; it is tcp until their labels agree"
    found = [container("web", warnings=(clash,)), container("db", "Outside", warnings=(clash,), reason="paused")]
    host.on("GET /v1/containers", {"items": found})
    result = run("containers")
    db, web = result.stdout.splitlines()[1:]
    assert (result.stderr, db.endswith(f"   paused; {clash}"), web.endswith(f"   {clash}")) == ("", True, True)
    host.on("POST /v1/attachments", {"items": found})
    assert run("detach", "--all").stderr.count(clash) == 1
    host.on("POST /v1/attachments", {"items": [container("cache")]})
    assert run("attach", "cache").stderr == ""


def test_what_a_container_says_is_not_said_again(host: FakeApi) -> None:
    problems = ["container infra stays outside the mesh: it has no network", "label x says nothing"]
    host.on("POST /v1/attachments", {"items": [REFUSED], "problems": problems})
    assert run("attach", "infra").stderr.splitlines()[:2] == [
        "refused: infra: it has no network",
        "warning: label x says nothing",
    ]


def test_on_a_terminal_the_wait_is_seen(host: FakeApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mizzen.cli.attaching.on_terminal", lambda: True)
    host.on("POST /v1/attachments", {"items": [container("web")]})
    assert run("attach", "web").stdout == "container/web attached\n"
