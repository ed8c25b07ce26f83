"""The example of gateways, as its README says it, with clients outside the mesh; in each way of capture."""

from __future__ import annotations

import re
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.e2e.conftest import CAPTURES
from tests.support.certificates import Authority
from tests.support.meshes import ROOT, Mesh, running
from tests.support.polling import eventually
from tests.support.visitors import Visitor

pytestmark = [pytest.mark.e2e, pytest.mark.envoy, pytest.mark.timeout(120)]
GATEWAY = "spiffe://cluster.local/ns/default/sa/default"


class Town:
    """The example in a mesh, from a copy that tests may change, and somebody outside."""

    def __init__(self, mesh: Mesh, folder: Path) -> None:
        self.mesh = mesh
        self.folder = folder
        self.outside = Visitor(folder / "certificates" / "ca.pem")

    def apply(self, name: str) -> None:
        self.mesh.apply(self.folder / "networking" / f"{name}.yaml")

    def port(self, number: int) -> int:
        return self.mesh.gateway_port(number)


@pytest.fixture(scope="module", params=CAPTURES)
def town(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    folder = tmp_path_factory.mktemp("gateways") / "gateways"
    shutil.copytree(ROOT / "examples" / "gateways", folder, ignore=shutil.ignore_patterns("certificates"))
    subprocess.run(["sh", str(folder / "certificates.sh")], check=True, capture_output=True)
    with running(folder, capture=request.param) as mesh:
        yield Town(mesh, folder)


def test_ingress(town: Town) -> None:
    town.apply("ingress")
    port = town.port(80)
    answer = town.outside.get(port, "pages.example.com", "/docs/one")
    assert (answer.status, answer.headers["server"]) == (200, "istio-envoy")
    assert answer.body.startswith("pages /docs/one\n")
    assert f"URI={GATEWAY}" in answer.body
    assert town.outside.get(port, "pages.example.com:80", "/status").status == 200
    assert town.outside.get(port, "pages.example.com", "/other").status == 404
    assert town.outside.get(port, "other.example.com", "/docs/one").status == 404
    assert re.search(
        rf"ingress-\d\.default +80 +http://127\.0\.0\.1(:{port})?$", town.mesh.cli("status").stdout, re.MULTILINE
    )


def test_secure_ingress(town: Town) -> None:
    town.apply("ingress")
    town.apply("secure-ingress")
    port = town.port(443)
    answer = town.outside.get(port, "pages.example.com", "/docs/one", secure=True)
    assert (answer.status, answer.body.splitlines()[0]) == (200, "pages /docs/one")
    with pytest.raises(OSError, match=r"EOF|reset|UNEXPECTED"):
        town.outside.get(port, "other.example.com", secure=True)
    redirect = town.outside.get(town.port(80), "pages.example.com", "/docs/one")
    suffix = "" if port == 443 else f":{port}"
    assert (redirect.status, redirect.headers["location"]) == (301, f"https://pages.example.com{suffix}/docs/one")


def test_a_new_certificate_is_taken_up_and_no_connection_ends(town: Town) -> None:
    town.apply("ingress")
    town.apply("secure-ingress")
    port = town.port(443)
    certificates = town.folder / "certificates"
    files = {name: (certificates / name).read_bytes() for name in ("pages.pem", "pages-key.pem")}
    with town.outside.connected(port, "pages.example.com") as kept:
        another = Authority(certificates, "another")
        another.issue("pages", "pages.example.com")
        trusting = Visitor(another.root)
        eventually(lambda: _answers(trusting, port), "the new certificate is served")
        kept.sendall(b"GET /docs/two HTTP/1.1\r\nHost: pages.example.com\r\n\r\n")
        assert kept.recv(65536).startswith(b"HTTP/1.1 200 ")
    (certificates / "pages.pem").write_text("half a file")
    eventually(lambda: "holds no certificate" in town.mesh.cli("status").stdout, "the damaged file is told of")
    assert _answers(trusting, port)
    for name, content in files.items():
        (certificates / name).write_bytes(content)
    eventually(lambda: _answers(town.outside, port), "the old certificate is back")


def _answers(outside: Visitor, port: int) -> bool:
    try:
        return outside.get(port, "pages.example.com", "/docs/one", secure=True).status == 200
    except ssl.SSLError:
        return False


def test_mutual_ingress(town: Town) -> None:
    town.apply("ingress")
    town.apply("mutual-ingress")
    port = town.port(443)
    with pytest.raises(OSError, match=r"CERTIFICATE_REQUIRED|reset|EOF"):
        town.outside.get(port, "pages.example.com", "/docs/one", secure=True)
    certificates = town.folder / "certificates"
    member = Visitor(town.outside.ca, (certificates / "client.pem", certificates / "client-key.pem"))
    answer = member.get(port, "pages.example.com", "/docs/one", secure=True)
    assert answer.status == 200
    # The one whose certificate the gateway saw, and then the gateway.
    assert "DNS=client.example.com" in answer.body
    assert f"URI={GATEWAY}" in answer.body


def test_ingress_without_an_end_of_tls(town: Town) -> None:
    town.apply("ingress")
    town.apply("secure-ingress")
    town.apply("passthrough")
    port = town.port(443)
    answer = town.outside.get(port, "vault.example.com", "/docs/one", secure=True)
    assert answer.body == "vault /docs/one\ncalled by nobody who says so\n"
    assert town.outside.get(port, "pages.example.com", "/docs/one", secure=True).status == 200


def test_one_replica_takes_the_place_of_another_and_no_request_fails(town: Town) -> None:
    town.apply("ingress")
    port = town.port(80)
    failures: list[str] = []
    answered = []
    ended = threading.Event()

    def call() -> None:
        while not ended.is_set():
            try:
                answered.append(town.outside.get(port, "pages.example.com", "/status").status)
            except OSError as error:
                failures.append(repr(error))

    with ThreadPoolExecutor() as pool:
        calls = [pool.submit(call) for _ in range(2)]
        try:
            town.mesh.cli("restart", "ingress", "--wait")
        finally:
            ended.set()
        for one in calls:
            one.result()
    assert failures == []
    assert set(answered) == {200}
    assert town.port(80) == port


def test_bytes(town: Town) -> None:
    town.apply("tcp")
    with socket.create_connection(("127.0.0.1", town.port(9000)), timeout=10) as connection:
        connection.sendall(b"hello\n")
        assert connection.recv(100) == b"heard hello\n"
