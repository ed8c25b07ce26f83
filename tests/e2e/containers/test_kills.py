"""What docs/containers.md says of kill -9: of the engine's service, of Envoys, and of the node, under load.

The control plane is killed in tests/e2e/test_undisturbed.py, in every runtime.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator

import pytest
from tests.support.applications import bookinfo_containers, small_container
from tests.support.containers import Engine, engine
from tests.support.meshes import Mesh, running
from tests.support.polling import eventually

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.envoy,
    pytest.mark.privileged,
    pytest.mark.containers,
    pytest.mark.timeout(300),
]

REVIEWS = "http://reviews:9080/health"
CALLER = "productpage-v1"
RATE = 100.0
# How long nobody may be served after an Envoy was killed, in seconds; on a busy machine its start alone takes half of it.
LONGEST_OUTAGE = 5.0


@pytest.fixture(scope="module")
def podman() -> Iterator[Engine]:
    with engine() as made:
        bookinfo_containers(made)
        yield made


@pytest.fixture(params=["container-sidecar", "container-node"])
def mesh(request: pytest.FixtureRequest, podman: Engine) -> Iterator[Mesh]:
    with running(capture=request.param, engine=podman) as started:
        yield started


def served(mesh: Mesh, count: int = 5) -> bool:
    return bool(mesh.send(CALLER, REVIEWS, count, 100.0)["statuses"] == {"200": count})


def test_the_engines_service_is_killed_and_comes_back(mesh: Mesh, podman: Engine) -> None:
    """No request fails. Who ends meanwhile is withdrawn, and who starts is taken in when the engine is back."""
    with mesh.load(CALLER, REVIEWS, 2 * RATE) as load:  # all of it may be over in a second
        podman.kill_service()
        eventually(lambda: "is away" in mesh.cli("status").stderr or _trouble(mesh), "the mesh says that it is away")
        podman.podman("kill", "ratings-v1")
        eventually(lambda: "ratings-v1" not in _attached(mesh), "who ended has left")
        podman.start_service()
        podman.start("ratings-v1")
        eventually(lambda: "ratings-v1" in _attached(mesh), "who started is attached")
        eventually(lambda: not _trouble(mesh), "the engine is back")
    load.assert_nothing_failed(at_least=100)


def _trouble(mesh: Mesh) -> bool:
    return bool(mesh.get("/v1/containers")["problems"])


def _attached(mesh: Mesh) -> set[str]:
    return {one["name"] for one in mesh.get("/v1/containers")["items"] if one["state"] == "Attached"}


def test_an_envoy_is_killed(mesh: Mesh) -> None:
    """The requests that it had are lost, and those until another is ready; the application goes on."""
    before = mesh.instance("reviews-v1")
    with mesh.load(CALLER, REVIEWS, RATE) as load:
        os.kill(before["proxyPid"], signal.SIGKILL)
        began = time.monotonic()
        eventually(lambda: _has_another(mesh, before["proxyPid"]), "another Envoy serves")
        outage = time.monotonic() - began
    after = mesh.instance("reviews-v1")
    assert after["pid"] == before["pid"]
    assert after["proxyRestarts"] == before["proxyRestarts"] + 1
    assert outage <= LONGEST_OUTAGE
    lost = load.result["sent"] - load.result["statuses"].get("200", 0)
    assert lost <= LONGEST_OUTAGE * RATE, load.result
    assert served(mesh)


def _has_another(mesh: Mesh, killed: int) -> bool:
    now = mesh.instance("reviews-v1")
    return bool(now["ready"]) and now["proxyPid"] not in (0, killed)


@pytest.mark.parametrize("mode", ["container-sidecar", "container-node"])
def test_the_node_is_killed_and_started_again(mode: str, podman: Engine) -> None:
    """As systemd starts it again. It finds what the dead one left in the containers' networks, and takes its place."""
    with running(capture=mode, engine=podman) as mesh:
        assert served(mesh)
        mesh.process.kill()
        mesh.process.wait()
        # New calls go nowhere: in plaintext they must not go.
        with pytest.raises(AssertionError):
            podman.exec(CALLER, "wget", "-q", "-T", "2", "-O", "-", REVIEWS)
        state_dir = mesh.settings.state_dir
        with running(capture=mode, engine=podman, state_dir=state_dir) as again:
            assert served(again)
            # What is new meanwhile is a member, too.
            small_container(podman, f"late-{mode}", "bookinfo")
            eventually(lambda: f"late-{mode}" in _attached(again), "a container that starts later is attached")
        assert "healthy" in podman.exec(CALLER, "wget", "-q", "-O", "-", REVIEWS)
        mesh.process.returncode = 0  # as far as the check of its end is concerned: it was killed on purpose
