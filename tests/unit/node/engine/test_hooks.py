from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest

from mizzen.node.engine import hook
from mizzen.node.engine.hooks import Beginning, Hooks, hooks_folder

DEFAULT = "usr/share/containers/oci/hooks.d"


@pytest.fixture
def socket(tmp_path: Path) -> Path:
    return tmp_path / "it's a mesh" / "hook.sock"


@pytest.mark.parametrize(
    ("files", "environment", "folder"),
    [
        ({}, {}, DEFAULT),
        ({"etc/containers/containers.conf": "[engine]\n"}, {}, DEFAULT),
        ({"etc/containers/containers.conf": "no toml ["}, {}, DEFAULT),
        ({"etc/containers/containers.conf": '[engine]\nhooks_dir = ["/a", "/b"]\n'}, {}, "/b"),
        (
            {
                "usr/share/containers/containers.conf": '[engine]\nhooks_dir = ["/vendor"]\n',
                "etc/containers/containers.conf": '[engine]\nhooks_dir = ["/admin"]\n',
            },
            {},
            "/admin",
        ),
        ({"own.conf": '[engine]\nhooks_dir = ["/own"]\n'}, {"CONTAINERS_CONF": "own.conf"}, "/own"),
    ],
)
def test_the_folder_is_where_podman_looks_last(
    tmp_path: Path, files: dict[str, str], environment: dict[str, str], folder: str
) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    environment = {name: str(tmp_path / value) for name, value in environment.items()}
    assert hooks_folder(environment, tmp_path) == tmp_path / folder


class Heard:
    def __init__(self) -> None:
        self.beginnings: list[Beginning] = []
        self.may_start = asyncio.Event()

    async def __call__(self, beginning: Beginning) -> None:
        self.beginnings.append(beginning)
        await self.may_start.wait()


def bundle(folder: Path) -> dict[str, object]:
    """Writes a container's bundle; returns its state as a hook is given it."""
    mounts = [{"destination": "/proc"}, {"destination": "/etc/resolv.conf", "source": "/its/resolv.conf"}]
    (folder / "config.json").write_text(json.dumps({"ociVersion": "1.0.2", "mounts": mounts}))
    return {"ociVersion": "1.0.2", "id": "abc", "status": "creating", "pid": 77, "bundle": str(folder)}


async def run(installed: dict[str, dict[str, object]], state: object) -> int:
    """Runs an installed hook as a container runtime does; returns its exit code."""
    hook = installed["hook"]
    arguments = hook["args"]
    assert isinstance(arguments, list)
    process = await asyncio.create_subprocess_exec(
        str(hook["path"]), *arguments[1:], stdin=subprocess.PIPE, stderr=subprocess.PIPE
    )
    _, errors = await process.communicate(json.dumps(state).encode())
    assert errors == b""
    assert process.returncode is not None
    return process.returncode


async def test_a_container_starts_when_the_node_has_answered(tmp_path: Path, socket: Path) -> None:
    socket.parent.mkdir()
    heard = Heard()
    async with Hooks(tmp_path / "deep" / "hooks", socket, heard):
        (file,) = (tmp_path / "deep" / "hooks").iterdir()
        installed = json.loads(file.read_text())
        assert (installed["version"], installed["stages"], installed["when"]) == (
            "1.0.0",
            ["createRuntime"],
            {"always": True},
        )
        async with asyncio.TaskGroup() as group:
            started = group.create_task(run(installed, bundle(tmp_path)))
            while not heard.beginnings:
                await asyncio.wait([started], timeout=0.01)
            assert heard.beginnings == [Beginning("abc", 77, "/its/resolv.conf")]
            assert not started.done()
            heard.may_start.set()
        assert started.result() == 0
    assert not file.exists()
    assert not file.parent.exists()
    assert not socket.exists()
    # What a node leaves that was killed holds up nobody, and complains to nobody.
    assert await run(installed, bundle(tmp_path)) == 0
    assert len(heard.beginnings) == 1


async def test_a_node_that_does_not_answer_holds_up_nobody_for_long(tmp_path: Path, socket: Path) -> None:
    socket.parent.mkdir()
    heard = Heard()
    async with Hooks(tmp_path / "hooks", socket, heard):
        (file,) = (tmp_path / "hooks").iterdir()
        async with asyncio.timeout(hook._PATIENCE + 10):
            assert await run(json.loads(file.read_text()), bundle(tmp_path)) == 0
        heard.may_start.set()
    assert len(heard.beginnings) == 1


async def test_what_is_not_understood_is_answered_by_hanging_up(tmp_path: Path, socket: Path) -> None:
    socket.parent.mkdir()
    heard = Heard()
    heard.may_start.set()
    async with Hooks(tmp_path, socket, heard):
        for said in (b"", b"{}", b'{"id": "a", "pid": 1, "bundle": "/no/such/folder"}'):
            reader, writer = await asyncio.open_unix_connection(socket)
            writer.write(said)
            writer.write_eof()
            assert await reader.read() == b""
            writer.close()
    assert heard.beginnings == []


async def test_without_a_folder_for_hooks_the_mesh_goes_on(tmp_path: Path, socket: Path) -> None:
    socket.parent.mkdir()
    (tmp_path / "file").write_text("")
    async with Hooks(tmp_path / "file" / "hooks", socket, Heard()):
        assert socket.exists()
    assert not socket.exists()


def test_it_needs_nothing_but_the_standard_library(tmp_path: Path) -> None:
    program = [sys.executable, "-I", "-S", str(Path(hook.__file__)), str(tmp_path / "nobody")]
    done = subprocess.run(program, input=b"{}", capture_output=True, check=True, timeout=30)
    assert (done.stdout, done.stderr) == (b"", b"")
