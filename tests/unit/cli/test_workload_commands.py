"""exec, logs, restart, port-forward: the commands about one workload."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from tests.unit.cli.fakes import FakeApi, instance, out, run

from mizzen.cli import executing
from mizzen.cli.forwarding import Target
from mizzen.cli.tunnel import Tunnel

CONTEXT = {
    "instance": "reviews-v1-0",
    "namespace": "default",
    "env": {"PORT": "9080", "PATH": "/usr/bin:/bin"},
    "workingDir": "/srv",
    "netns": "",
    "resolvConf": "",
}


@pytest.fixture
def replaced(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Takes what this process would have become."""
    calls: list[Any] = []
    monkeypatch.setattr(os, "execve", lambda *arguments: calls.append(arguments))
    return calls


def test_exec_becomes_the_command_in_its_place(
    api: FakeApi, replaced: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("SECRET", "of this shell")
    api.on("GET /v1/workloads/default/reviews-v1/exec", CONTEXT)
    out("exec", "reviews-v1", "--", "curl", "-s", "--name", "http://ratings:9080")
    [(program, line, environment)] = replaced
    assert program == sys.executable
    assert line[-7:] == ["--chdir", "/srv", "--", "curl", "-s", "--name", "http://ratings:9080"]
    assert environment["PORT"] == "9080"
    assert environment["TERM"] == "xterm"
    assert "SECRET" not in environment


def test_exec_takes_the_command_without_dashes_too(api: FakeApi, replaced: list[Any]) -> None:
    api.on("GET /v1/workloads/shop/reviews-v1/exec", CONTEXT)
    out("exec", "-n", "shop", "reviews-v1", "sh", "-c", "echo -n")
    assert replaced[0][1][-4:] == ["--", "sh", "-c", "echo -n"]


def test_exec_enters_the_network_namespace_as_root_only(
    api: FakeApi, replaced: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    api.on("GET /v1/workloads/default/w/exec", CONTEXT | {"netns": "/run/netns/x", "resolvConf": "/state/resolv.conf"})
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    out("exec", "w", "--", "ls")
    assert replaced[0][1][4:8] == ["--netns", "/run/netns/x", "--resolv-conf", "/state/resolv.conf"]
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    result = run("exec", "w", "--", "ls")
    assert result.exit_code == 1
    assert result.stderr == (
        "error: reviews-v1-0 has a network namespace of its own, and only root may enter it\n"
        "  Run the same command as root.\n"
    )


@pytest.mark.parametrize("arguments", [["exec"], ["exec", "w"], ["exec", "w", "--"]])
def test_exec_needs_a_command(api: FakeApi, arguments: list[str]) -> None:
    assert run(*arguments).exit_code == 2


def test_exec_really_runs_in_the_folder_and_environment(tmp_path: Path) -> None:
    from mizzen.node.launching import launch_command

    line = launch_command(["sh", "-c", "pwd; echo $PORT; exit 3"], working_dir=str(tmp_path))
    reader, writer = os.pipe()
    child = os.posix_spawn(
        sys.executable,
        [
            sys.executable,
            "-c",
            f"from mizzen.cli import executing; executing._become({line!r}, {{'PORT': '9080', 'PATH': '/usr/bin:/bin'}})",
        ],
        os.environ,
        file_actions=[(os.POSIX_SPAWN_DUP2, writer, 1)],
    )
    os.close(writer)
    with os.fdopen(reader) as output:
        assert output.read() == f"{tmp_path}\n9080\n"
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3


def test_a_program_that_has_gone_is_said() -> None:
    with pytest.raises(Exception, match="does not exist any more"):
        executing._become(["/gone/python"], {})


def test_logs_are_passed_on_as_they_come(api: FakeApi) -> None:
    api.on("GET /v1/logs", "one\ntwo\n")
    assert out("logs", "reviews-v1", "--tail", "2", "-f") == "one\ntwo\n"
    assert api.queries("GET /v1/logs") == [
        {"namespace": "default", "name": "reviews-v1", "follow": "true", "proxy": "false", "tail": "2"}
    ]


@pytest.mark.parametrize(
    ("proxy", "name", "namespace"),
    [
        ("reviews-v1-0.shop", "reviews-v1-0", "shop"),
        ("vm.mizzen-system", "vm", "mizzen-system"),
        ("vm.example.com.mizzen-system", "vm.example.com", "mizzen-system"),
    ],
)
def test_the_name_of_a_proxy_means_its_own_log(api: FakeApi, proxy: str, name: str, namespace: str) -> None:
    api.on("GET /v1/logs", "ready\n")
    out("logs", proxy)
    assert api.queries("GET /v1/logs") == [{"namespace": namespace, "name": name, "follow": "false", "proxy": "true"}]


def test_what_a_container_prints_is_in_the_log_of_its_engine(api: FakeApi) -> None:
    problem = {"code": "ByEngine", "message": "web: what runs in it is logged by its engine", "hint": "podman logs web"}
    api.on("GET /v1/logs", {"problems": [problem]}, 409)
    result = run("logs", "web")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "error: web: what runs in it is logged by its engine (podman logs web) [ByEngine]\n"


def test_logs_of_nothing(api: FakeApi) -> None:
    api.on("GET /v1/logs", {"problems": [{"code": "NotFound", "message": "there is no workload x"}]}, 404)
    result = run("logs", "x")
    assert (result.exit_code, result.stdout, result.stderr) == (1, "", "error: there is no workload x [NotFound]\n")


def test_restart_waits_until_all_instances_are_new_and_ready(api: FakeApi) -> None:
    old = [instance("w-0", "w", pid=1), instance("w-1", "w", pid=2)]
    between = [instance("w-0", "w", pid=3), instance("w-1", "w", pid=2, phase="Draining")]
    new = [instance("w-0", "w", pid=3), instance("w-1", "w", pid=4)]
    steps = iter([old, old, between, new])
    api.on("GET /v1/workloads", lambda _query, _body: {"items": next(steps)})
    api.on("POST /v1/workloads/default/w/restart", {"version": 5})
    api.on("GET /v1/version", {"version": "0.1.0", "snapshot": 5})
    api.on("GET /v1/versions/5", {"version": 5})
    api.on("GET /v1/versions/6", {"version": 6})
    result = run("restart", "w")
    assert (result.exit_code, result.stdout) == (0, "workload.mizzen.dev/w restarted\n")
    assert result.stderr.startswith("2 instances replaced after ")


def test_on_a_terminal_a_restart_is_watched(api: FakeApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mizzen.cli.restarting.on_terminal", lambda: True)
    steps = iter([[instance("w-0", "w", pid=1)], [instance("w-0", "w", pid=2)]])
    api.on("GET /v1/workloads", lambda _query, _body: {"items": next(steps)})
    api.on("POST /v1/workloads/default/w/restart", {"version": 5})
    assert "1 instance replaced after " in run("restart", "w").stderr


def test_a_restart_that_does_not_come_to_its_end(api: FakeApi) -> None:
    stuck = instance("w-0", "w", pid=1, phase="Backoff", ready=False, message="exit code 1")
    api.on("GET /v1/workloads", {"items": [stuck]})
    api.on("POST /v1/workloads/default/w/restart", {"version": 5})
    result = run("restart", "w", "--timeout", "0s")
    assert result.exit_code == 1
    assert result.stderr == (
        "error: 0 of 1 instance of w replaced in time: w-0 Backoff: exit code 1\n"
        "  It goes on. See: mizzen status; mizzen logs w -n default\n"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["x", "80"], "error: there is no workload x in namespace default\n  Workloads: reviews-v1.\n"),
        (["reviews-v1", "80"], "error: reviews-v1-0 has no port 80\n  Its ports: 9080 http.\n"),
    ],
)
def test_port_forward_to_nothing(api: FakeApi, arguments: list[str], message: str) -> None:
    api.on("GET /v1/workloads", {"items": [instance("reviews-v1-0", "reviews-v1")]})
    api.on("GET /v1/workloads/default/reviews-v1-0/exec", CONTEXT)
    result = run("port-forward", *arguments)
    assert (result.exit_code, result.stderr) == (1, message)


def test_port_forward_says_which_local_port_is_taken(api: FakeApi) -> None:
    api.on("GET /v1/workloads", {"items": [instance("reviews-v1-0", "reviews-v1")]})
    api.on("GET /v1/workloads/default/reviews-v1-0/exec", CONTEXT)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        # In a thread: this thread's event loop is pytest-asyncio's.
        with ThreadPoolExecutor() as threads:
            result = threads.submit(run, "port-forward", "reviews-v1", f"{port}:http").result()
    assert result.exit_code == 1
    assert f"cannot listen on 127.0.0.1:{port}: Address already in use" in result.stderr


async def test_a_tunnel_carries_both_directions_and_half_closed_ends() -> None:
    async def shout(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write((await reader.read()).upper())
        writer.close()

    application = await asyncio.start_server(shout, "127.0.0.1", 0)
    target = Target(application.sockets[0].getsockname()[1])
    front = await asyncio.start_server(Tunnel(target).serve, "127.0.0.1", 0)
    async with application, front:
        reader, writer = await asyncio.open_connection(*front.sockets[0].getsockname())
        writer.write(b"hello" * 50_000)
        writer.write_eof()
        assert await reader.read() == b"HELLO" * 50_000
        writer.close()


async def test_a_tunnel_to_an_application_that_is_away_closes(capsys: pytest.CaptureFixture[str]) -> None:
    front = await asyncio.start_server(Tunnel(Target(1)).serve, "127.0.0.1", 0)
    async with front:
        reader, writer = await asyncio.open_connection(*front.sockets[0].getsockname())
        assert await reader.read() == b""
        writer.close()
    assert "does not take connections on port 1" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["workload/reviews-v1", "wl/reviews-v1", "workloads.mizzen.dev/reviews-v1"])
def test_a_workload_is_named_as_kubectl_does(api: FakeApi, replaced: list[Any], name: str) -> None:
    api.on("GET /v1/workloads/default/reviews-v1/exec", CONTEXT)
    api.on("GET /v1/logs", "hello\n")
    api.on("GET /v1/workloads", {"items": [instance("reviews-v1-0", "reviews-v1")]})
    api.on("POST /v1/workloads/default/reviews-v1/restart", {"version": 7})
    out("exec", "-it", name, "--", "ls")
    assert replaced[0][1][-2:] == ["--", "ls"]
    assert out("logs", name) == "hello\n"
    assert api.queries("GET /v1/logs")[0]["name"] == "reviews-v1"
    assert out("restart", name, "--no-wait") == "workload.mizzen.dev/reviews-v1 restarted\n"
    api.on("GET /v1/workloads/default/reviews-v1-0/exec", CONTEXT)
    assert run("port-forward", name, "1").stderr.startswith("error: reviews-v1-0 has no port 1")


@pytest.mark.parametrize(
    ("name", "message", "hint"),
    [
        ("svc/reviews", "svc/reviews: a Service is nothing that runs", "Write workload/NAME, or the name alone."),
        ("pod/reviews-v1-0", "there is no kind 'pod'", "Here a Workload says what runs. See: mizzen get workloads"),
        ("deploy/reviews", "there is no kind 'deploy'", "Here a Workload says what runs. See: mizzen get workloads"),
        ("wl/", "'wl/' names no workload", "See: mizzen get workloads; mizzen status; mizzen containers"),
        ("a/b/c", "there is no kind 'a/b'", "Kinds: "),
    ],
)
def test_another_type_than_workload_is_explained(api: FakeApi, name: str, message: str, hint: str) -> None:
    for arguments in (["logs", name], ["restart", name], ["exec", name, "--", "ls"], ["port-forward", name, "80"]):
        result = run(*arguments)
        assert result.exit_code == 1
        error, line = result.stderr.splitlines()
        assert error == f"error: {message}"
        assert line.startswith(f"  {hint}")
