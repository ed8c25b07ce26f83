"""Certificates in Secrets, as in Istio's task "Secure Gateways": examples/gateways with `credentialName`, and who never sees a key."""

from __future__ import annotations

import json
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.certificates import Authority
from tests.support.meshes import ROOT, Mesh, running
from tests.support.polling import eventually
from tests.support.visitors import Visitor

pytestmark = [pytest.mark.e2e, pytest.mark.envoy, pytest.mark.timeout(120)]

EXAMPLE = ROOT / "examples" / "gateways"
PAGES, VAULT = "pages.example.com", "vault.example.com"


class Town:
    """The example in a mesh, with an authority whose certificates are given to it as Secrets."""

    def __init__(self, mesh: Mesh, folder: Path) -> None:
        self.mesh = mesh
        self.folder = folder
        self.authority = Authority(folder)
        self.outside = Visitor(self.authority.root)
        self.member = Visitor(self.authority.root, self.authority.issue("client", "client.example.com"))
        self.keys: list[str] = []

    def give(self, host: str, *, mutual: bool = False, namespace: str = "default") -> str:
        """Applies a Secret with a new certificate for a host; returns what was said."""
        name = host.partition(".")[0]
        certificate, key = self.authority.issue(name, host)
        self.keys.append(key.read_text().splitlines()[1])
        authorities = [str(self.authority.root)] if mutual else []
        command = ["sh", str(EXAMPLE / "secret.sh"), f"{name}-credential", str(certificate), str(key), *authorities]
        text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        text = text.replace("metadata:", f"metadata:\n  namespace: {namespace}")
        return self.mesh.apply_text(text).stdout

    @property
    def port(self) -> int:
        return self.mesh.gateway_port(443)

    def answers(self, who: Visitor, host: str, port: int) -> bool:
        try:
            return who.get(port, host, "/one", secure=True).status == 200
        except OSError:
            return False

    def serial(self, port: int, host: str) -> str:
        """Returns the number of the certificate that is served for a host."""
        with self.member.connected(port, host) as connection:
            shown = connection.getpeercert()
        assert shown
        return str(shown["serialNumber"])


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    folder = tmp_path_factory.mktemp("gateways")
    for name in ("gateways.yaml", "pages.py", "lines.py"):
        shutil.copy(EXAMPLE / name, folder / name)
    text = (folder / "gateways.yaml").read_text().split("---")
    (folder / "gateways.yaml").write_text(
        "---".join(one for one in text if "name: vault" not in one and "name: lines" not in one)
    )
    with running(folder / "gateways.yaml") as mesh:
        town = Town(mesh, folder)
        told = mesh.apply(EXAMPLE / "networking" / "credentials.yaml")
        assert "created" in told
        yield town


def test_a_secret_that_is_not_there_is_told_of_and_the_other_servers_work(town: Town) -> None:
    missing = "there is no Secret pages-credential in namespace default"
    eventually(lambda: missing in town.mesh.cli("status").stdout, "what is missing is told of")
    assert "secret/vault-credential created" in town.give(VAULT, mutual=True)
    port = town.port
    eventually(lambda: town.answers(town.member, VAULT, port), "the other server works")
    assert not town.answers(town.member, PAGES, port)
    # In the namespace of no gateway, and so for nobody; also when what was given after it is served.
    town.give(PAGES, namespace="elsewhere")
    before = town.serial(port, VAULT)
    town.give(VAULT, mutual=True)
    eventually(lambda: town.serial(port, VAULT) != before, "the later change is seen")
    assert not town.answers(town.outside, PAGES, port)
    town.give(PAGES)
    eventually(lambda: town.answers(town.outside, PAGES, port), "the server works with its Secret")
    eventually(lambda: missing not in town.mesh.cli("status").stdout, "nothing is missing any more")


def test_clients_must_have_a_certificate_where_the_secret_says_of_whom(town: Town) -> None:
    town.give(VAULT, mutual=True)
    assert "DNS=client.example.com" in town.member.get(town.port, VAULT, "/one", secure=True).body
    assert not town.answers(town.outside, VAULT, town.port)


def test_a_new_certificate_ends_no_connection(town: Town) -> None:
    town.give(PAGES)
    port = town.port
    before = town.serial(port, PAGES)
    with town.outside.connected(port, PAGES) as kept:
        town.give(PAGES)
        eventually(lambda: town.serial(port, PAGES) != before, "the new certificate is served")
        assert _asked(kept).startswith(b"HTTP/1.1 200 ")


def _asked(connection: ssl.SSLSocket) -> bytes:
    connection.sendall(f"GET /two HTTP/1.1\r\nHost: {PAGES}\r\n\r\n".encode())
    return connection.recv(65536)


def test_nobody_is_told_of_a_key(town: Town) -> None:
    town.give(PAGES)
    town.give(VAULT, mutual=True)
    shown = town.mesh.cli("get", "secrets", "-A").stdout
    assert "pages-credential" in shown
    for command in (
        ("get", "secrets", "-A", "-o", "yaml"),
        ("get", "secret", "pages-credential", "-o", "json"),
        ("history", "secret", "pages-credential", "-o", "json"),
        ("proxy", "config", "ingress-0", "-o", "json"),
        ("proxy", "secrets", "ingress-0", "-o", "json"),
    ):
        shown += town.mesh.cli(*command).stdout
    with town.mesh.client() as client, client.stream("GET", "/v1/node/desired") as desired:
        shown += next(desired.iter_lines())
    state = town.mesh.settings.state_dir
    shown += "".join(file.read_text(errors="replace") for file in (state / "logs").glob("*"))
    shown += "".join(file.read_bytes().decode(errors="replace") for file in state.glob("mizzen.db*"))
    assert "-----BEGIN CERTIFICATE-----" in shown
    assert [key for key in town.keys if key in shown] == []
    kept = [file.read_text() for file in (state / "secrets").glob("*/tls.key")]
    # Those of the Secrets that there are: of both hosts, and the one in another namespace if a test has made it.
    assert len(kept) == len(json.loads(town.mesh.cli("get", "secrets", "-A", "-o", "json").stdout)["items"])


def test_what_is_shown_can_be_applied_again(town: Town) -> None:
    town.give(PAGES)
    port, before = town.port, town.serial(town.port, PAGES)
    shown = town.mesh.cli("get", "secret", "pages-credential", "-o", "yaml").stdout
    assert "secret/pages-credential unchanged" in town.mesh.apply_text(shown).stdout
    assert town.serial(port, PAGES) == before


def test_a_connection_that_asks_for_no_name_is_closed(town: Town) -> None:
    town.give(PAGES)
    with (
        socket.create_connection(("127.0.0.1", town.port), timeout=10) as plain,
        pytest.raises(OSError, match=r"EOF|reset"),
    ):
        ssl._create_unverified_context().wrap_socket(plain).close()
