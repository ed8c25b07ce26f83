from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.unit.cli.fakes import StartMesh, run

from mizzen.cli import choosing
from mizzen.store.stores import SECRETS

POLITE = "import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit(0)); print(flush=True); signal.pause()"
STUBBORN = (
    "import signal; signal.signal(signal.SIGTERM, lambda *_: None); print(flush=True)\nwhile True: signal.pause()"
)


def _node(script: str) -> subprocess.Popen[bytes]:
    node = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    assert node.stdout
    node.stdout.readline()
    return node


def test_down_waits_for_the_end(start_mesh: StartMesh) -> None:
    with _node(POLITE) as node:
        start_mesh("shop", pid=node.pid)
        result = run("down")
        assert (result.exit_code, result.stderr) == (0, "stopping mesh shop\n")
        assert result.stdout.startswith("mesh shop stopped after ")
        assert node.wait() == 0


def test_on_a_terminal_the_end_is_watched(start_mesh: StartMesh, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mizzen.cli.stopping.on_terminal", lambda: True)
    with _node(POLITE) as node:
        start_mesh("shop", pid=node.pid)
        result = run("down")
    assert result.exit_code == 0
    assert result.stdout.startswith("mesh shop stopped after ")


def test_down_says_when_a_mesh_does_not_stop_in_time(start_mesh: StartMesh) -> None:
    with _node(STUBBORN) as node:
        start_mesh("shop", pid=node.pid)
        result = run("down", "--timeout", "50ms")
        node.kill()
    assert result.exit_code == 1
    assert result.stderr == (
        "stopping mesh shop\n"
        f"error: mesh shop (process {node.pid}) has not stopped within 0.05 s; it goes on stopping\n"
        f"  Wait longer with --timeout, or end it at once: kill -TERM {node.pid}\n"
    )


def test_down_all(start_mesh: StartMesh) -> None:
    with _node(POLITE) as one, _node(POLITE) as two:
        start_mesh("a", pid=one.pid)
        start_mesh("b", pid=two.pid)
        assert run("down").stderr == "error: several meshes are running: a, b\n  Say which: --name NAME, or --all.\n"
        result = run("down", "--all")
    assert [line.split(" after")[0] for line in result.stdout.splitlines()] == ["mesh a stopped", "mesh b stopped"]


def test_what_does_not_run_needs_no_stopping(home: Path) -> None:
    assert (run("down").exit_code, run("down").stderr) == (0, "no mesh is running\n")
    (home / "shop").mkdir(parents=True)
    assert (run("down", "--name", "shop").exit_code, run("down", "--name", "shop").stderr) == (
        0,
        "mesh shop is not running\n",
    )


def test_a_name_that_nobody_has_used_is_a_slip(home: Path) -> None:
    result = run("down", "--name", "shpo")
    assert result.exit_code == 1
    assert result.stderr == f"error: there is no mesh shpo ({home}/shpo does not exist)\n  Running: none.\n"


def test_a_mesh_of_another_user(start_mesh: StartMesh, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_pid: int, _signal: int) -> None:
        raise PermissionError(1, "Operation not permitted")

    start_mesh("shop")
    monkeypatch.setattr(os, "kill", refuse)
    result = run("down")
    assert result.stderr.splitlines()[-1] == f"error: mesh shop was started by another user (process {os.getpid()})"


def _left_behind(folder: Path) -> None:
    for name in ("ca", "logs", "children", f"{SECRETS}/0123"):
        (folder / name).mkdir(parents=True)
    for name in ("mizzen.db", "mizzen.db-wal", "lock", "ca/ca.key", "logs/node.log", f"{SECRETS}/0123/tls.key"):
        (folder / name).touch()


def test_purge_removes_the_state_and_the_record(home: Path, tmp_path: Path) -> None:
    folder = tmp_path / "elsewhere"
    _left_behind(folder)
    choosing.record(choosing.Mesh("shop", folder))
    result = run("down", "--name", "shop", "--purge")
    assert (result.exit_code, result.stdout) == (0, f"state of mesh shop removed ({folder})\n")
    assert not folder.exists()
    assert run("down", "--name", "shop").stderr.startswith("error: there is no mesh shop")


def test_purge_leaves_what_is_not_of_a_mesh(home: Path, tmp_path: Path) -> None:
    folder = tmp_path / "project"
    _left_behind(folder)
    (folder / "mesh.yaml").touch()
    assert run("down", "--state-dir", str(folder), "--purge").exit_code == 0
    assert [path.name for path in folder.iterdir()] == ["mesh.yaml"]
    (folder / "logs").mkdir()
    assert run("down", "--state-dir", str(folder), "--purge").exit_code == 0
    assert sorted(path.name for path in folder.iterdir()) == ["logs", "mesh.yaml"]
