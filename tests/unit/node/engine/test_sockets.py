from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from mizzen.node.engine.errors import NoEngineError
from mizzen.node.engine.sockets import find_socket

PODMAN = "run/podman/podman.sock"
DOCKER = "var/run/docker.sock"
OWN = f"run/user/{os.getuid()}/podman/podman.sock"


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as made:
        yield made


def listening(stack: ExitStack, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    made = stack.enter_context(socket.socket(socket.AF_UNIX))
    made.bind(str(path))
    made.listen()
    return path


@pytest.mark.parametrize("names", [(PODMAN, DOCKER, OWN), (DOCKER, OWN), (OWN,)])
def test_the_first_of_the_usual_ones_that_answers(folder: Path, stack: ExitStack, names: tuple[str, ...]) -> None:
    made = [listening(stack, folder / name) for name in names]
    assert find_socket({}, folder) == made[0]


def test_one_without_a_listener_is_passed_over(folder: Path, stack: ExitStack) -> None:
    with ExitStack() as gone:
        listening(gone, folder / PODMAN)
    expected = listening(stack, folder / DOCKER)
    assert find_socket({}, folder) == expected


@pytest.mark.parametrize("name", ["podman/podman.sock", "docker.sock"])
def test_the_users_runtime_folder(folder: Path, stack: ExitStack, name: str) -> None:
    expected = listening(stack, folder / "mine" / name)
    assert find_socket({"XDG_RUNTIME_DIR": str(folder / "mine")}, folder) == expected


@pytest.mark.parametrize("variable", ["DOCKER_HOST", "CONTAINER_HOST"])
def test_the_environment_comes_first(folder: Path, stack: ExitStack, variable: str) -> None:
    listening(stack, folder / PODMAN)
    told = listening(stack, folder / "told.sock")
    assert find_socket({variable: f"unix://{told}"}, folder) == told


def test_what_the_environment_says_is_not_passed_over(folder: Path, stack: ExitStack) -> None:
    listening(stack, folder / PODMAN)
    with pytest.raises(
        NoEngineError, match=r"DOCKER_HOST is unix:///no: there is no such socket; start the engine there"
    ):
        find_socket({"DOCKER_HOST": "unix:///no"}, folder)
    with pytest.raises(NoEngineError, match=r"CONTAINER_HOST is ssh://x, but .* set CONTAINER_HOST=unix:///PATH"):
        find_socket({"CONTAINER_HOST": "ssh://x"}, folder)


def test_without_an_engine_it_says_what_was_tried(folder: Path) -> None:
    with ExitStack() as gone:
        listening(gone, folder / DOCKER)
    with pytest.raises(NoEngineError) as caught:
        find_socket({}, folder)
    lines = str(caught.value).splitlines()
    assert lines[0] == "no container engine answers on this host; tried:"
    assert f"  {folder / PODMAN}: there is no such socket" in lines
    assert f"  {folder / DOCKER}: nobody answers (Connection refused)" in lines
    assert len(lines) == 6
    assert lines[-1].endswith("or say where it is: DOCKER_HOST=unix:///PATH")
