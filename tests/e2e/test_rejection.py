"""What Envoy refuses is reported with file, line and Envoy's words; what was in force stays so, and all else goes on.

The refusal is real: a regular expression that passes every check of ours and of Istio's, and whose RE2 program is
larger than the limit that Istio has for Envoy (32768).
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.conftest import RUNTIMES
from tests.support import small
from tests.support.applications import small_container
from tests.support.meshes import BOOKINFO, Mesh, running
from tests.support.polling import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.envoy, pytest.mark.timeout(120)]

REVIEWS = "http://reviews:9080/health"
RATINGS = "http://ratings:9080/health"
TOO_LARGE = "/(alpha|bravo|charlie|delta|echo|foxtrot|golf|hotel){1,1000}"
WORDS = r"RE2 program size of \d+ > max program size of 32768"


def virtual_service(host: str, http: str) -> str:
    head = "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata:\n"
    return f"{head}  name: {host}\nspec:\n  hosts: [{host}]\n  http:\n{http}"


def to_version(version: str) -> str:
    return virtual_service("reviews", f"  - route:\n    - destination: {{host: reviews, subset: {version}}}\n")


def refused(host: str = "reviews") -> str:
    """A VirtualService that Envoy refuses; why stands in line 8, and the expression is no other's."""
    match = f'  - match: [{{uri: {{regex: "{TOO_LARGE}/{host}"}}}}]\n    route: [{{destination: {{host: {host}}}}}]\n'
    rest = "  - directResponse: {status: 299}\n"
    return virtual_service(host, match + rest)


def answering(host: str, status: int) -> str:
    return virtual_service(host, f"  - directResponse: {{status: {status}}}\n")


@pytest.fixture(scope="module", params=RUNTIMES)
def capture(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def folder(capture: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The watched folder: a file for routes, and Bookinfo where no engine runs it."""
    folder = tmp_path_factory.mktemp("watched")
    (folder / "routes.yaml").write_text(answering("details", 298))
    if not capture.startswith("container-"):
        shutil.copy(BOOKINFO / "bookinfo.yaml", folder)
        (folder / "services").symlink_to(BOOKINFO / "services")
    return folder


@pytest.fixture(scope="module")
def mesh(folder: Path, capture: str) -> Iterator[Mesh]:
    with running(folder, capture=capture) as running_mesh:
        running_mesh.apply(BOOKINFO / "networking" / "destination-rule-all.yaml")
        yield running_mesh


@pytest.fixture(autouse=True)
def on_v1(mesh: Mesh) -> Iterator[None]:
    """Before each test reviews go to v1; after it nothing of it is left."""
    mesh.apply_text(to_version("v1"))
    yield
    mesh.delete("virtualservice", "reviews", "ratings", "--ignore-not-found")
    assert problems(mesh) == []


def problems(mesh: Mesh) -> list[dict[str, Any]]:
    return [one for one in mesh.get("/v1/resources")["problems"] if one["level"] == "error"]


def statuses(mesh: Mesh, url: str, caller: str = "productpage-v1") -> dict[str, int]:
    return dict(mesh.send(caller, url, 10)["statuses"])


def assert_on_v1(mesh: Mesh, caller: str = "productpage-v1") -> None:
    result = mesh.send(caller, REVIEWS, 10)
    assert (result["statuses"], result["versions"]) == ({"200": 10}, {"v1": 10})


def assert_in_sync(mesh: Mesh) -> None:
    states = [state["state"] for proxy in mesh.get("/v1/proxies")["items"] for state in proxy["types"].values()]
    assert set(states) == {"SYNCED"}


def test_apply_says_where_it_is_written_and_what_envoy_says(mesh: Mesh, tmp_path: Path) -> None:
    file = tmp_path / "two.yaml"
    file.write_text(answering("ratings", 297) + "---\n" + refused())
    done = mesh.cli("apply", "--wait", "-f", str(file), check=False)
    assert done.returncode == 1
    assert "reviews configured" in done.stdout
    (line,) = (line for line in done.stderr.splitlines() if "RE2" in line)
    assert re.match(
        rf"{re.escape(str(file))}:17:27: error: VirtualService default/reviews: Envoy refused it .*{WORDS}", line
    )
    assert "what was in force before stays in force" in done.stderr
    assert_on_v1(mesh)
    # The other document of the file went out all the same.
    assert statuses(mesh, RATINGS) == {"297": 10}
    assert_in_sync(mesh)


def test_status_and_get_show_it_until_it_is_corrected(mesh: Mesh, tmp_path: Path) -> None:
    file = tmp_path / "reviews.yaml"
    file.write_text(refused())
    assert mesh.cli("apply", "--wait", "-f", str(file), check=False).returncode == 1
    complaint = mesh.cli("status").stderr
    assert re.search(rf"{re.escape(str(file))}:8:27: error: VirtualService default/reviews: .*{WORDS}", complaint)
    document = mesh.cli("get", "virtualservice", "reviews", "-o", "yaml").stdout
    assert "reason: RejectedByEnvoy" in document
    assert "max program size of 32768" in " ".join(document.split())
    assert TOO_LARGE in document
    assert "False (RejectedByEnvoy)" in mesh.cli("get", "vs", "-o", "wide").stdout

    mesh.apply_text(to_version("v3"))
    assert mesh.send("productpage-v1", REVIEWS, 10)["versions"] == {"v3": 10}
    assert "Envoy" not in mesh.cli("status").stderr
    assert "RejectedByEnvoy" not in mesh.cli("get", "virtualservice", "reviews", "-o", "yaml").stdout


def test_other_changes_go_out_and_are_acknowledged(mesh: Mesh) -> None:
    """Of the same route configuration: where capture is explicit, one holds the routes of all services."""
    assert mesh.apply_text(refused(), check=False).returncode == 1
    done = mesh.apply_text(answering("ratings", 296))
    assert f"live on {'1 proxy' if mesh.one_proxy else '6 proxies'}" in done.stderr
    assert statuses(mesh, RATINGS) == {"296": 10}
    assert_on_v1(mesh)
    assert_in_sync(mesh)
    assert [one["code"] for one in problems(mesh)] == ["RejectedByEnvoy"]


def test_two_at_once_are_both_reported(mesh: Mesh) -> None:
    """Envoy stops at the first thing that it does not like in a route configuration."""
    done = mesh.apply_text(refused("reviews") + "---\n" + refused("ratings"), check=False)
    assert done.returncode == 1
    told = re.findall(
        rf"<stdin>:(\d+):27: error: VirtualService default/(\w+): Envoy refused it .*{WORDS}", done.stderr
    )
    assert sorted(told) == [("19", "ratings"), ("8", "reviews")]
    assert sorted(one["resource"]["name"] for one in problems(mesh)) == ["ratings", "reviews"]
    assert_on_v1(mesh)
    assert statuses(mesh, RATINGS) == {"200": 10}
    assert_in_sync(mesh)


def test_one_that_never_was_any_better_is_left_out(mesh: Mesh) -> None:
    assert mesh.apply_text(refused("ratings"), check=False).returncode == 1
    assert statuses(mesh, RATINGS) == {"200": 10}
    mesh.cli("delete", "virtualservice", "ratings", "--wait")
    assert problems(mesh) == []


def test_a_proxy_that_starts_meanwhile_becomes_ready(mesh: Mesh) -> None:
    """It has no earlier configuration to go on with."""
    assert mesh.apply_text(refused(), check=False).returncode == 1
    proxies = len(mesh.get("/v1/proxies")["items"])
    if mesh.engine:
        small_container(mesh.engine, "late", "bookinfo")
    else:
        mesh.apply_text(small.workload("late"))
    eventually(lambda: ready(mesh, "late"), "the new instance is ready")
    assert_on_v1(mesh, caller="late")
    if mesh.engine:
        mesh.engine.rm("late")
    else:
        mesh.cli("delete", "workload", "late", "--wait")
    eventually(lambda: len(mesh.get("/v1/proxies")["items"]) == proxies, "the new instance has gone")
    eventually(lambda: not ready(mesh, "late"), "it has gone altogether")


def ready(mesh: Mesh, workload: str) -> bool:
    return any(one["ready"] for one in mesh.get("/v1/workloads")["items"] if one["workload"] == workload)


def test_it_holds_over_kill_9_of_the_control_plane(mesh: Mesh) -> None:
    assert mesh.apply_text(refused(), check=False).returncode == 1
    mesh.kill_control()
    assert_on_v1(mesh)
    assert_in_sync(mesh)
    assert [one["code"] for one in problems(mesh)] == ["RejectedByEnvoy"]
    mesh.apply_text(answering("ratings", 295))
    assert statuses(mesh, RATINGS) == {"295": 10}
    assert_on_v1(mesh)
    mesh.apply_text(to_version("v2"))
    assert mesh.send("productpage-v1", REVIEWS, 10)["versions"] == {"v2": 10}
    assert problems(mesh) == []


def test_a_file_in_a_watched_folder(mesh: Mesh, folder: Path) -> None:
    """An edit that Envoy refuses: nobody waits for it, so `mizzen status` says it."""
    details = "http://details:9080/health"
    assert statuses(mesh, details) == {"298": 10}
    file = folder / "routes.yaml"
    file.write_text(refused("details"))
    (rejected,) = eventually(lambda: problems(mesh), "the refusal is told")
    assert (rejected["position"]["file"], rejected["position"]["line"]) == (str(file), 8)
    assert re.search(rf"{re.escape(str(file))}:8:27: error: .*{WORDS}", mesh.cli("status").stderr)
    assert statuses(mesh, details) == {"298": 10}
    file.write_text(answering("details", 294))
    eventually(lambda: statuses(mesh, details) == {"294": 10}, "the correction is in force")
    assert problems(mesh) == []
