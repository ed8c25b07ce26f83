"""Containers and processes in one mesh call each other, whatever proxy either has; a container is in one mesh at a time."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.support import small
from tests.support.applications import small_container
from tests.support.containers import Engine, engine
from tests.support.meshes import Mesh, running
from tests.support.polling import eventually

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.envoy,
    pytest.mark.privileged,
    pytest.mark.containers,
    pytest.mark.timeout(120),
]

PUBLISHED = 18080
CALLERS = ("caller-sidecar", "caller-node")
ENDED = ("web-sidecar", "web-node")
# Containers by the kind of proxy that each has.
MIXED = {**{name: name.split("-")[1] for name in (*CALLERS, *ENDED)}, "web-staying": "sidecar"}
URL = "http://web:8080/"
# What it takes to connect somewhere else, in seconds; who is not told waits for ten.
LONGEST_WAIT = 5.0


@pytest.fixture(scope="module")
def podman() -> Iterator[Engine]:
    with engine() as made:
        made.network("shop")
        small_container(made, "container", "shop", ports={8080: PUBLISHED})
        yield made


@pytest.mark.parametrize("container", ["sidecar", "node"])
@pytest.mark.parametrize("process", ["sidecar", "node"])
def test_they_call_each_other(podman: Engine, tmp_path: Path, container: str, process: str) -> None:
    file = tmp_path / "mesh.yaml"
    file.write_text(small.joined(small.service("process"), small.workload("process", more=f"  proxy: {process}")))
    with running(file, capture=f"container-{container}", engine=podman) as mesh:
        for caller, url in (("container", "http://process/"), ("process", "http://container:8080/")):
            # Either may have become ready a moment after the mesh.
            eventually(lambda: mesh.send(caller, url, 1)["statuses"] == {"200": 1}, f"{caller} is answered")  # noqa: B023
            assert mesh.send(caller, url, 20)["statuses"] == {"200": 20}


def test_a_second_mesh_waits_until_the_first_has_left(podman: Engine) -> None:
    with ExitStack() as stack:
        first = stack.enter_context(running(capture="container-node", engine=podman))
        with running(capture="container-node", engine=podman) as second:
            reason = f"member of mesh test (state directory {first.settings.state_dir}) already"
            refused = second.cli("attach", "container", check=False)
            assert (refused.returncode, refused.stdout) == (1, "")
            assert refused.stderr.startswith(f"refused: container: it is a {reason}, and is taken in when it has left")
            (line,) = second.cli("containers").stdout.splitlines()[1:]
            assert ("Refused" in line, reason in line) == (True, True)
            stack.close()
            eventually(lambda: " Attached " in second.cli("containers").stdout, "it is taken in")
            told = [line for line in second.lines if "already" in line or "failed" in line]
            assert len(told) == 1
            assert told[0].startswith(
                f"warning: containers are {reason.replace('member', 'members')}, and are taken in"
            )


def test_callers_of_containers_that_have_ended_do_not_wait_until_they_hear_of_it(podman: Engine) -> None:
    """Of either kind, by either kind, and though their engine has taken away the network that nobody answers from."""
    with running(capture="container-node", engine=podman) as mesh, ExitStack() as containers:
        run_mixed(podman, mesh, containers)
        mesh.apply_text(small.ASKING_AGAIN)
        with ExitStack() as until_sent:
            loads = [until_sent.enter_context(mesh.load(caller, URL, 40, "--count", "160")) for caller in CALLERS]
            stop_control(mesh, containers)
            for ended in ENDED:
                podman.stop(ended)
        for load in loads:
            # An answer that had begun when its container ended cannot be asked for again.
            cut = load.result["failures"]
            assert all("0 bytes read on a total of" in one for one in cut), cut
            assert len(cut) <= len(ENDED)
            assert load.result["p99"] < LONGEST_WAIT * 1000, load.result


def test_a_container_that_gets_the_address_of_one_that_has_ended_is_called(podman: Engine) -> None:
    """Though not every proxy has heard of the end, and until it is in use again, calls of that address are refused."""
    with running(capture="container-node", engine=podman) as mesh, ExitStack() as containers:
        run_mixed(podman, mesh, containers)
        stop_control(mesh, containers)
        for ended in ENDED:
            address = podman.address(ended, "shop")
            podman.stop(ended)
            eventually(
                lambda: f"unreachable {address}" in podman.exec("container", "ip", "route"),  # noqa: B023
                "it is refused",
            )
            podman.rm(ended)
            small_container(podman, ended, "shop", address=address, labels={"mizzen.dev/mesh": "false"})
            for caller in CALLERS:
                eventually(
                    lambda: fetched(podman, caller, f"http://{address}:8080/") == ended,  # noqa: B023
                    f"{ended} answers {caller}",
                )


def run_mixed(podman: Engine, mesh: Mesh, until: ExitStack) -> None:
    """Has the mixed containers as members, those of ``web`` in one service."""
    for name, kind in MIXED.items():
        labels = {"mizzen.dev/service": name.split("-")[0], "mizzen.dev/proxy": kind}
        small_container(podman, name, "shop", labels=labels)
        until.callback(podman.rm, name)
    eventually(lambda: MIXED.keys() <= ready(mesh), "all are members")


def stop_control(mesh: Mesh, until: ExitStack) -> None:
    """Has the control plane tell nobody of anything."""
    control = mesh.control_pid()
    assert control
    os.kill(control, signal.SIGSTOP)
    until.callback(os.kill, control, signal.SIGCONT)


def fetched(podman: Engine, caller: str, url: str) -> str:
    """Returns what is answered beside a caller, "" for an error."""
    command = ["nsenter", f"--net={podman.netns(caller)}", "curl", "--silent", "--max-time", "5", url]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def ready(mesh: Mesh) -> set[str]:
    return {one["name"] for one in mesh.get("/v1/workloads")["items"] if one["ready"]}
