"""What rules for destinations do in real Envoys, by what arrived where: places, budgets, selectors, PROXY headers, tunnels."""

from __future__ import annotations

import contextlib
import json
import socketserver
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.support.meshes import Mesh, running
from tests.support.small import joined, service
from tests.support.written import destination_rule, service_entry, to, virtual_service

pytestmark = [pytest.mark.e2e, pytest.mark.envoy, pytest.mark.timeout(180)]

# Answers with its name; with 503 while its file is there, and slowly; counts what arrives and tells it at /count.
SERVER = """
import http.server, os, pathlib, sys, threading, time
failing, lock, arrived = pathlib.Path(os.environ["FAILING"]), threading.Lock(), [0]
class Answer(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 65536
    def do_GET(self):
        status, body = 200, os.environ["ANSWER"]
        if self.path == "/count":
            body, arrived[0] = str(arrived[0]), 0
        else:
            with lock:
                arrived[0] += 1
            if failing.exists():
                time.sleep(0.1)
                status = 503
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())
    def log_message(self, *_):
        pass
http.server.ThreadingHTTPServer.request_queue_size = 128
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Answer).serve_forever()
"""

# Sends that many requests from that many threads, and prints how often it got which answer.
CALL = """
import collections, concurrent.futures, json, os, sys, urllib.error, urllib.request
base = f"http://{os.environ[sys.argv[1] + '_SERVICE_HOST']}:{os.environ[sys.argv[1] + '_SERVICE_PORT']}"
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
def call(_):
    try:
        with opener.open(base + sys.argv[2], timeout=20) as answer:
            return answer.read().decode()
    except urllib.error.HTTPError as error:
        return str(error.code)
with concurrent.futures.ThreadPoolExecutor(int(sys.argv[4])) as pool:
    print(json.dumps(collections.Counter(pool.map(call, range(int(sys.argv[3]))))))
"""

# Says hello to a server that reads bytes, and prints what it heard before that.
HELLO = """
import os, socket, sys
address = (os.environ[sys.argv[1] + "_SERVICE_HOST"], int(os.environ[sys.argv[1] + "_SERVICE_PORT"]))
with socket.create_connection(address, timeout=20) as connection:
    connection.sendall(b"hello")
    print(b"".join(iter(lambda: connection.recv(65536), b"")).decode())
"""


class _Bytes(socketserver.BaseRequestHandler):
    """Reads until it is greeted, and tells what came before that. It grants all that asks for a tunnel."""

    def handle(self) -> None:
        heard = b""
        granted = False
        while not heard.endswith(b"hello"):
            if not (more := self.request.recv(65536)):
                return
            heard += more
            if heard.startswith(b"CONNECT ") and heard.endswith(b"\r\n\r\n") and not granted:
                granted = True
                self.request.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        self.request.sendall(repr(heard).encode())


@dataclass(frozen=True)
class World:
    mesh: Mesh
    folder: Path

    def call(self, service: str, path: str = "/", count: int = 20, threads: int = 1, client: str = "client") -> Any:
        done = self.mesh.cli(
            *("exec", f"{client}-0", "--", "python3", "-c", CALL, service, path, str(count), str(threads))
        )
        return json.loads(done.stdout)

    def arrived(self) -> int:
        """Returns how many requests have come to ``flaky`` since this was asked last."""
        (count,) = self.call("FLAKY", "/count", 1)
        return int(count)

    def heard(self, host: str) -> str:
        return self.mesh.cli("exec", "client-0", "--", "python3", "-c", HELLO, host).stdout

    @contextlib.contextmanager
    def failing(self, workload: str) -> Iterator[None]:
        file = self.folder / f"{workload}.failing"
        file.touch()
        try:
            yield
        finally:
            file.unlink()

    @contextlib.contextmanager
    def applied(self, *texts: str) -> Iterator[None]:
        """Has these resources in force while the context lasts."""
        self.mesh.apply_text("".join(texts))
        try:
            yield
        finally:
            self.mesh.delete("-f", "-", text="".join(texts))


def _workload(name: str, app: str, place: str, folder: Path) -> str:
    document = {
        "apiVersion": "mizzen.dev/v1alpha1",
        "kind": "Workload",
        "metadata": {"name": name, "labels": {"app": app, "istio-locality": place}},
        "spec": {
            "command": ["python3", "-c", SERVER, "$(PORT)"],
            "env": [
                {"name": "ANSWER", "value": name},
                {"name": "FAILING", "value": str(folder / f"{name}.failing")},
            ],
            "ports": [{"name": "http", "containerPort": 8080}],
        },
    }
    return f"\n{json.dumps(document)}\n"


def _outside(port: int) -> Iterator[str]:
    for name in ("raw", "target", "forwarder"):
        yield service_entry(
            name, ("TCP", 9000), resolution="STATIC", endpoints=[{"address": "127.0.0.1", "ports": {"tcp-9000": port}}]
        ).removeprefix("---")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder: Path = tmp_path_factory.mktemp("destinations")
    places = (("client", "eu.a"), ("other", "eu.a"), ("reviews-eu", "eu.a"), ("reviews-us", "us.b"), ("flaky", "eu.a"))
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Bytes) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            workloads = [_workload(name, name.partition("-")[0], place, folder) for name, place in places]
            file = folder / "mesh.yaml"
            outside = _outside(server.server_address[1])
            file.write_text(joined(service("reviews"), service("flaky"), *workloads, *outside))
            with running(file, capture="explicit") as mesh:
                yield World(mesh, folder)
        finally:
            server.shutdown()
            thread.join()


def locality(name: str, **setting: Any) -> str:
    policy: dict[str, Any] = {"loadBalancer": {"localityLbSetting": setting}}
    return destination_rule(name, host="reviews", trafficPolicy=policy)


def test_calls_stay_near_until_what_is_near_fails(world: World) -> None:
    detection = {"consecutive5xxErrors": 1, "interval": "0.1s", "baseEjectionTime": "60s", "maxEjectionPercent": 100}
    with world.applied(destination_rule("reviews", trafficPolicy={"outlierDetection": detection})):
        assert world.call("REVIEWS") == {"reviews-eu": 20}
        with world.failing("reviews-eu"):
            answers = world.call("REVIEWS")
            assert answers.get("503", 0) <= 2
            assert world.call("REVIEWS") == {"reviews-us": 20}


def test_places_get_their_shares_of_the_requests(world: World) -> None:
    with world.applied(locality("reviews", distribute=[{"from": "eu/*", "to": {"eu/a": 80, "us/*": 20}}])):
        answers = world.call("REVIEWS", count=500, threads=4)
        assert sum(answers.values()) == 500
        assert 340 <= answers["reviews-eu"] <= 450
        assert set(answers) == {"reviews-eu", "reviews-us"}


def test_a_rule_may_be_for_one_caller(world: World) -> None:
    setting = {"distribute": [{"from": "*", "to": {"us/*": 100}}]}
    rule = destination_rule(
        "far",
        host="reviews",
        workloadSelector={"matchLabels": {"app": "client"}},
        trafficPolicy={"loadBalancer": {"localityLbSetting": setting}},
    )
    with world.applied(rule):
        assert world.call("REVIEWS") == {"reviews-us": 20}
        assert set(world.call("REVIEWS", client="other")) == {"reviews-eu", "reviews-us"}


RETRIED = virtual_service("flaky", to("flaky", retries={"attempts": 2, "retryOn": "5xx"}))


def test_a_server_that_fails_gets_no_more_than_the_budget(world: World) -> None:
    unlimited = destination_rule("flaky", trafficPolicy={"connectionPool": {"http": {"maxRetries": 1000}}})
    written = destination_rule("flaky", trafficPolicy={"retryBudget": {"percent": 20}})
    none = destination_rule("flaky", trafficPolicy={"retryBudget": {"percent": 0, "minRetryConcurrency": 1}})
    counts = {}
    with world.failing("flaky"):
        for name, rules in (("written", (written,)), ("unlimited", (unlimited,)), ("least", (none,))):
            with world.applied(RETRIED, *rules):
                world.arrived()
                assert world.call("FLAKY", count=100, threads=20) == {"503": 100}
                counts[name] = world.arrived()
    assert counts["unlimited"] == 300
    assert 100 < counts["written"] <= 190
    assert 100 < counts["least"] < counts["written"]


@pytest.mark.parametrize(("version", "header"), [("V1", "PROXY TCP4 127.0.0.1"), ("V2", r"\r\n\r\n\x00\r\nQUIT\n")])
def test_a_server_is_told_who_calls_by_the_proxy_protocol(world: World, version: str, header: str) -> None:
    policy = {"proxyProtocol": {"version": version}}
    assert world.heard("RAW_EXAMPLE_COM").strip() == "b'hello'"
    with world.applied(destination_rule("raw", host="raw.example.com", trafficPolicy=policy)):
        assert header in world.heard("RAW_EXAMPLE_COM")


def test_connections_go_through_a_proxy_that_is_asked_to_connect(world: World) -> None:
    tunnel = {"tunnel": {"targetHost": "target.example.com", "targetPort": 9000}}
    rule = destination_rule("forwarder", host="forwarder.example.com", trafficPolicy=tunnel)
    route = virtual_service("target", hosts=["target.example.com"], http=[], tcp=[to("forwarder.example.com")])
    with world.applied(rule, route):
        heard = world.heard("TARGET_EXAMPLE_COM")
        assert heard.startswith("b'CONNECT target.example.com:9000 HTTP/1.1")
    assert world.heard("TARGET_EXAMPLE_COM").strip() == "b'hello'"
