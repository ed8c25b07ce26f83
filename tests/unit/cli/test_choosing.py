from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest
from tests.unit.cli.fakes import FakeApi, StartMesh, out, run

from mizzen import __version__
from mizzen.cli import choosing
from mizzen.cli.choosing import Choice, Mesh
from mizzen.cli.output import Complaint
from mizzen.node.process_table import start_time


def test_the_only_running_mesh_is_meant_whatever_its_name(start_mesh: StartMesh) -> None:
    start_mesh("shop")
    assert choosing.running(Choice()).name == "shop"


def test_several_running_meshes_are_named_and_one_must_be_chosen(start_mesh: StartMesh) -> None:
    start_mesh("shop")
    start_mesh("bank")
    with pytest.raises(Complaint, match="several meshes are running: bank, shop"):
        choosing.running(Choice())
    assert choosing.running(Choice("bank")).name == "bank"


def test_a_mesh_with_a_state_directory_of_its_own_is_found_by_its_record(start_mesh: StartMesh, tmp_path: Path) -> None:
    folder = start_mesh("shop", state_dir=tmp_path / "elsewhere")
    with pytest.raises(Complaint, match="mesh shop is not running"):
        choosing.running(Choice("shop"))
    choosing.record(Mesh("shop", folder))
    assert choosing.running(Choice("shop")).state_dir == folder
    assert [mesh.name for mesh in choosing.all_running()] == ["shop"]


def test_a_state_directory_says_the_name(start_mesh: StartMesh, tmp_path: Path) -> None:
    folder = start_mesh("shop", state_dir=tmp_path / "elsewhere")
    assert choosing.running(Choice(state_dir=folder)).name == "shop"


def test_a_mesh_whose_lock_is_free_does_not_run(start_mesh: StartMesh) -> None:
    folder = start_mesh("shop")
    (folder / "lock").unlink()
    (folder / "lock").touch()
    assert choosing.all_running() == []


def test_a_mesh_whose_process_has_gone_does_not_run(start_mesh: StartMesh) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    start_mesh("shop", pid=gone.pid)
    assert choosing.all_running() == []
    (killed,) = choosing.all_killed()
    assert (killed.name, killed.killed, killed.pid) == ("shop", gone.pid, 0)
    for choice in (Choice(), Choice("shop")):
        with pytest.raises(Complaint, match=rf"mesh shop was killed: its node \(process {gone.pid}\)"):
            choosing.running(choice)


def test_a_mesh_whose_node_was_killed_is_its_supervisors_until_another_runs(
    start_mesh: StartMesh,
) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    with subprocess.Popen(["sleep", "60"]) as supervisor:
        file = start_mesh("shop", pid=gone.pid) / "mesh.json"
        facts = json.loads(file.read_text())
        file.write_text(json.dumps(facts | {"supervisor": supervisor.pid, "supervisorStarted": "at another time"}))
        assert choosing.all_running() == [], "it is another process that has this number"
        told = {"supervisor": supervisor.pid, "supervisorStarted": start_time(supervisor.pid)}
        file.write_text(json.dumps(facts | told))
        assert choosing.running(Choice()).pid == supervisor.pid
        file.write_text(json.dumps(facts | told | {"pid": os.getpid()}))
        assert choosing.running(Choice()).pid == os.getpid()
        assert "mesh shop stopped" in run("down", "--name", "shop").stdout
        assert supervisor.wait() == -signal.SIGTERM


@pytest.mark.parametrize("content", ["", "{", "[]", '{"pid": "x"}', '{"name": 3}'])
def test_a_broken_mesh_file_is_of_a_mesh_that_does_not_run(home: Path, content: str) -> None:
    (home / "shop").mkdir(parents=True)
    (home / "shop" / "mesh.json").write_text(content)
    assert choosing.all_running() == []


@pytest.mark.parametrize("name", ["meshes", "Shop", "a/b", "..", "-a", "a" * 64])
def test_a_mesh_has_the_name_of_a_dns_label(name: str) -> None:
    with pytest.raises(Complaint, match="cannot be the name of a mesh"):
        choosing.described(Choice(name))


def test_a_relative_state_home_is_ignored_as_xdg_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "relative")
    monkeypatch.setenv("HOME", "/home/ada")
    assert choosing.state_home() == Path("/home/ada/.local/state/mizzen")


def test_the_mesh_is_chosen_before_or_after_the_command_or_in_the_environment(
    api: FakeApi, start_mesh: StartMesh, monkeypatch: pytest.MonkeyPatch
) -> None:
    start_mesh("shop")
    api.on("GET /v1/version", {"version": "0.1.0", "mesh": "shop", "envoy": "1.40.0"})
    expected = "mizzen 0.1.0\nmesh shop: control plane 0.1.0, Envoy 1.40.0\n"
    assert out("-m", "shop", "version") == expected
    assert out("version", "--name", "shop") == expected
    monkeypatch.setenv("MIZZEN_NAME", "shop")
    assert out("version") == expected


def test_a_name_that_is_typed_is_stronger_than_a_state_directory_in_the_environment(
    api: FakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.on("GET /v1/version", {"version": "0.1.0", "mesh": "default", "envoy": "1.40.0"})
    monkeypatch.setenv("MIZZEN_STATE_DIR", "/nowhere")
    assert "mesh default" not in run("version").stdout
    assert "mesh default" in out("version", "--name", "default")


@pytest.mark.parametrize("command", ["get vs", "attach web", "detach web", "containers", "status", "logs web"])
def test_no_mesh_at_all_is_one_clear_message(command: str) -> None:
    result = run(*command.split())
    assert result.exit_code == 1
    assert result.output == (
        "error: no mesh is running\n"
        "  Start one with: mizzen up PATH (YAML such as examples/bookinfo, or a Compose file), or mizzen up --containers (all"
        " containers of this host)\n"
    )


def test_list_shows_what_runs(start_mesh: StartMesh, home: Path) -> None:
    start_mesh("shop")
    pid = str(os.getpid())
    assert out("list") == (
        f"NAME   {'PID'.ljust(len(pid))}   CAPTURE    AGE     STATE DIRECTORY\n"
        f"shop   {pid}   explicit   3d12h   {home}/shop\n"
    )


def test_list_says_that_nothing_runs() -> None:
    result = run("list")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "No mesh is running.\n")


def test_the_own_version_is_told_also_where_the_chosen_mesh_does_not_run(home: Path) -> None:
    result = run("version", "--name", "shop")
    assert (result.exit_code, result.stdout) == (0, f"mizzen {__version__}\n")
    assert result.stderr == f"mesh shop is not running (state directory {home}/shop)\n"
