"""Every command of the command line, on a mesh that runs: what it prints, and its exit code."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
import yaml
from tests.support.meshes import BOOKINFO, MIZZEN, Mesh, environment, read_until, running

pytestmark = [pytest.mark.e2e, pytest.mark.envoy, pytest.mark.timeout(120)]

TIMEOUT = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: details}
spec:
  hosts: [details]
  http:
  - timeout: %s
    route: [{destination: {host: details}}]
"""


@pytest.fixture(scope="module")
def mesh() -> Iterator[Mesh]:
    with running() as running_mesh:
        yield running_mesh


def rows(text: str) -> list[list[str]]:
    """Returns the cells of a table, its headers first."""
    return [re.split(r" {3,}", line.strip()) for line in text.splitlines()]


def column(text: str, name: str) -> list[str]:
    headers, *lines = rows(text)
    return [line[headers.index(name)] for line in lines]


def test_version(mesh: Mesh) -> None:
    assert mesh.cli("version").stdout.splitlines()[1].startswith("mesh test: control plane 0.")
    facts = json.loads(mesh.cli("version", "-o", "json").stdout)
    assert facts["client"] == facts["control"]


def test_list(mesh: Mesh) -> None:
    (found,) = json.loads(mesh.cli("list", "-o", "json").stdout)
    assert (found["name"], found["pid"]) == ("test", mesh.process.pid)
    assert column(mesh.cli("list").stdout, "NAME") == ["test"]


def test_status(mesh: Mesh) -> None:
    text = mesh.cli("status").stdout
    assert re.match(r"mesh test \(explicit capture, trust domain cluster.local\): version \d+, 6 proxies in sync", text)
    _, proxies, instances = text.split("\n\n")
    assert column(proxies, "RDS") == ["SYNCED"] * 6
    assert column(instances, "READY") == ["yes"] * 6
    assert len(json.loads(mesh.cli("status", "-o", "json").stdout)["proxies"]) == 6


def test_get(mesh: Mesh) -> None:
    assert column(mesh.cli("get", "workloads").stdout, "READY") == ["1/1"] * 6
    wide = mesh.cli("get", "service", "reviews", "-o", "wide").stdout
    assert column(wide, "ACCEPTED") == ["True"]
    document = yaml.safe_load(mesh.cli("get", "svc/reviews", "-o", "yaml").stdout)
    assert document["spec"]["selector"] == {"app": "reviews"}
    assert json.loads(mesh.cli("get", "svc", "reviews", "-o", "json").stdout)["spec"] == document["spec"]
    everything = mesh.cli("get", "all", "-o", "name").stdout.splitlines()
    assert len(everything) == 10
    assert "service/reviews" in everything
    assert mesh.cli("get", "vs").stderr == "No resources found in default namespace.\n"
    missing = mesh.cli("get", "vs", "nosuch", check=False)
    assert (missing.returncode, missing.stdout) == (1, "")
    assert "VirtualService default/nosuch: not found" in missing.stderr
    assert mesh.cli("get", "nosuchkind", check=False).returncode == 1
    assert mesh.cli("get", check=False).returncode == 2


def test_apply_history_and_delete(mesh: Mesh, tmp_path: Path) -> None:
    file = tmp_path / "details.yaml"
    file.write_text(TIMEOUT % "3s")
    assert "virtualservice.networking.istio.io/details created (dry run)" in dry_run(mesh, file)
    assert mesh.cli("get", "vs").stdout == ""
    first = mesh.cli("apply", "--wait", "-f", str(file))
    assert first.stdout == "virtualservice.networking.istio.io/details created\n"
    assert re.fullmatch(r"live on 6 proxies after [\d.]+ m?s\n", first.stderr)
    assert mesh.cli("apply", "--wait", "-f", str(file)).stdout.endswith("/details unchanged\n")
    file.write_text(TIMEOUT % "4s")
    assert mesh.cli("apply", "--wait", "-f", str(file)).stdout.endswith("/details configured\n")

    history = mesh.cli("history", "vs", "details").stdout
    assert column(history, "ACTION") == ["created", "configured"]
    assert {source.rpartition(":")[0] for source in column(history, "SOURCE")} == {str(file)}
    revision = column(history, "REVISION")[0]
    assert mesh.cli("history", "vs", "details", "--revision", revision).stdout.strip() == (TIMEOUT % "3s").strip()

    assert mesh.cli("delete", "--wait", "-f", str(file)).stdout.startswith(
        'virtualservice.networking.istio.io "details"'
    )
    assert mesh.cli("delete", "vs", "details", check=False).returncode == 1
    assert mesh.cli("delete", "vs", "details", "--ignore-not-found").stdout == ""
    assert mesh.cli("delete", check=False).returncode == 2


def dry_run(mesh: Mesh, file: Path) -> str:
    return mesh.cli("apply", "--dry-run", "-f", str(file)).stdout


def test_validate_needs_no_mesh(mesh: Mesh, tmp_path: Path) -> None:
    assert mesh.cli("validate", "-f", str(BOOKINFO / "bookinfo.yaml")).stdout == "10 resources in 1 file: valid\n"
    bad = tmp_path / "bad.yaml"
    bad.write_text(TIMEOUT % "soon")
    done = mesh.cli("validate", "-f", str(bad), check=False)
    assert done.returncode == 1
    assert f"{bad}:8:14: error: " in done.stderr


def test_exec_gives_the_command_its_input_and_takes_its_exit_code(mesh: Mesh) -> None:
    done = mesh.cli("exec", "reviews-v1", "--", "sh", "-c", "cat; pwd; exit 7", input="hello\n", check=False)
    assert (done.returncode, done.stdout) == (7, f"hello\n{BOOKINFO}\n")
    assert mesh.cli("exec", "reviews-v1-0", "true").returncode == 0
    # 128 and the number of the signal are the shell's way to say it; a process has the signal itself.
    assert mesh.cli("exec", "reviews-v1", "--", "sh", "-c", "kill -9 $$", check=False).returncode == -9
    unknown = mesh.cli("exec", "reviews-v1", "--", "no-such-command", check=False)
    assert unknown.returncode == 127
    assert "command not found: no-such-command" in unknown.stderr
    nobody = mesh.cli("exec", "reviews-v9", "--", "true", check=False)
    assert nobody.returncode == 1
    assert "there is no workload or instance reviews-v9" in nobody.stderr


def test_logs(mesh: Mesh) -> None:
    mesh.send("productpage-v1", "http://details:9080/details/7?seen-in-the-log", 1)
    log = mesh.cli("logs", "details-v1").stdout
    assert "listens on http://127.0.0.1:" in log
    assert mesh.cli("logs", "details-v1", "--tail", "1").stdout == log.splitlines(keepends=True)[-1]
    assert mesh.cli("logs", "details-v1", "--proxy").returncode == 0
    nobody = mesh.cli("logs", "nosuch", check=False)
    assert nobody.returncode == 1
    assert "there is no workload or instance nosuch" in nobody.stderr


def test_logs_are_followed_over_a_restart(mesh: Mesh) -> None:
    with started(mesh, "logs", "-f", "ratings-v1") as process:
        read_until(process, "listens on")
        mesh.cli("restart", "ratings-v1")
        # From now on there are two, of which each line says whose it is.
        read_until(process, r"\[ratings-v1-1\] .* listens on")
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=10) == 130


@contextlib.contextmanager
def started(mesh: Mesh, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A command that runs until it is told to end; what is wrong until then, it is gone at the end."""
    command, env = [str(MIZZEN), *arguments], environment(mesh.settings.state_dir)
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("ports", [[":9080"], [":http", ":9080"]])
def test_port_forward(mesh: Mesh, ports: list[str]) -> None:
    with started(mesh, "port-forward", "details-v1", *ports) as process:
        for _ in ports:
            address = re.match(r"Forwarding (http://127\.0\.0\.1:\d+) -> 9080 ", read_until(process, "Forwarding"))
            assert address
            with urlopen(f"{address[1]}/health") as response:
                assert response.headers["x-bookinfo-version"] == "v1"
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=10) == 130


def test_port_forward_to_what_is_not_there(mesh: Mesh) -> None:
    for arguments, message in (
        (["details-v9", "9080"], "there is no workload details-v9 in namespace default"),
        (["details-v1", "1234"], "details-v1-0 has no port 1234"),
    ):
        done = mesh.cli("port-forward", *arguments, check=False)
        assert done.returncode == 1
        assert message in done.stderr
    assert mesh.cli("port-forward", "details-v1", "x:y", check=False).returncode == 2


def test_restart(mesh: Mesh) -> None:
    before = instance(mesh, "reviews-v2")
    done = mesh.cli("restart", "reviews-v2")
    assert done.stdout == "workload.mizzen.dev/reviews-v2 restarted\n"
    after = instance(mesh, "reviews-v2")
    assert after["ready"]
    assert after["pid"] != before["pid"]
    assert mesh.cli("restart", "nosuch", check=False).returncode == 1


def instance(mesh: Mesh, workload: str) -> dict[str, Any]:
    (found,) = (one for one in mesh.get("/v1/workloads")["items"] if one["workload"] == workload)
    return dict(found)


REVIEWS = "reviews.default.svc.cluster.local"


@pytest.mark.parametrize(
    ("what", "name", "expected"),
    [
        ("clusters", "SERVICE FQDN", REVIEWS),
        ("endpoints", "CLUSTER", f"outbound|9080||{REVIEWS}"),
        ("listeners", "DESTINATION", "Cluster: inbound|9080||"),
        ("routes", "VHOST NAME", f"{REVIEWS}:9080"),
        ("secrets", "RESOURCE NAME", "ROOTCA"),
    ],
)
def test_proxy(mesh: Mesh, what: str, name: str, expected: str) -> None:
    for proxy in ("productpage-v1-0", "productpage-v1-0.default"):
        assert expected in column(mesh.cli("proxy", what, proxy).stdout, name)
    assert json.loads(mesh.cli("proxy-config", what, "productpage-v1-0", "-o", "json").stdout)
    nobody = mesh.cli("proxy", what, "nosuch", check=False)
    assert nobody.returncode == 1
    assert "there is no proxy nosuch" in nobody.stderr


def test_proxy_config(mesh: Mesh) -> None:
    config = json.loads(mesh.cli("proxy", "config", "productpage-v1-0").stdout)
    kinds = {one["@type"].rpartition(".")[2] for one in config["configs"]}
    assert kinds >= {"BootstrapConfigDump", "ClustersConfigDump", "ListenersConfigDump", "RoutesConfigDump"}
    assert "PRIVATE KEY" not in json.dumps(config)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(mesh: Mesh, shell: str) -> None:
    assert "_MIZZEN_COMPLETE" in mesh.cli("completion", shell).stdout


def test_completion_knows_what_runs(mesh: Mesh) -> None:
    def completed(*words: str) -> set[str]:
        env = environment(mesh.settings.state_dir) | {
            "_MIZZEN_COMPLETE": "bash_complete",
            "COMP_WORDS": " ".join(("mizzen", *words)),
            "COMP_CWORD": str(len(words)),
        }
        done = subprocess.run([str(MIZZEN)], env=env, capture_output=True, text=True, check=True)
        return {line.partition(",")[2] for line in done.stdout.splitlines()}

    assert completed("stat") == {"status"}
    assert completed("exec", "reviews") >= {"reviews-v1", "reviews-v2", "reviews-v3"}
    assert completed("get", "virt") >= {"virtualservices"}


def test_wrong_usage(mesh: Mesh) -> None:
    for arguments in (["nosuch"], ["get", "--nosuch"], ["apply"], ["exec"]):
        assert mesh.cli(*arguments, check=False).returncode == 2, arguments
