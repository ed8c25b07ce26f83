"""A mesh of containers that is interrupted while it starts leaves them as they were; the next start works."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.containers.inventory import difference, inventory, settled
from tests.support.applications import small_container
from tests.support.containers import Engine, engine
from tests.support.meshes import read_until, running, start
from tests.support.processes import of_mesh

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.envoy,
    pytest.mark.privileged,
    pytest.mark.containers,
    pytest.mark.timeout(120),
]

NAMES = ("web", "client")


@pytest.fixture(scope="module")
def podman() -> Iterator[Engine]:
    with engine() as made:
        made.network("shop")
        for name in NAMES:
            small_container(made, name, "shop")
        yield made


@pytest.mark.parametrize("mode", ["container-sidecar", "container-node"])
@pytest.mark.parametrize(
    "moment", ["mesh test is starting", "control plane is up", "(web|client) is starting", "(web|client) is ready"]
)
def test_an_interrupt_while_starting(podman: Engine, tmp_path: Path, moment: str, mode: str) -> None:
    before = settled(podman, *NAMES)
    state_dir = tmp_path / "state"
    process = start([], state_dir, capture=mode, engine=podman)
    read_until(process, moment)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=20)
    assert process.returncode == 0, output
    assert output.splitlines()[-1] == "stopped"
    assert "Traceback" not in output
    assert of_mesh(state_dir) == {}
    assert difference(before, inventory(podman, *NAMES)) == {}


def test_a_start_after_an_interrupt(podman: Engine, tmp_path: Path) -> None:
    process = start([], tmp_path / "state", capture="container-sidecar", engine=podman)
    read_until(process, "control plane is up")
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    with running(capture="container-sidecar", engine=podman, state_dir=tmp_path / "state") as mesh:
        assert mesh.send("client", "http://web:8080/", 5)["statuses"] == {"200": 5}
