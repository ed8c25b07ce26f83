"""`mizzen run`: a command in the mesh, in the right order, with its exit code, whatever dies around it."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support import small
from tests.support.meshes import Mesh, running
from tests.support.polling import eventually
from tests.support.processes import with_variable
from tests.support.runs import SERVE, WEB, await_ready, instances_of, run, running_command
from tests.support.written import proxy_config

pytestmark = [pytest.mark.e2e, pytest.mark.envoy, pytest.mark.timeout(120)]

MESH = small.joined(small.service("client"), small.workload("client"))
URL = "http://web:8080/"
MODES = [
    ("explicit", "sidecar"),
    pytest.param(("transparent", "sidecar"), marks=pytest.mark.privileged),
    pytest.param(("transparent", "node"), marks=pytest.mark.privileged),
]


@pytest.fixture(scope="module", params=MODES, ids="-".join)
def mesh(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    """A mesh with a client, in each capture and proxy mode."""
    file = tmp_path_factory.mktemp("run") / "mesh.yaml"
    file.write_text(MESH)
    capture, proxy = request.param
    with running(file, capture=capture, options=["--proxy", proxy]) as running_mesh:
        yield running_mesh
        assert not instances_of(running_mesh)


@pytest.mark.parametrize(
    ("script", "code"),
    [("exit 0", 0), ("exit 3", 3), ("kill -9 $$", 137), ("kill -TERM $$", 143), ("exec no-such-command", 127)],
)
def test_its_exit_code_is_that_of_its_command(mesh: Mesh, script: str, code: int) -> None:
    assert run(mesh, command=("sh", "-c", script))[0] == code


def test_its_proxy_serves_before_it_starts(mesh: Mesh) -> None:
    ask = 'import urllib.request as u; print(u.urlopen("http://client/").read().decode())'
    code, out, err = run(mesh, command=("python3", "-c", ask))
    assert (code, out) == (0, "client\n"), err


def test_its_streams_folder_and_environment_are_those_of_its_caller(mesh: Mesh) -> None:
    script = "echo $MINE $HOSTNAME; echo $PORT $0; pwd >&2; exit 4"
    options = ("--port", "tcp:7000", "--workload-name", "mine")
    code, out, err = run(mesh, *options, command=("sh", "-c", script, "$(PORT)"), env={"MINE": "yes"})
    first, second = out.splitlines()
    assert (code, first) == (4, "yes mine-r0"), err
    port, expanded = second.split()
    assert port == expanded
    assert (port == "7000") is (mesh.capture == "transparent")
    advice, folder = err.splitlines()
    assert advice.startswith("mizzen: no Service leads to mine")
    assert folder == str(Path.cwd())


def test_others_call_it_from_when_it_is_ready_and_it_ends_without_a_failed_request(mesh: Mesh) -> None:
    with running_command(mesh, *WEB) as first, running_command(mesh, *WEB) as second:
        await_ready(mesh, "web-r0", "web-r1")
        with mesh.load("client", URL, 150) as load:
            code, _, err = first.end()
            assert code == 143, err
        load.assert_nothing_failed(at_least=20)
        assert second.end(signal.SIGINT)[0] == 130
    assert not instances_of(mesh)


def test_what_is_in_flight_ends_before_the_command_is_told(mesh: Mesh) -> None:
    with running_command(mesh, *WEB) as web:
        await_ready(mesh, "web-r0")
        assert web.process.stdout
        with mesh.load("client", f"{URL}slow", 1, "--count", "1") as load:
            assert web.process.stdout.readline() == "slow\n"
            assert web.end()[0] == 143
        load.assert_nothing_failed(at_least=1)


def test_a_second_signal_ends_it_at_once(mesh: Mesh) -> None:
    stubborn = "trap '' TERM; echo on; while :; do sleep 0.1; done"
    with running_command(mesh, command=("sh", "-c", stubborn)) as begun:
        assert begun.process.stdout
        assert begun.process.stdout.readline() == "on\n"
        begun.process.terminate()
        eventually(lambda: {one["phase"] for one in instances_of(mesh, "sh").values()} == {"Draining"}, "it drains")
        assert begun.end()[0] == 137
    await_ready(mesh, workload="sh")


def test_when_it_is_killed_its_command_dies_and_nothing_stays(mesh: Mesh) -> None:
    with running_command(mesh, *WEB, command=("sh", "-c", "sleep 1000 & exec sleep 1000")) as begun:
        eventually(lambda: len(sleepers(mesh)) == 2, "it and its child run")
        begun.process.kill()
        eventually(lambda: not sleepers(mesh), "the command and its child have ended")
        await_ready(mesh)


def sleepers(mesh: Mesh) -> list[str]:
    mine = with_variable("MIZZEN_STATE_DIR", str(mesh.settings.state_dir)).values()
    return [line for line in mine if line.startswith("sleep")]


def test_it_goes_on_while_the_control_plane_is_killed(mesh: Mesh) -> None:
    with running_command(mesh, *WEB) as web:
        await_ready(mesh, "web-r0")
        before = instances_of(mesh)["web-r0"]["pid"]
        with mesh.load("client", URL, 100) as load:
            mesh.kill_control()
        load.assert_nothing_failed(at_least=20)
        await_ready(mesh, "web-r0")
        assert instances_of(mesh)["web-r0"]["pid"] == before
        assert web.end()[0] == 143


def test_its_proxy_starts_as_a_proxyconfig_says(mesh: Mesh) -> None:
    config = proxy_config("web", selector={"matchLabels": {"app": "web"}}, concurrency=2)
    with running_command(mesh, *WEB) as web:
        await_ready(mesh, "web-r0")
        is_seated = instances_of(mesh)["web-r0"]["proxies"] not in ([], ["web-r0.default"])
        said = mesh.apply_text(config)
        waits = "web-r0.default have a seat" if is_seated else "when these proxies start again: web-r0.default"
        assert waits in said.stdout + said.stderr
        assert web.end()[0] == 143
    with running_command(mesh, *WEB) as web:
        await_ready(mesh, "web-r0")
        line = Path("/proc", str(instances_of(mesh)["web-r0"]["proxyPid"]), "cmdline").read_text().split("\0")
        assert line[line.index("--concurrency") + 1] == ("1" if is_seated else "2")
        (condition,) = [
            one
            for one in json.loads(mesh.cli("get", "proxyconfig", "web", "-o", "json").stdout)["status"]["conditions"]
            if one["type"] == "ProxiesStarted"
        ]
        assert condition["reason"] == ("NotForSeats" if is_seated else "ProxiesStarted"), condition
        assert web.end()[0] == 143
    mesh.delete("proxyconfig", "web")


def test_it_is_ready_when_its_path_answers(mesh: Mesh) -> None:
    options = (*WEB, "--ready-path", "/health")
    with running_command(mesh, *options) as web:
        await_ready(mesh, "web-r0")
        assert web.end()[0] == 143


def test_a_command_runs_beside_it(mesh: Mesh) -> None:
    with running_command(mesh, *WEB) as web:
        await_ready(mesh, "web-r0")
        said = mesh.cli("exec", "web", "--", "sh", "-c", "echo $HOSTNAME; curl -s http://client/").stdout
        assert said == "web-r0\nclient"
        kept = mesh.cli("delete", "service", "web", check=False)
        assert "it was offered by `mizzen run` (web-r0), and can be deleted when that has ended" in kept.stderr
        assert web.end()[0] == 143
    eventually(lambda: not instances_of(mesh), "it is gone")
    assert mesh.cli("delete", "service", "web").stdout == 'service "web" deleted\n'
    assert mesh.cli("get", "service", "web", check=False).returncode == 1


def test_what_cannot_be_run_is_refused_with_what_to_do(mesh: Mesh) -> None:
    code, out, err = run(mesh, "--workload-name", "client", command=("echo", "on"))
    assert (code, out) == (125, "")
    assert "there is a Workload client in namespace default: choose another name with --workload-name" in err
    code, out, err = run(mesh, "--service", "client", "--port", "http:80", command=("echo", "on"))
    assert (code, out) == (125, "")
    assert (
        "Service default/client is written, and does not lead here: it selects app=client; add --label app=client"
        in err
    )
    if mesh.capture == "explicit":
        code, out, err = run(mesh, "--proxy", "node", command=("echo", "on"))
        assert (code, out) == (125, "")
        assert "a node proxy needs transparent capture" in err
    else:
        code, out, err = run(mesh, "--port", "http:15001", command=("echo", "on"))
        assert (code, out) == (125, "")
        assert "declares a port that its proxy needs (15001)" in err


@pytest.mark.privileged
def test_it_can_be_another_user(mesh: Mesh) -> None:
    code, out, err = run(mesh, "--user", "nobody", command=("sh", "-c", "id -un; echo $USER"))
    assert (code, out) == (0, "nobody\nnobody\n"), err


def test_the_command_of_tests_is_a_workload_as_any_other(mesh: Mesh) -> None:
    assert SERVE[-1] == "$(PORT)"
    with running_command(mesh, *WEB) as web:
        await_ready(mesh, "web-r0")
        status = mesh.cli("status").stdout
        assert "web-r0.default" in status
        services = mesh.cli("get", "services", "-o", "name").stdout
        assert "service/web" in services
        assert web.end()[0] == 143
