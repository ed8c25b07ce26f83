"""What is on the wire between two workloads, and who is let in: nothing in plaintext, nobody without an identity."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.meshes import BOOKINFO, Mesh
from tests.support.polling import eventually
from tests.support.wire import Authority, Endpoint, ask, ask_in_plaintext, impostor, sniffing

from mizzen.mesh.spiffe import SpiffeId
from mizzen.node.capture import host

pytestmark = [pytest.mark.e2e, pytest.mark.envoy, pytest.mark.timeout(180)]

REQUEST = b"GET /health HTTP/1.1\r\nHost: reviews:9080\r\nConnection: close\r\n\r\n"
VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


@pytest.fixture(autouse=True)
def all_on_v1(bookinfo: Mesh) -> None:
    networking = BOOKINFO / "networking"
    bookinfo.apply(networking / "destination-rule-all.yaml", networking / "virtual-service-all-v1.yaml")


def instance(mesh: Mesh) -> dict[str, Any]:
    return mesh.instance("reviews-v1")


def port(mesh: Mesh) -> dict[str, Any]:
    (found,) = (one for one in instance(mesh)["ports"] if one["number"] == 9080)
    return dict(found)


def inbound(mesh: Mesh) -> Endpoint:
    """Where the proxy of reviews-v1 takes what other workloads send."""
    return instance(mesh)["address"], port(mesh)["inbound"]


def caller(mesh: Mesh, trust_domain: str = "cluster.local") -> SpiffeId:
    return SpiffeId(trust_domain, "default", mesh.instance("productpage-v1")["serviceAccount"])


def wire(mesh: Mesh) -> tuple[str, str]:
    """The interface that calls between workloads pass, and the network namespace that it is in."""
    if mesh.engine:
        return mesh.engine.podman("network", "inspect", "--format", "{{.NetworkInterface}}", "bookinfo").strip(), (
            mesh.engine.host.netns
        )
    return ("lo" if mesh.capture == "explicit" else host.identify(mesh.settings).bridge), ""


def namespace(mesh: Mesh) -> str:
    return str(mesh.get("/v1/workloads/default/reviews-v1/exec")["netns"])


def stats(mesh: Mesh, workload: str, ending: str) -> int:
    """Adds up what the Envoy of a workload has counted under names with this ending."""
    (proxy,) = mesh.instance(workload)["proxies"]
    return sum(count for name, count in mesh.stats(proxy, ending).items() if name.endswith(ending))


@pytest.mark.privileged
def test_no_plaintext_on_the_wire(bookinfo: Mesh) -> None:
    """The control: the same capture sees the request in plaintext where the proxy hands it to its application."""
    marker = secrets.token_hex(8)
    application = ("127.0.0.1", port(bookinfo)["application"])
    with sniffing(*wire(bookinfo)) as between, sniffing("lo", namespace(bookinfo)) as behind:
        url = f"http://reviews:9080/reviews/0?{marker}"
        result = bookinfo.send("productpage-v1", url, 50, 200.0, "--header", f"x-secret={marker}")
    assert result["statuses"] == {"200": 50}
    at_application = behind.at(application)
    assert at_application.count(marker.encode()) >= 100
    assert at_application.count(b"x-bookinfo-version: v1") >= 50
    encrypted = between.at(inbound(bookinfo))
    if bookinfo.one_proxy:  # Neighbours meet inside their proxy.
        assert encrypted == b""
    else:
        assert len(encrypted) > 50 * 200
    visible = [word for word in (marker.encode(), b"HTTP/1.1", b"x-bookinfo", b"reviewer") if word in encrypted]
    assert not visible
    if bookinfo.capture != "explicit":
        assert marker.encode() not in between.everything()


@pytest.mark.parametrize("tls", VERSIONS)
def test_a_client_of_the_mesh_is_let_in(bookinfo: Mesh, tmp_path: Path, tls: ssl.TLSVersion) -> None:
    """What the refusals below are compared with: the same client with a right certificate."""
    authority = Authority.stolen(bookinfo.settings.authority_dir)
    certificate = authority.certificate_of(caller(bookinfo), tmp_path)
    with bookinfo.at_host():
        answer = ask(inbound(bookinfo), REQUEST, certificate=certificate, tls=tls)
    assert answer.startswith(b"HTTP/1.1 200")
    assert b"x-bookinfo-version: v1" in answer


def _none(_mesh: Mesh, _folder: Path) -> None:
    return None


def _of_another_root(mesh: Mesh, folder: Path) -> Path:
    return Authority.made("cluster.local").certificate_of(caller(mesh), folder)


def _of_another_trust_domain(mesh: Mesh, folder: Path) -> Path:
    stranger = caller(mesh, "elsewhere.example")
    return Authority.stolen(mesh.settings.authority_dir).certificate_of(stranger, folder)


def _of_a_trust_domain_that_begins_alike(mesh: Mesh, folder: Path) -> Path:
    stranger = caller(mesh, "cluster.local.elsewhere.example")
    return Authority.stolen(mesh.settings.authority_dir).certificate_of(stranger, folder)


@pytest.mark.parametrize("tls", VERSIONS)
@pytest.mark.parametrize(
    ("certificate", "counted"),
    [
        pytest.param(_none, "ssl.fail_verify_no_cert", id="no certificate"),
        pytest.param(_of_another_root, "ssl.fail_verify_error", id="another root"),
        pytest.param(_of_another_trust_domain, "ssl.fail_verify_san", id="another trust domain"),
        pytest.param(_of_a_trust_domain_that_begins_alike, "ssl.fail_verify_san", id="a longer trust domain"),
    ],
)
def test_a_client_without_an_identity_of_the_mesh_is_refused(
    bookinfo: Mesh,
    tmp_path: Path,
    certificate: Callable[[Mesh, Path], Path | None],
    counted: str,
    tls: ssl.TLSVersion,
) -> None:
    before = (
        stats(bookinfo, "reviews-v1", counted),
        stats(bookinfo, "reviews-v1", "inbound|9080||.upstream_rq_total"),
    )
    presented = certificate(bookinfo, tmp_path)
    with bookinfo.at_host(), pytest.raises(OSError, match=r"alert|EOF|closed|reset|Broken pipe"):
        ask(inbound(bookinfo), REQUEST, certificate=presented, tls=tls)
    eventually(lambda: stats(bookinfo, "reviews-v1", counted) == before[0] + 1, f"Envoy counts {counted}")
    assert stats(bookinfo, "reviews-v1", "inbound|9080||.upstream_rq_total") == before[1]


def test_a_client_in_plaintext_is_refused(bookinfo: Mesh) -> None:
    before = stats(bookinfo, "reviews-v1", "ssl.connection_error")
    with bookinfo.at_host(), pytest.raises(ConnectionError):
        ask_in_plaintext(inbound(bookinfo), REQUEST)
    eventually(lambda: stats(bookinfo, "reviews-v1", "ssl.connection_error") == before + 1, "Envoy counts it")


@contextlib.contextmanager
def without_its_proxy(mesh: Mesh) -> Iterator[tuple[Endpoint, str]]:
    """Ends the proxy of reviews-v1 while the node, which would put another in its place, stands still.

    Gives the address that its callers still know, and the network namespace.
    """
    found, netns = instance(mesh), namespace(mesh)
    address = inbound(mesh) if mesh.capture == "explicit" else ("0.0.0.0", 15006)
    os.kill(mesh.process.pid, signal.SIGSTOP)
    try:
        os.kill(found["proxyPid"], signal.SIGKILL)
        yield address, netns
    finally:
        os.kill(mesh.process.pid, signal.SIGCONT)
        eventually(lambda: _has_recovered(mesh, found["proxyPid"]), "reviews-v1 is ready again")


def _has_recovered(mesh: Mesh, killed: int) -> bool:
    now = instance(mesh)
    return bool(now["ready"]) and now["proxyPid"] not in (0, killed)


@pytest.fixture
def apart(bookinfo: Mesh) -> Iterator[None]:
    """Reviews-v1 has a proxy of its own, so that its callers have to believe somebody on the wire."""
    if bookinfo.capture == "node":
        pytest.skip("neighbours meet inside their proxy, and believe it")
    if bookinfo.of_containers:
        bookinfo.cli("attach", "reviews-v1", "--proxy", "sidecar")
    yield
    if bookinfo.of_containers:
        bookinfo.cli("attach", "reviews-v1", "--proxy", "node" if bookinfo.one_proxy else "sidecar")


@pytest.mark.parametrize(("whose", "status"), [("reviews-v1", "200"), ("details-v1", "503"), ("", "503")])
@pytest.mark.usefixtures("apart")
def test_a_caller_believes_only_the_accounts_of_the_service(
    bookinfo: Mesh, tmp_path: Path, whose: str, status: str
) -> None:
    """Where reviews-v1 stood there is a server with a certificate of the mesh's own root, for this workload's account."""
    account = bookinfo.instance(whose)["serviceAccount"] if whose else "default"
    authority = Authority.stolen(bookinfo.settings.authority_dir)
    certificate = authority.certificate_of(SpiffeId("cluster.local", "default", account), tmp_path)
    # The node, which answers DNS, stands still meanwhile.
    (service,) = bookinfo.get("/v1/resources", kind="Service", name="reviews")["items"]
    name = "reviews" if bookinfo.capture == "explicit" else service["status"]["address"]
    url = f"http://{name}:9080/health"
    refused = "v1|reviews.default.svc.cluster.local.ssl.fail_verify_san"
    before = stats(bookinfo, "productpage-v1", refused)
    with without_its_proxy(bookinfo) as (address, netns), impostor(address, netns, certificate, b"impostor"):
        result = bookinfo.send("productpage-v1", url, 1)
    assert result["statuses"] == {status: 1}
    assert (stats(bookinfo, "productpage-v1", refused) > before) == (status == "503")
