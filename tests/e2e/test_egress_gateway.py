"""What leaves the mesh by one way: examples/egress/gateway, with a server on this host in the place of the Internet."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.meshes import ROOT, Mesh, running
from tests.support.outside import HOST, Outside, outside
from tests.support.polling import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.envoy, pytest.mark.privileged, pytest.mark.timeout(120)]

EXAMPLE = ROOT / "examples" / "egress"
ORIGINATION = "originate-tls-for-example-com"

# Prints the body of the answer to a request, or the error. With a fourth word it connects to this address, and not to the host.
FETCH = """
import http.client, socket, ssl, sys
scheme, host, chain, *address = sys.argv[1:]
context = ssl.create_default_context(cadata=chain)
context.check_hostname = False
port = 443 if scheme == "https" else 80
try:
    with socket.create_connection((address[0] if address else host, port), timeout=10) as plain:
        connection = http.client.HTTPConnection(host, timeout=10)
        connection.sock = context.wrap_socket(plain, server_hostname=host) if scheme == "https" else plain
        connection.request("GET", "/")
        answer = connection.getresponse()
        print(answer.status, answer.read().decode())
except OSError as error:
    print(type(error).__name__)
"""


class Town:
    """A mesh with a gateway for what leaves it, and a server outside."""

    def __init__(self, mesh: Mesh, servers: Outside) -> None:
        self.mesh = mesh
        self.servers = servers

    def apply(self, name: str) -> None:
        """Applies a file of the example, which leaves nothing of the one before it but what it has, too."""
        if any(one["metadata"]["name"] == ORIGINATION for one in self.mesh.get("/v1/resources")["items"]):
            self.mesh.cli("delete", "dr", ORIGINATION)
        self.mesh.apply_text(self.servers.here((EXAMPLE / "gateway" / f"{name}.yaml").read_text()))

    def fetched(self, scheme: str, host: str = HOST, *address: str) -> str:
        chain = Path(self.servers.chain).read_text()
        command = ("exec", "client-0", "--", "python3", "-c", FETCH, scheme, host, chain, *address)
        return self.mesh.cli(*command).stdout.strip()

    def left(self, port: int) -> int:
        """Returns how many connections the gateway has made to a port of the host outside."""
        return self._count(f"cluster.outbound|{port}||{HOST}.upstream_cx_total")

    def came_by_mutual_tls(self) -> int:
        """Returns how many handshakes the gateway has had with clients that it knows."""
        counters = self._statistics()
        return sum(
            count
            for name, count in counters.items()
            if name.startswith("listener.") and name.endswith(".ssl.handshake")
        )

    def _count(self, name: str) -> int:
        return self._statistics().get(name, 0)

    def _statistics(self) -> dict[str, int]:
        (gateway,) = (
            one for one in self.mesh.get("/v1/workloads")["items"] if one["workload"] == "istio-egressgateway"
        )
        proxy = f"{gateway['name']}.{gateway['namespace']}"
        return self.mesh.stats(proxy, "upstream_cx_total|ssl.handshake")


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    folder = tmp_path_factory.mktemp("egress")
    with (
        running(EXAMPLE / "mesh.yaml", EXAMPLE / "gateway" / "gateway.yaml", capture="transparent") as mesh,
        outside(folder, captured=True) as servers,
    ):
        mesh.apply_text((EXAMPLE / "networking" / "registry-only.yaml").read_text())
        yield Town(mesh, servers)


def test_requests_go_through_the_gateway(town: Town) -> None:
    town.apply("http")
    before = town.left(80)
    assert town.fetched("http") == f"200 http {HOST}"
    assert town.left(80) == before + 1


def test_tls_passes_through_the_gateway(town: Town) -> None:
    town.apply("passthrough")
    before = town.left(443)
    assert town.fetched("https") == f"200 https {HOST}"
    assert town.left(443) == before + 1


def test_the_gateway_begins_tls_for_requests_that_come_by_mutual_tls(town: Town) -> None:
    town.apply("tls-origination")
    before, known = town.left(443), town.came_by_mutual_tls()
    assert town.fetched("http") == f"200 https {HOST}"
    assert (town.left(443), town.came_by_mutual_tls()) == (before + 1, known + 1)


def test_every_name_of_a_domain_goes_through_the_gateway(town: Town) -> None:
    town.apply("wildcard")
    before = town.left(443)
    assert town.fetched("https") == f"200 https {HOST}"
    # A name that nobody answers for: whoever calls it has an address from elsewhere.
    assert town.fetched("https", "de.example.com", "198.51.100.1") == "200 https de.example.com"
    assert town.left(443) == before + 2


def test_the_gateway_shows_a_certificate_that_is_in_a_secret_of_its_namespace(town: Town) -> None:
    chain, key = (Path(town.servers.folder, name).read_text() for name in ("chain.pem", "key.pem"))
    contents = {"tls.crt": chain, "tls.key": key, "ca.crt": chain}
    metadata = {"name": "client-credential", "namespace": "istio-system"}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": contents}
    town.apply("tls-origination")
    rule = town.servers.here((EXAMPLE / "gateway" / "tls-origination.yaml").read_text())
    settings = f"caCertificates: {town.servers.chain}\n        mode: SIMPLE"
    assert settings in rule
    named = rule.replace(settings, "credentialName: client-credential\n        mode: MUTUAL")
    # The Secret comes after the rule, as it may.
    town.mesh.apply_text(named)
    assert town.fetched("http").startswith("503")
    town.mesh.apply_text(json.dumps(secret))
    eventually(lambda: town.fetched("http") == f"200 https {HOST} known", "the Secret is there")


def test_any_name_of_a_domain_is_looked_up_at_the_gateway(town: Town, tmp_path: Path) -> None:
    """With resolution DYNAMIC_DNS; what the gateway's host looks up is itself."""
    with outside(tmp_path, captured=False, loopback="127.0.0.1") as here:
        text = (EXAMPLE / "gateway" / "dynamic.yaml").read_text().replace("example.com", "localhost")
        text = text.replace("protocol: TLS}", f"protocol: TLS, targetPort: {here.https}}}", 1)
        town.mesh.cli("delete", "se", "all-of-example-com", "--ignore-not-found")
        town.mesh.apply_text(text)
        chain = Path(here.chain).read_text()
        for host in ("de.localhost", "fr.localhost"):
            command = ("exec", "client-0", "--", "python3", "-c", FETCH, "https", host, chain, "198.51.100.1")
            assert town.mesh.cli(*command).stdout.strip() == f"200 https {host}"
