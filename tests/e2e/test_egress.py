"""What leaves the mesh, in every runtime, with a server on this host in the place of the Internet.

The resources are those of Istio's tasks (examples/tasks); tests/e2e/test_istio_tasks.py has the tasks themselves.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.conftest import RUNTIMES
from tests.support import small
from tests.support.meshes import ROOT, Mesh
from tests.support.outside import HOST, Outside, outside
from tests.support.polling import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.envoy, pytest.mark.timeout(120)]

TASKS = ROOT / "examples" / "tasks"
REGISTRY_ONLY, CNN, ORIGINATION = (
    (TASKS / f"{name}.yaml").read_text()
    for name in (
        "egress-control/registry-only",
        "egress-tls-origination/http",
        "egress-tls-origination/tls-origination",
    )
)

# Prints the status and the body of what it gets, or 0 where it gets nothing.
FETCH = """
import ssl, sys, urllib.error, urllib.request
request = urllib.request.Request(sys.argv[1], headers={"Host": sys.argv[3]} if sys.argv[3] else {})
try:
    with urllib.request.urlopen(request, timeout=10, context=ssl.create_default_context(cadata=sys.argv[2])) as answer:
        print(answer.status, answer.read().decode())
except urllib.error.HTTPError as error:
    print(error.code)
except OSError:
    print(0)
"""


@pytest.fixture(scope="module", params=RUNTIMES)
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Mesh, Outside]]:
    folder: Path = tmp_path_factory.mktemp("egress")
    with small.running_servers(small.Server("client"), capture=request.param, folder=folder) as mesh:
        netns = mesh.engine.host.netns if mesh.engine else ""
        with outside(folder, captured=request.param != "explicit", netns=netns) as servers:
            yield mesh, servers


def fetched(world: tuple[Mesh, Outside], url: str, host: str = "") -> str:
    mesh, servers = world
    root = Path(servers.chain).read_text()  # a container does not see the file
    return mesh.cli("exec", "client-0", "--", "python3", "-c", FETCH, url, root, host).stdout.strip()


def test_only_what_is_known_may_be_called_if_the_mesh_says_so(world: tuple[Mesh, Outside]) -> None:
    mesh, servers = world
    unknown = f"http://{servers.address}:{servers.http}/"
    answer = f"200 http {servers.address}:{servers.http}"
    assert fetched(world, unknown) == answer
    mesh.apply_text(REGISTRY_ONLY)
    # Where requests are read they are answered, elsewhere the connection is closed.
    assert fetched(world, unknown) == ("502" if mesh.capture == "explicit" else "0")
    mesh.apply_text(servers.here(CNN))
    assert fetched(world, f"http://{HOST}/") == f"200 http {HOST}"
    assert fetched(world, f"http://{servers.address}/", "www.example.org") == "502"
    if mesh.capture != "explicit":  # HTTPS passes an explicit proxy by
        assert fetched(world, f"https://{HOST}/") == f"200 https {HOST}"
        assert fetched(world, f"https://{servers.address}:{servers.https}/", HOST) == "0"
    mesh.cli("delete", "meshconfig", "mesh", "--wait")
    assert fetched(world, unknown) == answer


LOOKED_UP = """
apiVersion: mizzen.dev/v1alpha1
kind: MeshConfig
metadata: {name: mesh}
spec:
  outboundTrafficPolicy: {mode: ALLOW_ANY_DYNAMIC_DNS, tls: {mode: SIMPLE, insecureSkipVerify: true}}
"""


def test_a_request_goes_to_what_its_host_means_if_the_mesh_says_so(world: tuple[Mesh, Outside]) -> None:
    mesh, servers = world
    host = f"{servers.address}:{servers.https}"
    # A forward proxy is told the host alone; where traffic is captured the client dials another port, on which nobody listens.
    url = f"http://{host}/" if mesh.capture == "explicit" else f"http://{servers.address}:9/"
    mesh.apply_text(LOOKED_UP)
    assert fetched(world, url, host) == f"200 https {host}"
    if mesh.capture != "explicit":  # TLS goes where its client sent it
        asked = f"import ssl; print(ssl.get_server_certificate(('{servers.address}', {servers.https})))"
        assert "BEGIN CERTIFICATE" in mesh.cli("exec", "client-0", "--", "python3", "-c", asked).stdout
    mesh.cli("delete", "meshconfig", "mesh", "--wait")


def test_what_the_application_says_in_plaintext_goes_out_by_tls(world: tuple[Mesh, Outside]) -> None:
    mesh, servers = world
    mesh.apply_text(servers.here(ORIGINATION))
    assert fetched(world, f"http://{HOST}/") == f"200 https {HOST}"
    files = {"mode": "MUTUAL", "clientCertificate": servers.chain, "privateKey": f"{servers.folder}/key.pem"}
    mesh.apply_text(servers.here(ORIGINATION, **files))
    assert fetched(world, f"http://{HOST}/") == f"200 https {HOST} known"
    if mesh.capture != "explicit":
        assert fetched(world, f"https://{HOST}/") == f"200 https {HOST}"


def test_who_does_not_prove_the_name_is_not_spoken_to(world: tuple[Mesh, Outside]) -> None:
    mesh, servers = world
    mesh.apply_text(servers.here(ORIGINATION))
    other = servers.here(ORIGINATION).replace(HOST, "www.example.org").replace("edition-cnn-com", "example-org")
    mesh.apply_text(other)
    assert fetched(world, "http://www.example.org/") == "503"
    assert fetched(world, f"http://{HOST}/") == f"200 https {HOST}"


def test_a_certificate_that_is_not_there_is_told_of_and_waited_for(world: tuple[Mesh, Outside]) -> None:
    mesh, servers = world
    missing = "/nothing/there.pem: No such file or directory"
    told = mesh.apply_text(servers.here(ORIGINATION).replace(servers.chain, "/nothing/there.pem"))
    assert f"caCertificates: {missing}" in told.stdout + told.stderr
    assert fetched(world, f"http://{HOST}/") == "503"
    eventually(lambda: missing in mesh.cli("status").stdout, "it is told of")
    mesh.apply_text(servers.here(ORIGINATION))
    eventually(lambda: fetched(world, f"http://{HOST}/") == f"200 https {HOST}", "the host is called again")
    assert missing not in mesh.cli("status").stdout


def test_a_server_of_the_internet_is_not_believed_by_a_root_that_the_system_has_not(
    world: tuple[Mesh, Outside],
) -> None:
    mesh, servers = world
    mesh.apply_text(servers.here(ORIGINATION).replace(f"caCertificates: {servers.chain}", ""))
    assert fetched(world, f"http://{HOST}/") == "503"
    mesh.apply_text(servers.here(ORIGINATION))
    assert fetched(world, f"http://{HOST}/") == f"200 https {HOST}"
