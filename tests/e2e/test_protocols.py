"""What ports may speak, declared or not, from and to each kind of proxy; and that what was opened before changes stays open."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Any

import pytest
from tests.support import protocols, small
from tests.support.meshes import Mesh, running
from tests.support.polling import eventually
from tests.support.written import proxy_config

pytestmark = [pytest.mark.e2e, pytest.mark.envoy, pytest.mark.privileged, pytest.mark.timeout(180)]

CHANGES = 100
KINDS = ("sidecar", "node")


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    """A client and a server have a sidecar, and another two the node's proxy."""
    file = tmp_path_factory.mktemp("protocols") / "mesh.yaml"
    made = [
        (protocols.speaking(f"server-{one}", f", proxy: {one}"), protocols.idle(f"client-{one}", f", proxy: {one}"))
        for one in KINDS
    ]
    file.write_text(small.joined(*(text for texts in made for text in texts)))
    with running(file, capture="transparent") as mesh:
        mesh.apply_text(small.joined(*(protocols.route(f"server-{kind}") for kind in KINDS)))
        yield mesh


@pytest.fixture(scope="module", params=[(client, server) for client in KINDS for server in KINDS], ids="-to-".join)
def told(request: pytest.FixtureRequest, mesh: Mesh) -> dict[str, dict[str, Any]]:
    """What a client was answered by a server, by what it spoke."""
    client, server = request.param
    return protocols.told(mesh, f"client-{client}-0", f"server-{server}")


@pytest.mark.parametrize("port", ["declared", "undeclared"])
def test_requests_are_found_and_routed_whether_or_not_the_port_declares_them(
    told: dict[str, dict[str, Any]], port: str
) -> None:
    answer = told[f"{port} HTTP"]
    assert (answer["status"], answer["route"]) == (200, "mesh")
    said = json.loads(answer["body"])
    assert said["line"] == "GET / HTTP/1.1"
    assert "URI=spiffe://cluster.local/ns/default/sa/default" in said["by"]  # read at the server's end, too


def test_http2_without_an_upgrade_is_found_as_well_and_its_trailers_pass(told: dict[str, dict[str, Any]]) -> None:
    assert told["undeclared gRPC"] == {"reply": "good day", "route": "mesh", "trailer": "last"}


@pytest.mark.trap(31)
def test_a_server_that_speaks_first_on_an_undeclared_port_is_heard_after_a_second(
    told: dict[str, dict[str, Any]],
) -> None:
    late, declared = told["undeclared server first"], told["declared server first"]
    assert (late["answer"], declared["answer"]) == ("hello\n", "hello\n")
    assert 0.9 < late["seconds"] < 3
    assert declared["seconds"] < 0.9


def test_other_bytes_of_a_client_keep_nobody_waiting(told: dict[str, dict[str, Any]]) -> None:
    answer = told["undeclared client first"]
    assert answer["answer"].startswith("hello\n")
    assert answer["seconds"] < 0.9


def test_http_1_0_is_refused_where_requests_are_declared_and_carried_where_nothing_is(
    told: dict[str, dict[str, Any]],
) -> None:
    assert told["declared HTTP/1.0"]["answer"].startswith("HTTP/1.1 426 ")
    assert told["undeclared HTTP/1.0"]["answer"].startswith("HTTP/1.1 200 ")


def test_http_1_0_is_taken_where_a_proxy_config_says_so(mesh: Mesh) -> None:
    """Without a start of any proxy: those of nodes are started without ProxyConfigs."""
    request = r"GET / HTTP/1.0\r\nHost: server-node\r\n\r\n"
    where = ("server-node", protocols.PORTS["http-plain"])
    ask = f"import socket; c = socket.create_connection({where}); c.sendall(b'{request}'); print(c.recv(9999).decode())"
    chosen = {"matchLabels": {"app": "client-node"}}
    mesh.apply_text(proxy_config("old", selector=chosen, environmentVariables={"ISTIO_META_HTTP10": "1"}))

    def answer() -> str:
        return mesh.cli("exec", "client-node-0", "--", "python3", "-c", ask).stdout

    # The client's proxy takes it, and speaks HTTP/1.1 to the server's.
    eventually(lambda: answer().startswith("HTTP/1.0 200 "), "the server answers a client of HTTP/1.0")
    mesh.delete("proxyconfig", "old")
    assert answer().startswith("HTTP/1.1 426 ")


def test_grpc_web_reaches_a_grpc_server(told: dict[str, dict[str, Any]]) -> None:
    answer = told["gRPC-Web"]
    assert (answer["status"], answer["type"], answer["reply"]) == (200, "application/grpc-web+proto", "good day")
    assert {"grpc-status:0", "x-trailer:last"} <= set(answer["trailers"])


def test_web_sockets(told: dict[str, dict[str, Any]]) -> None:
    assert told["declared WebSocket"] == told["undeclared WebSocket"] == {"answer": "good day"}


def test_who_waits_for_leave_to_send_a_body_gets_it(told: dict[str, dict[str, Any]]) -> None:
    assert told["continued"]["answer"].startswith("HTTP/1.1 100 ")


def test_a_web_socket_and_a_stream_outlive_a_hundred_changes_and_no_request_fails(mesh: Mesh) -> None:
    """Of routes, faults, retries and subsets; from each kind of proxy to the other."""
    pairs = [("client-sidecar-0", "server-node"), ("client-node-0", "server-sidecar")]
    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(protocols.holding(mesh, *pair)) for pair in pairs]
        urls = [(client, f"http://{server}:{protocols.PORTS['http-plain']}/") for client, server in pairs]
        loads = [stack.enter_context(mesh.load(client, url, 100.0)) for client, url in urls]
        for number in range(CHANGES):
            server = pairs[number % 2][1]
            changed = protocols.route(server, 100 + number, 1 + number % 3, number % 50)
            mesh.change(small.joined(changed, subsets(server, number)))
        for one in held:
            out, err = one.communicate("", timeout=60)
            assert one.returncode == 0, err
            assert json.loads(out) == {"before": ["before", "before"], "after": ["after", "after"]}
    for load in loads:
        load.assert_nothing_failed(at_least=200)


def subsets(host: str, number: int) -> str:
    return f"""
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: {host}}}
spec:
  host: {host}
  subsets: [{{name: v{number}, labels: {{app: {host}}}}}]
"""
