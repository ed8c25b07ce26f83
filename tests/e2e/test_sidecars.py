"""Sidecars with real Envoys: what workloads may call, and how they are served; one of them is served by the node's proxy."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from tests.support.meshes import Mesh, running
from tests.support.polling import eventually
from tests.support.written import service, sidecar, virtual_service, workload

pytestmark = [pytest.mark.e2e, pytest.mark.envoy, pytest.mark.privileged, pytest.mark.timeout(120)]

# Answers with its name on the port that it is given, and with other words on another port and on an abstract Unix socket.
SERVER = """
import http.server, os, socketserver, sys, threading
class Answer(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.server.words)))
        self.end_headers()
        self.wfile.write(self.server.words)
    def address_string(self):
        return ""
    def log_message(self, *arguments):
        pass
class Unix(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    pass
name = os.environ["ANSWER"].encode()
for made, where, words in (
    (http.server.ThreadingHTTPServer, ("127.0.0.1", 9999), b"other"),
    (Unix, "\\0mizzen-test-" + os.environ["ANSWER"], b"unix"),
    (http.server.ThreadingHTTPServer, ("127.0.0.1", int(sys.argv[1])), name),
):
    server = made(where, Answer)
    server.words = words
    threading.Thread(target=server.serve_forever).start()
"""
FETCH = """
import sys, urllib.error, urllib.request
proxies = {"http": sys.argv[2]} if sys.argv[2] else {}
opener = urllib.request.build_opener(urllib.request.ProxyHandler(proxies))
request = urllib.request.Request(sys.argv[1], headers={"Host": sys.argv[3]} if sys.argv[3] else {})
try:
    with opener.open(request, timeout=10) as answer:
        print(answer.status, answer.read().decode())
except urllib.error.HTTPError as error:
    print(error.code)
except OSError as error:
    print(type(getattr(error, "reason", error)).__name__)
"""
FAR = "far.far.svc.cluster.local"
NEAR = "near.default.svc.cluster.local"
CLIENTS = ("client", "noded")


def server(name: str, namespace: str = "default", **spec: Any) -> str:
    return workload(
        name,
        ("http", 8080),
        namespace=namespace,
        command=["python3", "-c", SERVER, "$(PORT)"],
        env=[{"name": "ANSWER", "value": name}],
        **spec,
    )


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    folder = tmp_path_factory.mktemp("sidecars")
    ports = {"name": "http", "port": 80, "targetPort": 8080}
    texts = [server("client"), server("noded", proxy="node"), server("near"), server("far", "far")]
    texts += [service("near", ports), service("far", ports, namespace="far")]
    (folder / "mesh.yaml").write_text("".join(texts))
    with running(folder / "mesh.yaml", capture="transparent") as found:
        yield found


@pytest.fixture(autouse=True)
def _nothing_is_left(mesh: Mesh) -> Iterator[None]:
    yield
    for kind in ("sidecar", "virtualservice"):
        for item in json.loads(mesh.cli("get", kind, "-A", "-o", "json").stdout)["items"]:
            name, namespace = item["metadata"]["name"], item["metadata"]["namespace"]
            mesh.delete(kind, name, "-n", namespace)


def fetched(mesh: Mesh, client: str, url: str, *, proxy: str = "", host: str = "") -> str:
    return mesh.cli("exec", f"{client}-0", "--", "python3", "-c", FETCH, url, proxy, host).stdout.strip()


def expect(mesh: Mesh, client: str, url: str, words: str, **options: str) -> None:
    """What applies to names and listeners takes effect a moment after it was acknowledged."""
    said: list[str] = []

    def answers() -> bool:
        said.append(fetched(mesh, client, url, **options))
        return said[-1] == words

    eventually(answers, f"{client} gets {words} from {url}", 10)


@pytest.mark.parametrize("client", CLIENTS)
def test_what_is_hidden_is_unknown_and_the_rest_answers(mesh: Mesh, client: str) -> None:
    expect(mesh, client, "http://near/", "200 near")
    expect(mesh, client, "http://far.far/", "200 far")
    mesh.apply_text(sidecar("./*", "istio-system/*"))
    expect(mesh, client, "http://far.far/", "gaierror")
    expect(mesh, client, "http://near/", "200 near")
    assert fetched(mesh, "near", "http://far.far/") == "gaierror"


def test_each_obeys_its_own(mesh: Mesh) -> None:
    mesh.apply_text(sidecar("./*") + sidecar("far/*", name="noded", workloadSelector={"labels": {"app": "noded"}}))
    expect(mesh, "client", "http://far.far/", "gaierror")
    expect(mesh, "noded", "http://near/", "gaierror")
    expect(mesh, "client", "http://near/", "200 near")
    expect(mesh, "noded", "http://far.far/", "200 far")


@pytest.mark.parametrize("client", CLIENTS)
def test_routes_lead_to_what_has_no_name(mesh: Mesh, client: str) -> None:
    route = {"route": [{"destination": {"host": FAR}}]}
    mesh.apply_text(sidecar("./*") + virtual_service("near", route))
    expect(mesh, client, "http://near/", "200 far")
    expect(mesh, client, "http://far.far/", "gaierror")


@pytest.mark.parametrize("client", CLIENTS)
def test_a_port_that_the_application_calls_by_itself(mesh: Mesh, client: str) -> None:
    port = {"number": 80, "protocol": "HTTP", "name": "http"}
    mesh.apply_text(sidecar({"port": port, "captureMode": "NONE", "bind": "127.0.0.9", "hosts": [f"./{NEAR}"]}))
    expect(mesh, client, "http://127.0.0.9/", "200 near", host="near")


@pytest.mark.parametrize("client", CLIENTS)
def test_a_forward_proxy_for_what_it_selects(mesh: Mesh, client: str) -> None:
    port = {"number": 3128, "protocol": "HTTP_PROXY", "name": "proxy"}
    policy = {"mode": "REGISTRY_ONLY"}
    listener = {"port": port, "captureMode": "NONE", "hosts": ["far/*"]}
    mesh.apply_text(sidecar(listener, "./*", outboundTrafficPolicy=policy))
    proxy = "http://127.0.0.1:3128"
    expect(mesh, client, f"http://{FAR}/", "200 far", proxy=proxy)
    expect(mesh, client, f"http://{NEAR}/", "502", proxy=proxy)
    expect(mesh, client, "http://near/", "200 near")


@pytest.mark.trap(21)
@pytest.mark.parametrize("client", CLIENTS)
def test_unknown_hosts_where_only_known_ones_may_be_called(mesh: Mesh, client: str) -> None:
    mesh.apply_text(sidecar("./*", outboundTrafficPolicy={}))
    expect(mesh, client, "http://near/", "502", host="www.example.com")
    expect(mesh, client, "http://near/", "200 near")


@pytest.mark.parametrize("client", CLIENTS)
def test_an_egress_proxy_takes_what_nobody_knows(mesh: Mesh, client: str) -> None:
    policy = {"mode": "ALLOW_ANY", "egressProxy": {"host": FAR, "port": {"number": 80}}}
    mesh.apply_text(sidecar("./*", outboundTrafficPolicy=policy))
    expect(mesh, client, "http://near/", "200 far", host="www.example.com")


@pytest.mark.parametrize(
    ("endpoint", "words"), [("127.0.0.1:9999", "other"), ("unix:@mizzen-test-near", "unix"), ("127.0.0.1:8080", "near")]
)
def test_where_the_application_is(mesh: Mesh, endpoint: str, words: str) -> None:
    port = {"number": 8080, "protocol": "HTTP", "name": "http"}
    mesh.apply_text(
        sidecar(ingress=[{"port": port, "defaultEndpoint": endpoint}], workloadSelector={"labels": {"app": "near"}})
    )
    expect(mesh, "client", "http://near/", f"200 {words}")
    expect(mesh, "noded", "http://near/", f"200 {words}")


def updates(mesh: Mesh, instance: str) -> dict[str, int]:
    """Returns how many responses of each kind an instance's Envoy has taken."""
    return mesh.stats(f"{instance}.default", "(update_success|config_reload)$")


def test_a_change_outside_its_scope_reaches_no_proxy(mesh: Mesh) -> None:
    mesh.apply_text(sidecar("./*", workloadSelector={"labels": {"app": "client"}}))
    expect(mesh, "client", "http://near/", "200 near")
    before, others = updates(mesh, "client-0"), updates(mesh, "near-0")
    mesh.apply_text(
        service("new", {"name": "http", "port": 80}, namespace="far") + virtual_service("far", namespace="far")
    )
    assert updates(mesh, "client-0") == before
    assert updates(mesh, "near-0") != others
    mesh.cli("delete", "service", "new", "-n", "far", "--wait")


def test_get_and_validate_know_the_kind(mesh: Mesh) -> None:
    text = sidecar("./*", "shop/gone.shop.svc.cluster.local")
    assert mesh.cli("validate", "-f", "-", input=text).returncode == 0
    applied = mesh.apply_text(text)
    assert "IST0101" in applied.stdout + applied.stderr
    assert "default" in mesh.cli("get", "sidecar").stdout
