"""A container's first packet waits for its proxy where the engine has hooks; without the mesh nobody waits."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest
from tests.support import images, small
from tests.support.applications import small_container
from tests.support.containers import Container, Engine, engine
from tests.support.meshes import MIZZEN, Mesh, environment, read_until, running, start
from tests.support.polling import eventually

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.envoy,
    pytest.mark.privileged,
    pytest.mark.containers,
    pytest.mark.timeout(120),
]

NETWORK = "shop"
OUTSIDE = {"mizzen.dev/mesh": "false"}
# The first thing that it does is to ask for a name and to connect; it writes down what came of it.
EAGER = """
import json, socket, sys, time
began = time.time()
found = socket.gethostbyname("web")
with socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=20) as made:
    port = made.getsockname()[1]
print(json.dumps({"web": found, "port": port, "seconds": time.time() - began}), file=open("/tmp/told", "w"))
time.sleep(1000)
"""


@pytest.fixture(scope="module")
def podman() -> Iterator[Engine]:
    with engine() as made:
        made.network(NETWORK)
        small_container(made, "web", NETWORK)
        yield made


def gateway(podman: Engine) -> str:
    address: str = podman.request("GET", f"/networks/{NETWORK}")["IPAM"]["Config"][0]["Gateway"]
    return address


@contextmanager
def listening(podman: Engine) -> Iterator[tuple[int, set[tuple[str, int]]]]:
    """A server on the host, which is outside the mesh; yields its port, and who has connected to it."""
    with podman.host.entered():
        listener = socket.create_server((gateway(podman), 0), backlog=512)
    peers: set[tuple[str, int]] = set()

    def accept() -> None:
        while True:
            try:
                made, peer = listener.accept()
            except OSError:
                return
            made.close()
            peers.add(peer)

    thread = threading.Thread(target=accept)
    thread.start()
    try:
        yield listener.getsockname()[1], peers
    finally:
        with closing(listener):
            listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def eager(podman: Engine, name: str, port: int, labels: dict[str, str] | None = None) -> dict[str, str | int | float]:
    """Runs a container that connects at once; returns what it says of it."""
    command = ("python3", "-c", EAGER, gateway(podman), str(port))
    podman.run(Container(name, command=command, network=NETWORK, labels=labels or {}))
    return told_by(podman, name)


def told_by(podman: Engine, name: str) -> dict[str, str | int | float]:
    file = Path(f"/proc/{podman.pid(name)}/root/tmp/told")
    eventually(lambda: file.exists() and file.read_text().endswith("\n"), f"{name} has connected")
    told: dict[str, str | int | float] = json.loads(file.read_text())
    return told


def hooks(podman: Engine) -> list[str]:
    return [file.name for file in (podman.folder / "hooks").iterdir()]


@pytest.mark.parametrize("mode", ["container-sidecar", "container-node"])
def test_the_first_packet_goes_through_the_proxy_and_the_first_name_into_the_mesh(podman: Engine, mode: str) -> None:
    with running(capture=mode, engine=podman) as mesh, listening(podman) as (port, peers):
        for number in range(3):
            told = eager(podman, f"{mode}-{number}", port)
            own = (podman.address(f"{mode}-{number}", NETWORK), told["port"])
            eventually(lambda: len(peers) > number, "the server has been called")  # noqa: B023 - called at once
            assert own not in peers, "the proxy's connections have ports of their own"
            assert str(told["web"]).startswith("240."), told
            podman.rm(f"{mode}-{number}")
        assert [one["state"] for one in mesh.get("/v1/containers")["items"] if one["name"] == "web"] == ["Attached"]
        assert len(hooks(podman)) == 1
    assert hooks(podman) == []


def test_one_that_has_opted_out_starts_as_without_a_mesh(podman: Engine) -> None:
    with running(capture="container-sidecar", engine=podman), listening(podman) as (port, peers):
        told = eager(podman, "outside", port, OUTSIDE)
        assert (podman.address("outside", NETWORK), told["port"]) in peers
        assert not str(told["web"]).startswith("240.")
        # What is dropped and sent again takes a second.
        assert float(told["seconds"]) < 1
        podman.rm("outside")


def test_one_that_does_not_start_is_let_go(podman: Engine) -> None:
    """That its command is not there shows only when its network is made and held."""
    with running(capture="container-sidecar", engine=podman) as mesh:
        before = namespaces(mesh.process.pid)
        podman.create(Container("broken", network=NETWORK, command=("/no/such/command",)))
        podman.podman("start", "broken", check=False)
        assert namespaces(mesh.process.pid) == before + 1
        eventually(lambda: namespaces(mesh.process.pid) == before, "its namespace is let go")
        podman.rm("broken")


def namespaces(pid: int) -> int:
    """How many network namespaces a process holds open."""
    held = 0
    for link in Path(f"/proc/{pid}/fd").iterdir():
        try:
            held += str(link.readlink()).startswith(("net:", "/run/netns/")) or "/ns/net" in str(link.readlink())
        except FileNotFoundError:
            continue
    return held


def attached(answer: dict[str, list[dict[str, str]]], name: str) -> bool:
    return any(one["state"] == "Attached" for one in answer["items"] if one["name"] == name)


def is_held(podman: Engine, container: str) -> bool:
    """Whether rules of a mesh are in force in a container's network."""
    inside = ("nsenter", "-t", str(podman.pid(container)), "-n", "nft", "list", "tables")
    return "mizzen" in subprocess.run(inside, capture_output=True, text=True, check=True).stdout


def test_one_whose_attachment_is_refused_goes_its_own_way(podman: Engine) -> None:
    reserved = {"mizzen.dev/ports": "15001"}
    with running(capture="container-sidecar", engine=podman) as mesh, listening(podman) as (port, peers):
        told = eager(podman, "reserved", port, reserved)
        assert (podman.address("reserved", NETWORK), told["port"]) in peers
        eventually(lambda: "15001" in reason(mesh, "reserved"), "it is said why")
        podman.rm("reserved")


def reason(mesh: Mesh, name: str) -> str:
    return "".join(one["reason"] for one in mesh.get("/v1/containers")["items"] if one["name"] == name)


def test_one_that_has_opted_out_starts_as_without_a_mesh_while_the_engine_is_away(podman: Engine) -> None:
    with running(capture="container-sidecar", engine=podman) as mesh, listening(podman) as (port, _):
        called = (gateway(podman), str(port))
        podman.kill_service()
        eventually(lambda: mesh.get("/v1/containers")["problems"], "the mesh knows that the engine is away")
        run = ("run", "--detach", "--name", "away", "--label", "mizzen.dev/mesh=false", "--network", NETWORK)
        podman.podman(*run, "--cgroup-parent", podman.group.name, images.BASE, "python3", "-c", EAGER, *called)
        podman.start_service()
        told = told_by(podman, "away")
        assert float(told["seconds"]) < 1
        podman.rm("away")


def test_one_that_joins_the_network_of_an_outsider_does_not_cut_it_off(podman: Engine) -> None:
    with running(capture="container-sidecar", engine=podman), listening(podman) as (port, _):
        eager(podman, "owner", port, OUTSIDE)
        command = ("run", "--detach", "--network", "container:owner", "--cgroup-parent", podman.group.name)
        podman.podman(*command, "--name", "guest", images.BASE, "python3", "-c", EAGER, gateway(podman), str(port))
        assert not is_held(podman, "owner")
        assert float(told_by(podman, "guest")["seconds"]) < 1
        podman.rm("guest")
        podman.rm("owner")


@pytest.mark.parametrize("delay", [0.0, 0.02, 0.04])
def test_one_that_starts_while_the_mesh_ends_is_let_go(podman: Engine, delay: float) -> None:
    with ThreadPoolExecutor(1) as threads:
        with running(capture="container-sidecar", engine=podman):
            podman.create(Container("late", network=NETWORK, command=("sleep", "1000")))
            starting = threads.submit(podman.start, "late")
            while not hook_runs(podman):
                assert not starting.done(), "it has started without a hook"
            time.sleep(delay)
        starting.result()
    assert not is_held(podman, "late")
    podman.kill("late")
    podman.rm("late")


def hook_runs(podman: Engine) -> bool:
    for pid in podman.host.processes():
        with suppress(OSError):  # It has ended.
            if b"engine/hook.py" in Path(f"/proc/{pid}/cmdline").read_bytes():
                return True
    return False


def test_what_a_killed_mesh_has_left_in_those_who_are_no_members_now_is_removed(podman: Engine, tmp_path: Path) -> None:
    process = start([], tmp_path / "first", capture="container-sidecar", engine=podman)
    read_until(process, "mesh is ready")
    podman.run(Container("left", network=NETWORK, command=("sleep", "1000")))
    eventually(lambda: is_held(podman, "left"), "it is attached")
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert is_held(podman, "left")
    file = tmp_path / "mesh.yaml"
    file.write_text(small.service("nobody"))
    other = start([file], tmp_path / "second", capture="transparent", engine=podman)
    read_until(other, "mesh is ready")

    def mizzen(*arguments: str) -> subprocess.CompletedProcess[str]:
        command, env = podman.host.command(str(MIZZEN), *arguments), environment(tmp_path / "second")
        return subprocess.run(command, env=env | podman.environment, check=False, capture_output=True, text=True)

    # Nothing was attached in this mesh, and its node asks the engine only now.
    assert [line.split()[:3] for line in mizzen("containers").stdout.splitlines()[1:]] == [
        ["left", "-", "Outside"],
        ["web", "-", "Outside"],
    ]
    refused = mizzen("attach", "wbe")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr.startswith("error: there is no container or Compose project wbe (did you mean web? ")
    assert mizzen("attach", "web").stdout == "container/web attached\n"
    eventually(lambda: not is_held(podman, "left"), "what the first mesh has left is removed")
    other.send_signal(signal.SIGINT)
    other.communicate()
    for file in (podman.folder / "hooks").iterdir():
        file.unlink()
    podman.kill("left")
    podman.rm("left")


def test_what_a_killed_node_leaves_holds_up_nobody(podman: Engine, tmp_path: Path) -> None:
    state_dir = tmp_path / "state"
    process = start([], state_dir, capture="container-sidecar", engine=podman)
    read_until(process, "mesh is ready")
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    left = hooks(podman)
    assert len(left) == 1
    with listening(podman) as (port, peers):
        told = eager(podman, "later", port)
        assert (podman.address("later", NETWORK), told["port"]) in peers
    # The next start takes its place, and what it finds, into the mesh.
    with running(capture="container-sidecar", engine=podman, state_dir=state_dir) as mesh:
        assert hooks(podman) == left
        assert attached(mesh.get("/v1/containers"), "later")
    assert hooks(podman) == []
    podman.rm("later")
