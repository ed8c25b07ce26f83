"""What becomes of `mizzen run` when its node is killed, when the mesh is stopped, and where there is none."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support import small
from tests.support.meshes import Mesh, environment, read_until, start
from tests.support.runs import SERVE, WEB, Run, await_ready, command_line, instances_of, running_command

from mizzen.settings import Settings

pytestmark = [pytest.mark.e2e, pytest.mark.envoy, pytest.mark.timeout(120)]

URL = "http://web:8080/"
transparent = pytest.mark.privileged


@pytest.fixture
def state(tmp_path: Path) -> Path:
    (tmp_path / "mesh.yaml").write_text(small.joined(small.service("client"), small.workload("client")))
    return tmp_path / "state"


@contextlib.contextmanager
def node(state: Path, capture: str) -> Iterator[Mesh]:
    """A mesh that is ready, and that the test ends as it likes."""
    with start([state.parent / "mesh.yaml"], state, capture=capture) as process:
        try:
            read_until(process, "^mesh is ready")
            yield Mesh(Settings(name="test", state_dir=state), process, capture)
        finally:
            process.kill()


def said(run: Run, words: str) -> None:
    """Waits until the run has said something; the test's own time limit ends a wait in vain."""
    assert run.process.stderr
    assert any(words in line for line in run.process.stderr), words


def stop(mesh: Mesh) -> None:
    mesh.process.send_signal(signal.SIGINT)
    _, _ = mesh.process.communicate(timeout=60)
    assert mesh.process.returncode == 0


def test_with_explicit_capture_it_goes_on_without_its_node_and_joins_the_next(state: Path) -> None:
    with node(state, "explicit") as first, running_command(first, *WEB) as web:
        await_ready(first, "web-r0")
        before = instances_of(first)["web-r0"]
        first.process.kill()
        said(web, "the command goes on, and is in the mesh again when it is back")
        os.kill(before["pid"], 0)
        with node(state, "explicit") as second:
            await_ready(second, "web-r0")
            after = instances_of(second)["web-r0"]
            same = ("pid", "ports", "httpProxy", "outbound")
            assert [after[field] for field in same] == [before[field] for field in same]
            assert second.send("client", URL, 20)["statuses"] == {"200": 20}
            assert web.end()[0] == 143
            stop(second)


def test_with_explicit_capture_it_can_end_while_there_is_no_node(state: Path) -> None:
    with node(state, "explicit") as mesh, running_command(mesh, *WEB) as web:
        await_ready(mesh, "web-r0")
        mesh.process.kill()
        said(web, "the command goes on")
        assert web.end()[0] == 143


@transparent
def test_with_transparent_capture_its_network_ends_with_its_node_and_so_does_it(state: Path) -> None:
    with node(state, "transparent") as first, running_command(first, *WEB) as web:
        await_ready(first, "web-r0")
        first.process.kill()
        code, _, err = web.ended()
        assert code == 125
        assert "the node of mesh test has gone, and the network of web-r0 with it" in err
    with node(state, "transparent") as second, running_command(second, *WEB) as web:
        await_ready(second, "web-r0")
        assert second.send("client", URL, 20)["statuses"] == {"200": 20}
        assert web.end()[0] == 143
        stop(second)


@pytest.mark.parametrize("capture", ["explicit", pytest.param("transparent", marks=transparent)])
def test_it_ends_with_its_mesh_and_says_so(state: Path, capture: str) -> None:
    told = "trap 'echo told; exit 0' TERM; echo on; while :; do sleep 0.05; done"
    with node(state, capture) as mesh, running_command(mesh, command=("sh", "-c", told)) as begun:
        assert begun.process.stdout
        assert begun.process.stdout.readline() == "on\n"
        stop(mesh)
        code, out, err = begun.ended()
    assert (code, out) == (125, "told\n")
    assert "mesh test stops, and sh-r0 with it" in err


def test_systemd_is_told_when_it_is_ready_and_when_it_ends(state: Path, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(60)
        with node(state, "explicit") as mesh:
            with running_command(mesh, *WEB, env={"NOTIFY_SOCKET": str(tmp_path / "notify")}) as web:
                assert manager.recv(1000) == b"READY=1\nSTATUS=web-r0 is ready"
                assert instances_of(mesh)["web-r0"]["ready"]
                assert web.end()[0] == 143
            assert manager.recv(1000) == b"STOPPING=1"
            stop(mesh)


def test_without_a_mesh_it_says_what_to_do(tmp_path: Path) -> None:
    env = environment(tmp_path / "state")
    line = command_line(*WEB, command=SERVE)
    done = subprocess.run(line, env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (125, "")
    assert "is not running" in done.stderr
    assert "mizzen up PATH" in done.stderr
