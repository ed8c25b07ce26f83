"""What tests of containers stand on: an engine of their own, Bookinfo in it without any mesh, and nothing left of it."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.capture.played_host import state_of_the_host
from tests.support import images
from tests.support.applications import bookinfo_containers, bookinfo_image, small, small_container
from tests.support.containers import Container, Engine, engine
from tests.support.hosts import Host, played_host
from tests.support.polling import eventually
from tests.support.processes import with_variable

pytestmark = [pytest.mark.e2e, pytest.mark.privileged, pytest.mark.containers]

COMPOSE_FILE = images.EXAMPLES / "compose" / "compose.yaml"
LOCAL_PAGE = "http://127.0.0.1:9080/productpage"


@pytest.fixture(scope="module")
def shared() -> Iterator[Engine]:
    """An engine with Bookinfo in the network bookinfo; what a test adds it takes away."""
    with engine() as podman:
        bookinfo_containers(podman)
        yield podman


@pytest.fixture
def podman() -> Iterator[Engine]:
    with engine() as made:
        yield made


def on(host: Host, *command: str) -> str:
    return subprocess.run(host.command(*command), capture_output=True, text=True, check=True, timeout=30).stdout


def fetched(host: Host, url: str) -> str:
    return on(host, "curl", "--silent", "--show-error", "--fail", "--max-time", "20", url)


def asked(podman: Engine, caller: str, url: str) -> str:
    return podman.exec(caller, "wget", "-q", "-O", "-", url)


def test_bookinfo_finds_itself_by_names(shared: Engine) -> None:
    page = fetched(shared.host, LOCAL_PAGE)
    assert "served by productpage-v1 <b>" in page
    assert "served by details-v1 <b>" in page
    assert page.count("<blockquote>") == 2
    assert 'class="error"' not in page


@pytest.mark.parametrize("name", ["reviews", "reviews-v2", "details-v1.dns.podman"])
def test_the_engine_answers_for_aliases_and_container_names(shared: Engine, name: str) -> None:
    assert "is healthy" in asked(shared, "productpage-v1", f"http://{name}:9080/health")


def test_an_alias_is_all_who_have_it(shared: Engine) -> None:
    found = shared.exec("productpage-v1", "nslookup", "reviews")
    assert all(shared.address(f"reviews-v{version}", "bookinfo") in found for version in (1, 2, 3))


def test_labels_are_those_of_compose(shared: Engine) -> None:
    labels = shared.inspect("reviews-v2")["Config"]["Labels"]
    assert labels["com.docker.compose.project"] == "bookinfo"
    assert labels["com.docker.compose.service"] == "reviews-v2"
    assert not [label for label in labels if "mizzen" in label]


def test_a_namespace_is_entered_from_the_machine(shared: Engine) -> None:
    command = ["nsenter", f"--net={shared.netns('ratings-v1')}", "ip", "-4", "-o", "address", "show", "dev", "eth0"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert f" {shared.address('ratings-v1', 'bookinfo')}/24 " in shown


def test_containers_outlive_the_service(shared: Engine) -> None:
    before = shared.pid("details-v1")
    shared.kill_service()
    assert not shared.answers()
    assert "Book Details" in fetched(shared.host, LOCAL_PAGE)
    shared.start_service()
    assert shared.pid("details-v1") == before
    small_container(shared, "later", "bookinfo")
    assert asked(shared, "details-v1", "http://later:8080/") == "later\n"
    shared.rm("later")


def test_a_container_lives_and_dies(shared: Engine) -> None:
    identifier = small_container(shared, "mortal", "bookinfo", aliases=("everyman",))
    first = shared.pid("mortal")
    shared.rename("mortal", "renamed")
    assert shared.inspect(identifier)["Name"] == "/renamed"
    shared.pause("renamed")
    assert shared.inspect("renamed")["State"]["Status"] == "paused"
    shared.unpause("renamed")
    shared.stop("renamed")
    assert shared.pid("renamed") == 0
    shared.start("renamed")
    assert shared.pid("renamed") not in {0, first}
    shared.kill("renamed", signal.SIGTERM)
    eventually(lambda: shared.inspect("renamed")["State"]["Status"] == "exited", "it ends on SIGTERM")
    shared.rm("renamed")
    assert "renamed" not in shared.podman("ps", "--all")


def test_health_is_checked_when_the_test_says(shared: Engine) -> None:
    shared.run(small("patient", "bookinfo", health="cat /tmp/well"))
    assert shared.inspect("patient")["State"]["Health"]["Status"] == "starting"
    shared.exec("patient", "sh", "-c", "echo > /tmp/well")
    assert shared.check_health("patient")
    shared.exec("patient", "rm", "/tmp/well")
    assert not shared.check_health("patient")
    assert shared.inspect("patient")["State"]["Health"]["Status"] == "unhealthy"
    shared.rm("patient")


def test_many_small_containers(podman: Engine) -> None:
    podman.network("many")
    names = [f"small-{number}" for number in range(12)]
    identifiers = podman.run_all(small(name, "many") for name in names)
    assert [podman.inspect(identifier)["Name"] for identifier in identifiers] == [f"/{name}" for name in names]
    eventually(lambda: all(podman.listens(name, images.SMALL_PORT) for name in names), "all listen")
    assert asked(podman, names[0], f"http://{names[-1]}:8080/") == f"{names[-1]}\n"


def test_engines_do_not_meet(podman: Engine) -> None:
    with engine() as other:
        for one, name in ((podman, "one"), (other, "two")):
            one.network("same")
            small_container(one, name, "same", ports={8080: 8080}, aliases=("same",))
        for one, name in ((podman, "one"), (other, "two")):
            assert fetched(one.host, "http://127.0.0.1:8080/") == f"{name}\n"
            assert asked(one, name, "http://same:8080/") == f"{name}\n"


def test_a_thread_moves_to_the_host_and_back(podman: Engine) -> None:
    podman.network("seen")
    podman.run(Container("seen", network="seen"))
    here, machine = Path.cwd(), state_of_the_host()["links"]
    with podman.host.entered():
        assert "podman1" in str(state_of_the_host()["links"])
        assert Path.cwd() == here
        assert list(Path("/run/netns").iterdir())
    assert state_of_the_host()["links"] == machine
    assert Path.cwd() == here


@pytest.mark.compose
def test_the_compose_file_runs_as_it_is(podman: Engine) -> None:
    bookinfo_image(podman)
    compose(podman, "up", "--detach", "--no-build")
    containers = podman.request("GET", "/containers/json")
    services = {container["Labels"]["com.docker.compose.service"]: container["Id"] for container in containers}
    assert len(services) == 6
    eventually(lambda: all(podman.listens(identifier, 9080) for identifier in services.values()), "all listen")
    assert fetched(podman.host, LOCAL_PAGE).count("<blockquote>") == 2
    assert podman.inspect(services["details"])["Config"]["Labels"]["com.docker.compose.project"] == "bookinfo"
    assert podman.check_health(services["details"])
    compose(podman, "down")
    assert podman.request("GET", "/containers/json?all=true") == []


def compose(podman: Engine, *arguments: str) -> None:
    command = podman.host.command("docker-compose", "--file", str(COMPOSE_FILE), *arguments)
    subprocess.run(command, env=os.environ | podman.environment, capture_output=True, check=True, timeout=60)


def test_nothing_is_left() -> None:
    """The engine is started on a quiet host, so that what comes and goes on the machine meanwhile does not count."""
    with played_host() as quiet, quiet.entered():
        before = (state_of_the_host(), mounts())
        with engine() as podman:
            podman.network("left")
            for name in ("paused", "running", "stopped"):
                podman.run(small(name, "left", ports={8080: 0}))
            podman.pause("paused")
            podman.stop("stopped")
            podman.kill_service()
            assert len(podman.group.processes()) > 3
        assert (state_of_the_host(), mounts()) == before
        assert not quiet.processes()
    assert not podman.folder.exists()
    assert podman.group.removed()
    assert not with_variable("CONTAINERS_CONF", str(podman.folder / "containers.conf"))


def mounts() -> set[str]:
    return {line.split()[4] for line in Path("/proc/thread-self/mountinfo").read_text().splitlines()}


def test_a_folder_that_is_too_deep_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="too long for a Unix socket"), engine(tmp_path / ("deep" * 25)):
        pass
    with tempfile.TemporaryDirectory() as folder, engine(Path(folder) / "own") as podman:
        assert podman.folder == Path(folder) / "own"
