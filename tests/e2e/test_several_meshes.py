"""Several meshes side by side, known by their names, and detached from the terminal that started them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.support import small
from tests.support.meshes import MIZZEN
from tests.support.processes import with_variable

pytestmark = [pytest.mark.e2e, pytest.mark.envoy, pytest.mark.timeout(120)]

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """Where all meshes of a user are; none may run at the end."""
    home = tmp_path / "xdg"
    yield home
    left = with_variable("XDG_STATE_HOME", str(home))
    if left:
        command(home, "down", "--all")
    assert not left


def command(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith("MIZZEN_")}
    env = own | {"XDG_STATE_HOME": str(home), "NO_COLOR": "1"}
    line = [str(MIZZEN), *arguments]
    return subprocess.run(line, env=env, capture_output=True, text=True, check=False, timeout=90)


@pytest.fixture
def run(home: Path) -> Run:
    return lambda *arguments: command(home, *arguments)


def up(run: Run, folder: Path, name: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Starts a mesh, detached, whose only workload answers with the mesh's name."""
    file = folder / f"{name}.yaml"
    answer = small.workload("web").replace("value: web", f"value: {name}")
    file.write_text(small.joined(small.service("web"), answer))
    return run("up", str(file), "--name", name, "--capture", "explicit", "--detach", *options)


def answered(run: Run, *options: str) -> str:
    done = run("exec", *options, "web", "--", "curl", "-s", "http://web/")
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_meshes_are_told_apart_by_name(run: Run, home: Path, tmp_path: Path) -> None:
    started = up(run, tmp_path, "one")
    assert started.returncode == 0
    assert "Running in mesh one (explicit capture): web-0" in started.stdout
    assert "mizzen down --name one" in started.stdout
    assert answered(run) == "one", "where only one runs, it is meant"
    elsewhere = tmp_path / "elsewhere"
    assert up(run, tmp_path, "two", "--state-dir", str(elsewhere)).returncode == 0

    listed = run("list").stdout.splitlines()
    assert [line.split()[0] for line in listed] == ["NAME", "one", "two"]
    assert str(home / "mizzen" / "one") in listed[1]
    assert str(elsewhere) in listed[2]
    assert (answered(run, "--name", "one"), answered(run, "--name", "two")) == ("one", "two")
    assert answered(run, "--state-dir", str(elsewhere)) == "two"
    undecided = run("status")
    assert undecided.returncode == 1
    assert "several meshes are running: one, two" in undecided.stderr
    again = up(run, tmp_path, "one")
    assert again.returncode == 1
    assert "mesh one runs already" in again.stderr

    assert run("down", "--name", "one").stdout.startswith("mesh one stopped after ")
    assert answered(run) == "two"
    assert run("down", "--all").stdout.startswith("mesh two stopped after ")
    assert run("list").stderr == "No mesh is running.\n"


def test_what_was_applied_is_there_after_a_restart_of_the_mesh(run: Run, tmp_path: Path) -> None:
    assert up(run, tmp_path, "one").returncode == 0
    file = tmp_path / "extra.yaml"
    file.write_text(small.service("extra"))
    assert run("apply", "--wait", "-f", str(file)).returncode == 0
    before = run("get", "all", "-o", "yaml").stdout
    assert run("down").returncode == 0
    assert up(run, tmp_path, "one").returncode == 0
    assert run("get", "all", "-o", "yaml").stdout == before
    assert "service/extra" in run("get", "services", "-o", "name").stdout
    assert run("down").returncode == 0


def test_a_detached_mesh_that_cannot_start_leaves_nothing(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "broken.yaml"
    file.write_text(small.workload("web", ["no-such-command"]))
    done = run("up", str(file), "--name", "broken", "--capture", "explicit", "--detach")
    assert done.returncode == 1
    assert "command not found: no-such-command" in done.stderr
    assert run("list").stderr == "No mesh is running.\n"
