from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.cli.fakes import run

from mizzen.cli import composing
from mizzen.cli.output import Complaint
from mizzen.node.capture.available import Availability

SERVICES = "services:\n  web: {image: x}\n"
RESOURCE = "apiVersion: v1\nkind: Service\nmetadata: {name: x}\nspec: {ports: [{port: 80}]}\n"
ENGINE = Path("/run/engine.sock")


@pytest.fixture(autouse=True)
def usable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mizzen.node.capture.available.availability", Availability)
    monkeypatch.delenv("COMPOSE_PROJECT_NAME", raising=False)


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for commands, beside which there are none but the shell's."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def command(folder: Path, name: str, script: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


def written(path: str, text: str = SERVICES) -> Path:
    file = Path(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("compose.yaml", SERVICES, True),
        ("docker-compose.yml", SERVICES, True),
        ("shop.yaml", SERVICES, True),
        ("shop.yaml", "services:\n  web: !reset {}\nx-more: &x {a: 1}\n", True),
        ("compose.yaml", "include: [other.yaml]\n", True),
        ("shop.yaml", "include: [other.yaml]\n", False),
        ("compose.yaml", RESOURCE, False),
        ("compose.yaml", "kind: Service\nservices: {}\n", False),
        ("compose.yaml", f"{SERVICES}---\n{SERVICES}", False),
        ("compose.yaml", "services: [\n", False),
        ("compose.yaml", "[]\n", False),
        ("compose.yaml", "", False),
    ],
)
def test_a_compose_file_is_known_by_what_it_says(name: str, text: str, expected: bool) -> None:
    file = written(name, text)
    assert composing.divided([file]) == (((), (file,)) if expected else ((file,), ()))


def test_in_a_folder_a_compose_file_is_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    folder = written("shop/compose.yaml").parent
    with pytest.raises(Complaint) as raised:
        composing.divided([folder])
    assert (raised.value.message, raised.value.hint) == (
        "shop holds a Compose file, and no resources",
        "Name it: mizzen up shop/compose.yaml",
    )
    written("shop/service.yaml", RESOURCE)
    assert composing.divided([folder]) == ((folder,), ())
    assert capsys.readouterr().err == (
        "shop/compose.yaml is for Compose, and not read as resources; to start it as well, name it\n"
    )
    both = [folder, folder / "compose.yaml"]
    assert composing.divided(both) == ((folder,), (folder / "compose.yaml",))
    assert capsys.readouterr().err == ""


def test_paths_that_are_not_there_are_left_to_others() -> None:
    assert composing.divided([Path("gone.yaml")]) == ((Path("gone.yaml"),), ())


# --- the command


def test_the_first_command_that_works(commands: Path) -> None:
    file = written("shop/compose.yaml")
    command(commands, "docker", "echo no such command: $1 >&2; exit 1")
    command(commands, "podman-compose", "true")
    command(commands, "docker-compose", "true")
    _, (project,) = composing.projects([file], "", ENGINE)
    assert project.command == ("docker-compose", "-p", "shop", "-f", "shop/compose.yaml")


def test_what_was_tried_is_told(commands: Path) -> None:
    command(commands, "docker", "echo no such command: $1 >&2; exit 1")
    command(commands, "podman-compose", "exit 3")
    with pytest.raises(Complaint) as raised:
        composing.projects([written("compose.yaml")], "", ENGINE)
    assert raised.value.message.splitlines() == [
        "no command for Compose files works here; tried:",
        "  docker compose: no such command: compose",
        "  podman compose: there is no such command",
        "  docker-compose: there is no such command",
        "  podman-compose: exit code 3",
    ]
    assert "--compose-command" in raised.value.hint


def test_the_users_choice(commands: Path) -> None:
    command(commands, "docker-compose", "true")
    command(commands, "own", 'test "$1" = "of mine"')
    _, (project,) = composing.projects([written("shop/compose.yaml")], "own 'of mine'", ENGINE)
    assert project.command[:2] == ("own", "of mine")
    with pytest.raises(Complaint, match="tried:\n  gone: there is no such command"):
        composing.projects([written("shop/compose.yaml")], "gone", ENGINE)
    with pytest.raises(Complaint, match="No closing quotation"):
        composing.projects([written("shop/compose.yaml")], "own 'of", ENGINE)


# --- the project


@pytest.mark.parametrize(
    ("config", "dotenv", "variable", "expected"),
    [
        ("", None, "", "myshop_1"),
        ("", "# x\nOTHER=1\nexport COMPOSE_PROJECT_NAME='Books'\n", "", "books"),
        ("", "COMPOSE_PROJECT_NAME=books # not shop\n", "", "books"),
        ("", "COMPOSE_PROJECT_NAME=books\n", "films", "films"),
        ("name: told\nservices: {}\n", "COMPOSE_PROJECT_NAME=books\n", "films", "told"),
        ("name: [odd]\n", None, "", "myshop_1"),
    ],
)
def test_the_projects_name(
    commands: Path,
    monkeypatch: pytest.MonkeyPatch,
    config: str,
    dotenv: str | None,
    variable: str,
    expected: str,
) -> None:
    file = written("My.Shop_1/compose.yaml")
    if dotenv is not None:
        (file.parent / ".env").write_text(dotenv)
    monkeypatch.setenv("COMPOSE_PROJECT_NAME", variable)
    command(commands, "docker-compose", f"test $3 != config || printf %s '{config}'")
    _, (project,) = composing.projects([file], "", ENGINE)
    assert project.name == expected
    assert project.command == ("docker-compose", "-p", expected, "-f", str(file))


def test_the_files_of_a_folder_are_one_project(commands: Path) -> None:
    command(commands, "docker-compose", "true")
    first, second, third = written("a/compose.yaml"), written("b/compose.yaml"), written("a/../a/more.yaml")
    _, found = composing.projects([first, second, third], "", ENGINE)
    assert [project.command[1:] for project in found] == [
        ("-p", "a", "-f", "a/compose.yaml", "-f", "a/../a/more.yaml"),
        ("-p", "b", "-f", "b/compose.yaml"),
    ]


def test_projects_of_one_name(commands: Path) -> None:
    command(commands, "docker-compose", "test $3 != config || echo 'name: same'")
    with pytest.raises(Complaint, match="two Compose files in different folders are of one project, same"):
        composing.projects([written("a/compose.yaml"), written("b/compose.yaml")], "", ENGINE)


@pytest.mark.parametrize("dotenv", ["COMPOSE_PROJECT_NAME=$OTHER-1\n", "COMPOSE_PROJECT_NAME=...\n"])
def test_a_name_that_cannot_be_found_out(commands: Path, dotenv: str) -> None:
    command(commands, "docker-compose", "true")
    written("shop/.env", dotenv)
    with pytest.raises(Complaint) as raised:
        composing.projects([written("shop/compose.yaml")], "", ENGINE)
    assert "COMPOSE_PROJECT_NAME" in raised.value.hint


def test_what_compose_has_against_a_file(commands: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command(commands, "docker-compose", "test $1 = version || { echo line 1: odd >&2; exit 15; }")
    with pytest.raises(Complaint, match=r"compose\.yaml config` ended with exit code 15; nothing was started"):
        composing.projects([written("compose.yaml")], "", ENGINE)
    assert capsys.readouterr().err == "line 1: odd\n"


# --- where it cannot be


def test_the_engine_is_that_of_the_mesh(commands: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mizzen.node.engine.sockets.find_socket", lambda: Path("/run/found.sock"))
    command(commands, "docker-compose", f'echo "$DOCKER_HOST" > {Path.cwd()}/host')
    assert composing.projects([written("compose.yaml")], "", None)[0] == Path("/run/found.sock")
    assert Path("host").read_text() == "unix:///run/found.sock\n"


def test_no_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere.sock")
    written("compose.yaml")
    result = run("up", "compose.yaml")
    assert result.exit_code == 1
    assert "error: DOCKER_HOST is unix:///nowhere.sock: there is no such socket; start the engine" in result.stderr


def test_not_root(monkeypatch: pytest.MonkeyPatch) -> None:
    why = Availability("transparent needs root", "run with sudo")
    monkeypatch.setattr("mizzen.node.capture.available.availability", lambda: why)
    written("compose.yaml")
    result = run("up", "compose.yaml")
    assert (result.exit_code, result.stderr) == (
        1,
        "error: containers cannot be members of a mesh here: transparent needs root: run with sudo\n",
    )
