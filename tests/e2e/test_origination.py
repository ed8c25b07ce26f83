"""TLS that proxies begin with certificates of their own, as in Istio's task "Egress TLS Origination": from Secrets and from files, for
a sidecar and for those whom one proxy serves; and that a new certificate ends no connection.
"""

from __future__ import annotations

import contextlib
import http.server
import json
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.certificates import Authority, secret
from tests.support.meshes import Mesh, running
from tests.support.outside import Answering, own_address
from tests.support.polling import eventually
from tests.support.written import destination_rule, envoy_filter, patch, service_entry, workload

pytestmark = [pytest.mark.e2e, pytest.mark.envoy, pytest.mark.privileged, pytest.mark.timeout(120)]

# One has a sidecar, and the node's proxy serves one in each of two namespaces.
CLIENT, NODED, FAR = ("client", "default"), ("noded", "default"), ("noded", "far")
ALL = (CLIENT, NODED, FAR)
MISSING = "there is no Secret client-credential in namespace default"
FETCH = """
import sys, urllib.error, urllib.request
try:
    with urllib.request.urlopen(sys.argv[1], timeout=60) as answer:
        print(answer.read().decode())
except urllib.error.HTTPError as error:
    print(error.code)
"""


class World(http.server.ThreadingHTTPServer):
    """A server that asks for a certificate and answers with the name in it; ``/held`` when it is released."""

    daemon_threads = True

    def __init__(self, address: str, authority: Authority) -> None:
        super().__init__((address, 0), _Answer)
        self.asked, self.released = threading.Event(), threading.Event()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(
            *authority.issue("server", "secret.example.com", "files.example.com", "all.example.com")
        )
        context.load_verify_locations(authority.root)
        context.verify_mode = ssl.CERT_REQUIRED
        self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)

    def handle_error(self, *_: object) -> None:
        """Who has no certificate is not let in, which is no news."""


class _Answer(Answering):
    server: World

    def text(self) -> str:
        if self.path == "/held":
            self.server.asked.set()
            assert self.server.released.wait(60)
        certificate = self.connection.getpeercert()
        return str(dict(part for (part,) in certificate["subject"])["commonName"])


class Town:
    """A mesh beside the world, with an authority that both believe."""

    def __init__(self, mesh: Mesh, world: World, authority: Authority) -> None:
        self.mesh = mesh
        self.world = world
        self.authority = authority

    def give(self, name: str, namespace: str) -> str:
        """Applies a Secret with a certificate in this name; returns what was said."""
        holds = "tls.crt tls.key ca.crt"
        text = secret(self.authority, "client-credential", holds=holds, namespace=namespace, subject=name)
        return self.mesh.apply_text(text).stdout

    def command(self, client: tuple[str, str], url: str) -> list[str]:
        return ["exec", "-n", client[1], f"{client[0]}-0", "--", "python3", "-c", FETCH, f"http://{url}"]

    def said(self, client: tuple[str, str], url: str) -> str:
        return self.mesh.cli(*self.command(client, url)).stdout.strip()

    def expect(self, client: tuple[str, str], url: str, words: str) -> None:
        """Secrets take effect a moment after they were applied, and files after they were looked at."""
        eventually(lambda: self.said(client, url) == words, f"{client} is {words} at {url}", 15)

    def messages(self) -> dict[tuple[str, str], str]:
        found = json.loads(self.mesh.cli("status", "-o", "json").stdout)["instances"]
        return {(one["workload"], one["namespace"]): one.get("message", "") for one in found}

    @contextlib.contextmanager
    def held(self, client: tuple[str, str], host: str, words: str) -> Iterator[None]:
        """Has a request under way while the context lasts, on a connection that is not to end."""
        self.world.asked.clear()
        self.world.released.clear()
        line = self.mesh.command(*self.command(client, f"{host}/held"))
        with subprocess.Popen(line, env=self.mesh.environment, stdout=subprocess.PIPE, text=True) as asking:
            try:
                assert self.world.asked.wait(30)
                yield
            finally:
                self.world.released.set()
            assert asking.communicate(timeout=30)[0].strip() == words


def rule(name: str, tls: dict[str, str], namespace: str = "default", **fields: Any) -> str:
    """A rule under which each request has a connection of its own."""
    policy = {"tls": {"mode": "MUTUAL", **tls}, "connectionPool": {"http": {"maxRequestsPerConnection": 1}}}
    return destination_rule(name, host=f"{name}.example.com", namespace=namespace, trafficPolicy=policy, **fields)


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    folder = tmp_path_factory.mktemp("origination")
    authority = Authority(folder)
    certificate, key = authority.issue("file")
    files = {"clientCertificate": certificate, "privateKey": key, "caCertificates": authority.root}
    secret = {"credentialName": "client-credential"}
    selector = {"matchLabels": {"mutual": "yes"}}
    with own_address() as address, World(address, authority) as world:
        port = {"number": 80, "name": "http", "protocol": "HTTP", "targetPort": world.server_port}
        texts = [
            *(
                workload(name, namespace=where, labels={"mutual": "yes"}, command=["sleep", "1000"], ports=[], **spec)
                for (name, where), spec in zip(ALL, ({}, {"proxy": "node"}, {"proxy": "node"}), strict=True)
            ),
            *(
                service_entry(name, port, resolution="STATIC", endpoints=[{"address": address}])
                for name in ("secret", "files", "all")
            ),
            *(rule("secret", secret, where, workloadSelector=selector) for where in ("default", "far")),
            rule("all", secret),
            rule("files", {name: str(path) for name, path in files.items()}),
        ]
        (folder / "mesh.yaml").write_text("".join(texts))
        serving = threading.Thread(target=world.serve_forever, kwargs={"poll_interval": 0.05})
        serving.start()
        try:
            with running(folder / "mesh.yaml", capture="transparent") as mesh:
                yield Town(mesh, world, authority)
        finally:
            world.shutdown()
            serving.join()


def test_a_secret_that_is_missing_is_told_of_and_each_has_that_of_its_namespace(town: Town) -> None:
    assert town.said(CLIENT, "secret.example.com") == town.said(NODED, "secret.example.com") == "503"
    eventually(lambda: all(MISSING in town.messages()[one] for one in (CLIENT, NODED)), "what is missing is told of")
    town.give("far-away", "far")
    town.expect(FAR, "secret.example.com", "far-away")
    assert town.said(NODED, "secret.example.com") == "503"
    town.give("near", "default")
    for client, name in ((CLIENT, "near"), (NODED, "near"), (FAR, "far-away")):
        town.expect(client, "secret.example.com", name)
    assert set(town.messages().values()) == {""}


@pytest.mark.parametrize("client", [CLIENT, NODED])
def test_a_new_secret_is_for_new_connections_and_ends_none(town: Town, client: tuple[str, str]) -> None:
    town.give("old", "default")
    town.expect(client, "secret.example.com", "old")
    with town.held(client, "secret.example.com", "old"):
        town.give("new", "default")
        town.expect(client, "secret.example.com", "new")


def test_who_is_not_selected_speaks_to_nobody(town: Town) -> None:
    town.give("near", "default")
    town.expect(CLIENT, "secret.example.com", "near")
    assert town.said(CLIENT, "all.example.com") == "503"
    assert any("NoCredentialAtSidecars" in line and "write `workloadSelector" in line for line in town.mesh.lines)


def _sds(name: str) -> dict[str, Any]:
    asked = {
        "api_type": "DELTA_GRPC",
        "transport_api_version": "V3",
        "grpc_services": [{"envoy_grpc": {"cluster_name": "sds-grpc"}}],
    }
    source = {"api_config_source": asked, "resource_api_version": "V3", "initial_fetch_timeout": "1s"}
    return {"name": name, "sds_config": source}


def _by_a_cluster_of_their_own(town: Town, namespace: str, secret: str) -> str:
    """An EnvoyFilter that leads requests for `all` to a cluster that it adds, with a certificate from a Secret."""
    address, port = town.world.server_address[:2]
    endpoint = {"endpoint": {"address": {"socket_address": {"address": address, "port_value": port}}}}
    context = {
        "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
        "common_tls_context": {
            "tls_certificate_sds_secret_configs": [_sds(secret)],
            "validation_context_sds_secret_config": _sds(f"{secret}-cacert"),
        },
    }
    cluster = {
        "name": "ext",
        "type": "STATIC",
        "connect_timeout": "5s",
        "load_assignment": {"cluster_name": "ext", "endpoints": [{"lb_endpoints": [endpoint]}]},
        "transport_socket": {"name": "envoy.transport_sockets.tls", "typed_config": context},
    }
    host = {"vhost": {"name": "all.example.com:80", "route": {"action": "ANY"}}}
    return envoy_filter(
        "ext",
        patch("CLUSTER", "ADD", cluster),
        patch(
            "HTTP_ROUTE", "MERGE", {"route": {"cluster": "ext"}}, context="SIDECAR_OUTBOUND", routeConfiguration=host
        ),
        namespace=namespace,
    )


def test_what_envoyfilters_add_under_one_name_has_the_secrets_of_its_own_namespace(town: Town) -> None:
    for name, where in (("near", "default"), ("far-away", "far")):
        town.give(name, where)
        town.mesh.apply_text(_by_a_cluster_of_their_own(town, where, "kubernetes://client-credential"))
    try:
        for client, name in ((CLIENT, "near"), (NODED, "near"), (FAR, "far-away")):
            town.expect(client, "all.example.com", name)
        for attack in ("kubernetes://far/client-credential", "spiffe://cluster.local/ns/far/sa/default"):
            town.mesh.apply_text(_by_a_cluster_of_their_own(town, "default", attack))
            town.expect(NODED, "all.example.com", "503")
        said = town.mesh.apply_text(
            _by_a_cluster_of_their_own(town, "default", "noded-0.far/kubernetes://client-credential")
        )
        assert (
            "this patch is not for noded-0.default, which have a seat in the proxy of their node"
            in said.stdout + said.stderr
        )
        town.expect(NODED, "all.example.com", "503")
        assert town.said(FAR, "all.example.com") == "far-away"
    finally:
        for where in ("default", "far"):
            town.mesh.delete("envoyfilter", "ext", "-n", where)


@pytest.mark.parametrize("client", [CLIENT, NODED])
def test_new_files_are_for_new_connections_and_end_none(town: Town, client: tuple[str, str]) -> None:
    _write(town.authority, "before")
    town.expect(client, "files.example.com", "before")
    with town.held(client, "files.example.com", "before"):
        _write(town.authority, "after")
        town.expect(client, "files.example.com", "after")


def test_files_that_are_of_no_use_leave_what_there_was(town: Town) -> None:
    _write(town.authority, "good")
    for client in (CLIENT, FAR):
        town.expect(client, "files.example.com", "good")
    file = town.authority.folder / "file.pem"
    file.write_text("nothing")
    eventually(lambda: all("file.pem holds no certificate" in one for one in town.messages().values()), "it is told")
    assert [town.said(client, "files.example.com") for client in (CLIENT, FAR)] == ["good", "good"]
    _write(town.authority, "better")
    town.expect(CLIENT, "files.example.com", "better")
    assert set(town.messages().values()) == {""}


def _write(authority: Authority, name: str) -> None:
    """Writes a certificate in this name where the rule for files has it."""
    for made, where in zip(authority.issue(name), ("file.pem", "file-key.pem"), strict=True):
        made.rename(authority.folder / Path(where))
