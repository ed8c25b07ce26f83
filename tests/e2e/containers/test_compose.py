"""`mizzen up compose.yaml`, and the walk through examples/compose, with a real Compose and a real engine.

Debian's docker-compose 1.29 is the Compose. There is no systemd to run health checks, so a thread does.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.capture.played_host import state_of_the_host
from tests.support.applications import bookinfo_image
from tests.support.containers import Engine, engine
from tests.support.images import BASE
from tests.support.meshes import ROOT, read_until
from tests.support.polling import eventually

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.envoy,
    pytest.mark.privileged,
    pytest.mark.containers,
    pytest.mark.compose,
    pytest.mark.timeout(300),
]

FILE = "examples/compose/compose.yaml"
README = (ROOT / "examples" / "compose" / "README.md").read_text()
BLOCKS = [re.sub(r"(?m)^    ", "", block) for block in re.findall(r"(?m)(?:^    .+\n)+", README)]
UP, MESH, COUNT, CANARY, HALF, UNDO, OUT, DOWN, ONE_STEP, DOWN_AGAIN = BLOCKS
PAGE = "curl -sf --max-time 20 http://localhost:9080/productpage"
SMALL = f"""
services:
  one: {{image: {BASE}}}
  two: {{image: {BASE}}}
"""


@pytest.fixture(scope="module")
def podman() -> Iterator[Engine]:
    with engine() as made:
        bookinfo_image(made)
        yield made


@pytest.fixture
def env(podman: Engine) -> Iterator[dict[str, str]]:
    """A user's environment, in which sudo does nothing and `docker compose` is the Compose that there is."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("MIZZEN_", "PYTEST_"))}
    with tempfile.TemporaryDirectory(prefix="mizzen-") as folder:
        for name, text in {
            "sudo": 'exec "$@"',
            "docker": 'test "$1" = compose && shift && exec docker-compose "$@"',
        }.items():
            script = Path(folder, name)
            script.write_text(f"#!/bin/sh\n{text}\n")
            script.chmod(0o755)
        path = f"{folder}:{Path(sys.executable).parent}:{own['PATH']}"
        mine = own | podman.environment | {"XDG_STATE_HOME": f"{folder}/state", "PATH": path, "NO_COLOR": "1"}
        yield mine
        for command in (
            "mizzen down",
            f"docker compose -f {FILE} down",
            f"docker compose -f {folder}/compose.yaml down",
        ):
            shell(podman, mine, command, check=False)


def shell(podman: Engine, env: dict[str, str], script: str, *, check: bool = True) -> str:
    command = podman.host.command("bash", "-euo", "pipefail", "-c", script, folder=ROOT)
    done = subprocess.run(
        command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=150
    )
    if check:
        assert done.returncode == 0, f"{script}\n{done.returncode}\n{done.stdout}"
    return done.stdout


@contextlib.contextmanager
def health_checks(podman: Engine) -> Iterator[None]:
    """Runs the checks of containers that have not passed theirs, as systemd's timers would, while the context lasts."""
    over = threading.Event()

    def check() -> None:
        while not over.wait(0.3):
            for container in (one["Id"] for one in podman.request("GET", "/containers/json")):
                if podman.inspect(container)["State"]["Health"]["Status"] == "starting":
                    podman.check_health(container)

    thread = threading.Thread(target=check)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def counted(text: str) -> dict[str, int]:
    """Reads what the README's loop counts."""
    return {version: int(number) for number, version in re.findall(r"(\d+) reviews (v\d)", text)}


def assert_canary(podman: Engine, env: dict[str, str]) -> None:
    found = counted(shell(podman, env, COUNT))
    assert set(found) <= {"v1", "v2"}
    assert found["v1"] > 0.7 * sum(found.values())


def healthy(podman: Engine) -> int:
    listed = podman.request("GET", "/containers/json")
    return sum(podman.inspect(one["Id"])["State"]["Health"]["Status"] == "healthy" for one in listed)


def left(podman: Engine) -> dict[str, object]:
    """What a mesh might leave on the host, beside processes."""
    with podman.host.entered():
        state = state_of_the_host()
    # Netavark leaves rules of its own where containers end at the same time, now these and now those.
    ours = [line for line in str(state["rules"]).splitlines() if "mizzen" in line or "mz-" in line]
    return state | {"rules": ours}


def of_mizzen(podman: Engine) -> list[str]:
    lines = [Path(f"/proc/{pid}/cmdline") for pid in podman.host.processes()]
    found = [line.read_bytes().replace(b"\0", b" ").decode() for line in lines if line.exists()]
    return [line for line in found if "mizzen" in line or "envoy" in line]


def states(podman: Engine) -> dict[str, str]:
    listed = podman.request("GET", "/containers/json?all=true")
    return {one["Labels"]["com.docker.compose.service"]: one["State"] for one in listed}


def test_the_walk_through(podman: Engine, env: dict[str, str]) -> None:
    """The command blocks of the README up to its last section, in their order."""
    shell(podman, env, UP)
    with health_checks(podman):
        eventually(lambda: healthy(podman) == 6, "all six are healthy", 60)
    assert "<blockquote>" in shell(podman, env, PAGE)
    before = left(podman)
    assert "mesh is ready: 6 instances" in shell(podman, env, MESH)
    assert set(counted(shell(podman, env, COUNT))) == {"v1", "v2", "v3"}
    assert shell(podman, env, CANARY).count(" created") == 2
    assert_canary(podman, env)
    assert "configured" in shell(podman, env, HALF)
    assert set(counted(shell(podman, env, COUNT))) == {"v1", "v3"}
    shell(podman, env, UNDO)
    said = shell(podman, env, OUT)
    assert (said.count(" detached"), said.count(" attached")) == (6, 6)
    down, compose_down = DOWN.splitlines()
    shell(podman, env, down)
    assert left(podman) == before
    assert set(states(podman).values()) == {"running"}
    shell(podman, env, compose_down)
    assert states(podman) == {}
    assert not of_mizzen(podman)


def test_in_one_step(podman: Engine, env: dict[str, str]) -> None:
    """The last section of the README; then the application goes on without the mesh that has started it."""
    before = left(podman)
    with health_checks(podman):
        said = shell(podman, env, ONE_STEP)
    assert f"project bookinfo: docker compose -p bookinfo -f {FILE} up -d\n" in said
    assert "mesh is ready: 6 instances" in said
    assert shell(podman, env, PAGE).count("<blockquote>") == 2
    shell(podman, env, CANARY)
    assert_canary(podman, env)
    shell(podman, env, DOWN_AGAIN.partition("\n")[0])
    assert set(states(podman).values()) == {"exited"}
    with health_checks(podman):
        assert "mesh is ready: 6 instances" in shell(podman, env, ONE_STEP)
    assert shell(podman, env, "mizzen detach bookinfo").count(" detached") == 6
    assert shell(podman, env, PAGE).count("<blockquote>") == 2
    shell(podman, env, "mizzen down")
    assert shell(podman, env, PAGE).count("<blockquote>") == 2
    shell(podman, env, f"docker compose -f {FILE} down")
    assert left(podman) == before
    assert not of_mizzen(podman)


def test_in_the_foreground(podman: Engine, env: dict[str, str], tmp_path: Path) -> None:
    """Ctrl-C stops what was started, and no more: what ran before runs on."""
    file = tmp_path / "compose.yaml"
    file.write_text(SMALL)
    compose = f"docker compose -f {file}"
    shell(podman, env, f"{compose} up -d one")
    for options, one in (((), "running"), (("--containers",), "exited")):
        command = podman.host.command("mizzen", "up", str(file), "--proxy", "node", *options, folder=ROOT)
        with subprocess.Popen(
            command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, process_group=0
        ) as mesh:
            assert "mesh is ready: 2 instances" in read_until(mesh, "^mesh is ready")
            assert shell(podman, env, "mizzen containers").count("Attached") == 2
            os.killpg(mesh.pid, signal.SIGINT)
            output, _ = mesh.communicate(timeout=60)
        assert (mesh.returncode, f"{file} stop\n" in output) == (0, one == "exited"), output
        assert states(podman) == {"one": one, "two": one}
        shell(podman, env, f"{compose} stop -t 1")
    shell(podman, env, f"{compose} down")


def test_what_compose_says_against_it(podman: Engine, env: dict[str, str], tmp_path: Path) -> None:
    before = left(podman)
    file = tmp_path / "compose.yaml"
    file.write_text(SMALL + "  three: {image: localhost/missing, depends_on: [one]}\n")
    said = shell(podman, env, f"mizzen up {file} --detach || echo code $?")
    assert "missing" in said
    assert re.search(r"error: project \S+ was not started: `.* up -d` ended with exit code 1; .*\ncode 1\n", said), said
    assert "running" not in states(podman).values()
    # What the engine has of a network stays until Compose removes that.
    after = left(podman)
    assert "mizzen" not in str(after)
    assert [after[name] for name in ("claims", "named namespaces")] == [
        before[name] for name in ("claims", "named namespaces")
    ]
    assert not of_mizzen(podman)
    shell(podman, env, f"docker compose -f {file} down")
    file.write_text("services: {one: {imago: x}}\n")
    said = shell(podman, env, f"mizzen up {file} --detach || echo code $?")
    assert "imago" in said
    assert "config` ended with exit code 1; nothing was started\ncode 1\n" in said
