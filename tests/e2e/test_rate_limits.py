"""Rate limits: how many requests come through to workloads and through gateways, counted; and that no connection ends by them."""

from __future__ import annotations

import contextlib
import json
import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support import protocols, small
from tests.support.meshes import ROOT, Mesh, running
from tests.support.polling import eventually
from tests.support.visitors import Visitor
from tests.support.written import gateway, gateway_workload, rate_limit, server, virtual_service

pytestmark = [pytest.mark.e2e, pytest.mark.envoy, pytest.mark.timeout(120)]

LIMITER = small.joined(
    small.service("limiter", 9000, "grpc"),
    small.workload("limiter", (sys.executable, str(protocols.SUPPORT / "limiting.py"), "$(PORT)", "3")).replace(
        "name: http, containerPort", "name: grpc, containerPort"
    ),
)
HOST = "shop.example.com"
NAMED = {"name": "slow", "match": [{"uri": {"prefix": "/slow"}}]}


def port(name: str = "http-plain") -> dict[str, Any]:
    return {"port": {"number": protocols.PORTS[name]}}


def bound() -> str:
    destination = {"route": [{"destination": {"host": "server", **port()}}]}
    return virtual_service("shop", {**NAMED, **destination}, destination, hosts=[HOST], gateways=["edge"])


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    file = tmp_path_factory.mktemp("limits") / "mesh.yaml"
    texts = [protocols.speaking("server"), protocols.idle("client"), LIMITER]
    written = [gateway_workload(), gateway("edge", server(80, HOST)), bound()]
    file.write_text(small.joined(*texts) + "".join(written))
    with running(file) as mesh:
        mesh.apply_text(protocols.route("server"))
        yield mesh


@pytest.fixture
def limited(mesh: Mesh) -> Iterator[Mesh]:
    yield mesh
    for one in mesh.get("/v1/resources", kind="RateLimit")["items"]:
        mesh.delete("ratelimit", one["metadata"]["name"])


def limit(
    mesh: Mesh, *limits: dict[str, Any], app: str = "server", shared: dict[str, Any] | None = None, **spec: Any
) -> None:
    labels = {"istio": "ingressgateway"} if app == "ingress" else {"app": app}
    given = {
        "selector": {"matchLabels": labels},
        **({"limits": list(limits)} if limits else {"global": shared}),
        **spec,
    }
    mesh.apply_text(rate_limit(app, **given))


def sent(mesh: Mesh, count: int, path: str = "/", name: str = "http-plain", **headers: str) -> dict[str, Any]:
    arguments = ["server", name, str(count), path, json.dumps(headers)]
    command = ["exec", "client-0", "--", sys.executable, str(protocols.SUPPORT / "counting.py"), *arguments]
    found: dict[str, Any] = json.loads(mesh.cli(*command).stdout)
    return found


def per_day(name: str = "all", requests: int = 5, **more: Any) -> dict[str, Any]:
    return {"name": name, "requests": requests, "unit": "DAY", **more}


def test_so_many_requests_come_through_and_no_more(limited: Mesh) -> None:
    limit(limited, per_day(), responseHeaders=True)
    found = sent(limited, 12)
    assert found["statuses"] == {"200": 5, "429": 7}
    assert found["headers"]["x-ratelimit-limit"].startswith("5")
    assert found["headers"]["x-ratelimit-remaining"] == "0"


def test_a_bucket_may_hold_more_or_less_than_is_added(limited: Mesh) -> None:
    limit(limited, per_day(burst=2), status=503)
    assert sent(limited, 6)["statuses"] == {"200": 2, "503": 4}


def test_the_bucket_is_filled_with_time(limited: Mesh) -> None:
    limit(limited, {"name": "all", "requests": 1000, "unit": "SECOND", "burst": 1})
    found = sent(limited, 300)["statuses"]
    assert found["200"] > 10


def test_only_what_fits_the_match_is_counted(limited: Mesh) -> None:
    match = {
        "uri": {"exact": "/a"},
        "method": {"exact": "POST"},
        "headers": {"x-kind": {"prefix": "slow"}},
        "queryParams": {"deep": {"exact": "yes"}},
    }
    limit(limited, per_day(match=match))
    slow = {":method": "POST", "x-kind": "slow one"}
    assert sent(limited, 7, "/a?deep=yes", **slow)["statuses"] == {"200": 5, "429": 2}
    assert sent(limited, 7, "/a?deep=yes", **{**slow, "x-kind": "fast"})["statuses"] == {"200": 7}
    assert sent(limited, 7, "/a?deep=no", **slow)["statuses"] == {"200": 7}
    assert sent(limited, 7, "/ab?deep=yes", **slow)["statuses"] == {"200": 7}
    assert sent(limited, 7, "/a?deep=yes", **{**slow, ":method": "GET"})["statuses"] == {"200": 7}


def test_each_value_has_a_bucket_of_its_own(limited: Mesh) -> None:
    limit(limited, per_day(requests=2, per=[{"header": "X-User"}]))
    assert sent(limited, 6, **{"x-user": "one"})["statuses"] == {"200": 2, "429": 4}
    assert sent(limited, 30, **{"x-user": "user {}"})["statuses"] == {"200": 30}
    assert sent(limited, 6)["statuses"] == {"200": 6}


def test_of_several_limits_each_has_to_let_a_request_through(limited: Mesh) -> None:
    limit(limited, per_day("all", 8), per_day("posts", 3, match={"method": {"exact": "POST"}}))
    assert sent(limited, 5, **{":method": "POST"})["statuses"] == {"200": 3, "429": 2}
    assert sent(limited, 10)["statuses"]["429"] >= 2


def test_a_shadow_and_a_share_of_nothing_refuse_nothing(limited: Mesh) -> None:
    limit(limited, per_day(requests=1, shadow=True))
    assert sent(limited, 5)["statuses"] == {"200": 5}
    limit(limited, per_day(requests=1), enforced={"value": 0})
    assert sent(limited, 5)["statuses"] == {"200": 5}


def test_a_limit_is_for_requests_on_an_undeclared_port_too(limited: Mesh) -> None:
    limit(limited, per_day())
    assert sent(limited, 7, name="web")["statuses"] == {"200": 5, "429": 2}
    assert sent(limited, 7)["statuses"] == {"200": 5, "429": 2}  # each port by itself


def test_at_a_gateway_by_route_and_by_client(limited: Mesh) -> None:
    limit(limited, per_day(match={"route": "shop/slow"}, per=[{"clientAddress": True}]), app="ingress")
    assert at_gateway(limited, "/slow", 8) == {200: 5, 429: 3}
    assert at_gateway(limited, "/fast", 8) == {200: 8}


def at_gateway(mesh: Mesh, path: str, count: int) -> dict[int, int]:
    visitor, where = Visitor(Path("nobody")), mesh.gateway_port(80)
    return dict(Counter(visitor.get(where, HOST, path).status for _ in range(count)))


def test_a_server_that_counts_for_all(limited: Mesh) -> None:
    user = {
        "match": {"uri": {"prefix": "/asked"}},
        "entries": [{"key": "user", "header": "x-user"}, {"key": "at", "value": "shop"}],
    }
    asking: dict[str, Any] = {"server": {"host": "limiter", "port": 9000}, "domain": "shop", "descriptors": [user]}
    limit(limited, shared={**asking, "timeout": "2s"})
    assert sent(limited, 5, "/asked", **{"x-user": "one"})["statuses"] == {"200": 3, "429": 2}
    assert sent(limited, 5, "/other", **{"x-user": "one"})["statuses"] == {"200": 5}
    assert sent(limited, 5, "/asked", **{"x-user": "two"})["statuses"] == {"200": 3, "429": 2}
    assert "shop user=one,at=shop" in limited.cli("logs", "limiter-0").stdout


def test_who_gets_no_answer_lets_through_or_refuses(limited: Mesh) -> None:
    entry = {"entries": [{"key": "any", "value": "one"}]}
    asking: dict[str, Any] = {
        "server": {"host": "server", "port": protocols.PORTS["grpc"]},
        "domain": "shop",
        "descriptors": [entry],
    }
    limit(limited, shared=asking)
    assert sent(limited, 5)["statuses"] == {"200": 5}
    limit(limited, shared={**asking, "failureMode": "DENY"})
    assert sent(limited, 5)["statuses"] == {"500": 5}


OPENING = """
import os, socket, sys
where = os.environ["SERVER_SERVICE_HOST"], int(os.environ["SERVER_SERVICE_PORT_TCP_TALK"])
held = [socket.socket() for _ in range(int(sys.argv[1]))]
def heard(one):
    try:
        one.settimeout(10)
        one.connect(where)
        return one.recv(9) == b"hello\\n"
    except ConnectionResetError:
        return False
print(sum(map(heard, held)))
"""


def opened(mesh: Mesh, count: int) -> int:
    """Opens connections, one after the other, and returns how many the server has spoken on while all were open."""
    return int(mesh.cli("exec", "client-0", "--", sys.executable, "-c", OPENING, str(count)).stdout)


def connections(mesh: Mesh, **given: Any) -> None:
    mesh.apply_text(rate_limit("server", selector={"matchLabels": {"app": "server"}}, connections=given))


def test_so_many_connections_are_taken_and_no_more(limited: Mesh) -> None:
    connections(limited, new=3, unit="DAY")
    assert opened(limited, 8) == 3
    assert opened(limited, 2) == 0
    assert sent(limited, 9)["statuses"] == {"200": 9}  # on a port for requests connections are not counted
    limited.delete("ratelimit", "server")
    assert opened(limited, 8) == 8


def test_so_many_connections_are_open_at_a_time(limited: Mesh) -> None:
    connections(limited, open=2)
    assert opened(limited, 5) == 2
    eventually(lambda: opened(limited, 2) == 2, "those that have ended are counted no longer")


def test_no_connection_ends_when_a_limit_comes_changes_or_goes(limited: Mesh) -> None:
    with protocols.holding(limited, "client-0", "server") as held, contextlib.ExitStack() as stack:
        url = f"http://server:{protocols.PORTS['http-plain']}/"
        load = stack.enter_context(limited.load("client-0", url, 100.0))
        for number in range(5):
            limit(limited, {"name": "all", "requests": 10000 + number, "unit": "SECOND"})
        limited.cli("delete", "ratelimit", "server", "--wait")
        out, err = held.communicate("", timeout=60)
        assert held.returncode == 0, err
    assert json.loads(out)["after"] == ["after", "after"]
    load.assert_nothing_failed(at_least=50)


def test_undeclared_ports_where_capture_is_explicit(mesh: Mesh) -> None:
    told = protocols.told(mesh, "client-0", "server")
    assert (told["undeclared HTTP"]["status"], told["undeclared HTTP"]["route"]) == (200, "mesh")
    assert told["undeclared gRPC"] == {"reply": "good day", "route": "mesh", "trailer": "last"}
    assert told["gRPC-Web"]["reply"] == "good day"
    late, declared = told["undeclared server first"], told["declared server first"]
    assert late["answer"] == declared["answer"] == "hello\n"
    assert declared["seconds"] < 0.9 < late["seconds"] < 3


def test_the_readme_of_rate_limits() -> None:
    example = ROOT / "examples" / "rate-limits"
    commands = re.findall(r"^    mizzen (.+)$", (example / "README.md").read_text(), re.MULTILINE)
    assert commands.pop(0) == "up examples/rate-limits/mesh.yaml"
    with running(example / "mesh.yaml") as mesh:
        said = [mesh.cli(*command.split(), cwd=ROOT).stdout for command in commands]
    counts = [text.split("\n")[:-1] for text, command in zip(said, commands, strict=True) if "ask.py" in command]
    assert counts == [["200 30"], ["200 20", "429 10"], ["200 3", "429 2"], ["200 3", "429 2"], ["200 5"]]
