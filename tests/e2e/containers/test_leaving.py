"""Containers that run and are called come into a mesh and leave it again: callers hardly notice, and nothing is cut."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support import small
from tests.support.containers import Engine, engine
from tests.support.loads import Load
from tests.support.meshes import running
from tests.support.polling import eventually

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.envoy,
    pytest.mark.privileged,
    pytest.mark.containers,
    pytest.mark.timeout(200),
]

RATE = 100.0
URL = f"http://web:{small.PORT}/"
# A request to this takes three seconds.
SLOW = tuple(
    part.replace("127.0.0.1", "0.0.0.0").replace(
        "body = ", 'self.path == "/slow" and __import__("time").sleep(3)\n        body = '
    )
    for part in small.SERVE
)
SERVERS = (small.Server("web", command=SLOW), small.Server("client"))
# For how long callers may find nobody when the one endpoint there is changes sides, in seconds; the machine is busy.
LONGEST_GAP = 0.6


@pytest.fixture(scope="module")
def podman() -> Iterator[Engine]:
    with engine() as made:
        made.network(small.NETWORK)
        made.run_all([container for server in SERVERS for container in server.containers])
        eventually(lambda: all(made.listens(f"{server.name}-0", small.PORT) for server in SERVERS), "both listen")
        yield made


@pytest.mark.parametrize("mode", ["container-sidecar", "container-node"])
def test_the_one_endpoint_of_a_service_leaves_and_comes_back(podman: Engine, mode: str) -> None:
    changes = 4
    with running(capture=mode, engine=podman) as mesh:
        with mesh.load("client-0", f"{URL}slow", 10) as slow, mesh.load("client-0", URL, RATE) as load:
            for _ in range(changes // 2):
                mesh.cli("detach", "web-0")
                mesh.cli("attach", "web-0")
        assert_short_gaps(load, changes)
        assert_short_gaps(slow, changes, 10)


@pytest.mark.parametrize("mode", ["container-sidecar", "container-node"])
def test_the_mesh_ends_and_its_members_go_on(podman: Engine, mode: str, tmp_path: Path) -> None:
    with running(capture=mode, engine=podman, state_dir=tmp_path / "state") as mesh:
        with mesh.load("client-0", f"{URL}slow", 10) as slow, mesh.load("client-0", URL, RATE) as load:
            mesh.process.send_signal(signal.SIGINT)
            assert mesh.process.wait(60) == 0
        assert_short_gaps(load, 1)
        assert_short_gaps(slow, 1, 10)


def assert_short_gaps(load: Load, gaps: int, rate: float = RATE) -> None:
    lost = load.result["sent"] - load.result["statuses"].get("200", 0)
    assert load.result["sent"] > rate
    assert lost <= gaps * LONGEST_GAP * rate + 1, load.result
