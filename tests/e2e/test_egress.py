"""What leaves the mesh: examples/egress, with a server on this host in the place of the Internet."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.conftest import CAPTURES
from tests.support.meshes import ROOT, Mesh, running
from tests.support.outside import HOST, Outside, outside

pytestmark = [pytest.mark.e2e, pytest.mark.envoy, pytest.mark.timeout(120)]

EXAMPLE = ROOT / "examples" / "egress"
REGISTRY_ONLY, EXAMPLE_COM, TIMEOUT = (
    (EXAMPLE / "networking" / f"{name}.yaml").read_text() for name in ("registry-only", "example-com", "timeout")
)

# Prints the status and the body of what it gets, or 0 where it gets nothing.
FETCH = """
import ssl, sys, urllib.error, urllib.request
request = urllib.request.Request(sys.argv[1], headers={"Host": sys.argv[3]} if sys.argv[3] else {})
try:
    with urllib.request.urlopen(request, timeout=10, context=ssl.create_default_context(cafile=sys.argv[2])) as answer:
        print(answer.status, answer.read().decode())
except urllib.error.HTTPError as error:
    print(error.code)
except OSError:
    print(0)
"""


@pytest.fixture(scope="module", params=CAPTURES)
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Mesh, Outside]]:
    folder: Path = tmp_path_factory.mktemp("egress")
    with (
        outside(folder, captured=request.param != "explicit") as servers,
        running(EXAMPLE / "mesh.yaml", capture=request.param) as mesh,
    ):
        yield mesh, servers


def fetched(world: tuple[Mesh, Outside], url: str, host: str = "") -> str:
    mesh, servers = world
    return mesh.cli("exec", "client", "--", "python3", "-c", FETCH, url, servers.chain, host).stdout.strip()


def test_only_what_is_known_may_be_called_if_the_mesh_says_so(world: tuple[Mesh, Outside]) -> None:
    mesh, servers = world
    unknown = f"http://{servers.address}:{servers.http}/"
    answer = f"200 http {servers.address}:{servers.http}"
    assert fetched(world, unknown) == answer
    mesh.apply_text(REGISTRY_ONLY)
    # Where requests are read they are answered, elsewhere the connection is closed.
    assert fetched(world, unknown) == ("502" if mesh.capture == "explicit" else "0")
    mesh.apply_text(servers.here(EXAMPLE_COM))
    mesh.apply_text(TIMEOUT)
    assert fetched(world, f"http://{HOST}/") == f"200 http {HOST}"
    assert fetched(world, f"http://{servers.address}/", "www.example.org") == "502"
    if mesh.capture != "explicit":  # HTTPS passes an explicit proxy by
        assert fetched(world, f"https://{HOST}/") == f"200 https {HOST}"
        assert fetched(world, f"https://{servers.address}:{servers.https}/", HOST) == "0"
    mesh.cli("delete", "meshconfig", "mesh", "--wait")
    assert fetched(world, unknown) == answer
