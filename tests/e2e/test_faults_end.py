"""However a mesh ends, nothing of it is left running; and the next start works."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import pytest
from tests.e2e.conftest import CAPTURES
from tests.support import small
from tests.support.meshes import MIZZEN, environment, read_until, running, start
from tests.support.polling import eventually
from tests.support.processes import of_mesh

from mizzen.node.capture import host
from mizzen.settings import Settings

pytestmark = [pytest.mark.e2e, pytest.mark.envoy, pytest.mark.timeout(120)]

STUBBORN = ["sh", "-c", 'trap "" TERM; python3 -m http.server "$0" & wait; wait', "$(PORT)"]
INTERRUPTED = 130


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def web(tmp_path: Path) -> Path:
    return written(tmp_path, small.joined(small.service("web"), small.workload("web")))


def written(folder: Path, text: str) -> Path:
    file = folder / "mesh.yaml"
    file.write_text(text)
    return file


def network(state_dir: Path) -> Path:
    """The bridge of a mesh whose capture is transparent."""
    return Path("/sys/class/net") / host.identify(Settings("test", state_dir)).bridge


def ended(process: subprocess.Popen[str], state_dir: Path, seconds: float = 20) -> tuple[int, str]:
    """Waits for the end, at which nothing may be left; returns the exit code and what was printed."""
    output, _ = process.communicate(timeout=seconds)
    assert of_mesh(state_dir) == {}
    assert not (state_dir / "mesh.json").exists()
    assert not network(state_dir).exists()
    return process.returncode, output


@pytest.mark.parametrize("capture", CAPTURES)
def test_kill_9_of_the_node(web: Path, state_dir: Path, capture: str) -> None:
    process = start([web], state_dir, capture=capture)
    seen = read_until(process, "mesh is ready")
    assert len(of_mesh(state_dir)) == 4, "the node, the control plane, a proxy, an application"
    assert network(state_dir).exists() == (capture != "explicit")
    process.kill()
    process.communicate()
    eventually(lambda: not of_mesh(state_dir), "all its children have died with it", 10)
    assert "web-0 is ready" in seen
    # What it could not remove, the next start does.
    with running(web, state_dir=state_dir, capture=capture) as mesh:
        assert mesh.send("web", "http://web/", 5)["statuses"] == {"200": 5}
    assert of_mesh(state_dir) == {}
    assert not network(state_dir).exists()


def test_grandchildren_of_a_killed_node_are_ended_by_the_next_start(tmp_path: Path, state_dir: Path) -> None:
    """The kernel ends the node's own children with it, but not theirs."""
    forking = ["sh", "-c", 'sleep 1000 & exec python3 -m http.server "$0"', "$(PORT)"]
    file = written(tmp_path, small.workload("web", forking))
    process = start([file], state_dir)
    read_until(process, "mesh is ready")
    process.kill()
    eventually(lambda: set(of_mesh(state_dir).values()) == {"sleep 1000"}, "only the grandchild is left", 10)
    orphan = set(of_mesh(state_dir))
    # It has the pipe of the test's own process, too.
    assert process.stdout
    process.stdout.close()
    process.wait()
    with running(file, state_dir=state_dir):
        assert not orphan & set(of_mesh(state_dir))
    assert of_mesh(state_dir) == {}


@pytest.mark.parametrize("capture", CAPTURES)
@pytest.mark.parametrize(
    "moment", ["mesh test is starting", "control plane is up", "web-0 is starting", "proxy is ready"]
)
def test_an_interrupt_while_starting(web: Path, state_dir: Path, moment: str, capture: str) -> None:
    process = start([web], state_dir, capture=capture)
    read_until(process, moment)
    process.send_signal(signal.SIGINT)
    code, output = ended(process, state_dir)
    assert code == 0
    assert output.splitlines()[-1] == "stopped"
    assert "Traceback" not in output


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_it_in_order(web: Path, state_dir: Path, number: signal.Signals) -> None:
    process = start([web], state_dir)
    read_until(process, "Ctrl-C")
    process.send_signal(number)
    code, output = ended(process, state_dir)
    assert code == 0
    assert output.splitlines() == [f"stopping ({number.name})", "web-0 is draining", "web-0 has stopped", "stopped"]


def test_an_application_that_does_not_end_is_ended(tmp_path: Path, state_dir: Path) -> None:
    file = written(tmp_path, small.workload("web", STUBBORN, more="  terminationGracePeriodSeconds: 1"))
    process = start([file], state_dir)
    read_until(process, "Ctrl-C")
    process.send_signal(signal.SIGINT)
    assert ended(process, state_dir)[0] == 0


@pytest.mark.parametrize("capture", CAPTURES)
def test_a_second_interrupt_ends_it_at_once(tmp_path: Path, state_dir: Path, capture: str) -> None:
    file = written(tmp_path, small.workload("web", STUBBORN, more="  terminationGracePeriodSeconds: 600"))
    process = start([file], state_dir, capture=capture)
    read_until(process, "Ctrl-C")
    process.send_signal(signal.SIGINT)
    read_until(process, "web-0 is draining")
    assert len(of_mesh(state_dir)) > 3
    process.send_signal(signal.SIGINT)
    code, output = ended(process, state_dir, seconds=10)
    assert code == INTERRUPTED
    assert "Traceback" not in output


def command(state_dir: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    line = [str(MIZZEN), *arguments]
    return subprocess.run(line, env=environment(state_dir), capture_output=True, text=True, check=False, timeout=60)


def test_down_and_what_is_said_of_a_mesh_that_does_not_run(web: Path, state_dir: Path) -> None:
    never = command(state_dir, "apply", "-f", str(web))
    assert never.returncode == 1
    assert never.stderr.splitlines()[0] == f"error: mesh default is not running (state directory {state_dir})"
    assert "Start one with: mizzen up" in never.stderr

    assert command(state_dir, "up", str(web), "--name", "test", "--capture", "explicit", "--detach").returncode == 0
    assert len(of_mesh(state_dir)) == 5, "what starts the node again, the node, the control plane, a proxy, web"
    first = command(state_dir, "down")
    assert first.returncode == 0
    assert first.stdout.startswith("mesh test stopped after ")
    assert of_mesh(state_dir) == {}
    again = command(state_dir, "down", "--name", "test")
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "mesh test is not running\n")
    for arguments in (["apply", "-f", str(web)], ["status"], ["get", "all"], ["exec", "web", "--", "true"]):
        gone = command(state_dir, *arguments)
        assert gone.returncode == 1
        assert "is not running" in gone.stderr
    unknown = command(state_dir, "down", "--name", "tset")
    assert unknown.returncode == 1
    assert "there is no mesh tset" in unknown.stderr
