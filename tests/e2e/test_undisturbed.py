"""No request fails because the mesh changed, restarted, rotated a key or lost its control plane.

All under 200 requests a second, from a workload with a proxy to workloads with proxies, in every runtime.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from tests.e2e.conftest import RUNTIMES
from tests.support.meshes import BOOKINFO, Mesh, running
from tests.support.polling import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.envoy, pytest.mark.timeout(300)]

REVIEWS = "http://reviews:9080/health"
CALLER = "productpage-v1"
LIFETIME = 6.0


def split(weight: int) -> str:
    return f"""
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: reviews
spec:
  hosts: [reviews]
  http:
  - route:
    - destination: {{host: reviews, subset: v1}}
      weight: {weight}
    - destination: {{host: reviews, subset: v3}}
      weight: {100 - weight}
"""


@pytest.fixture(scope="module", params=RUNTIMES)
def mesh(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    """Bookinfo with two replicas of reviews-v1 where the mesh runs them, and certificates that live for seconds."""
    folder = tmp_path_factory.mktemp("bookinfo")
    text = (BOOKINFO / "bookinfo.yaml").read_text()
    changed = text.replace("name: reviews-v1\n", "name: reviews-v1\n", 1)
    (folder / "bookinfo.yaml").write_text(two_replicas(changed))
    (folder / "services").symlink_to(BOOKINFO / "services")
    options = ["--certificate-lifetime", f"{LIFETIME:g}s"]
    paths = [] if request.param.startswith("container-") else [folder]
    with running(*paths, capture=request.param, options=options) as running_mesh:
        running_mesh.apply(BOOKINFO / "networking" / "destination-rule-all.yaml")
        yield running_mesh


def two_replicas(text: str) -> str:
    """Returns Bookinfo with a second replica of reviews-v1."""
    documents = text.split("\n---\n")
    chosen = [number for number, one in enumerate(documents) if "kind: Workload" in one and "name: reviews-v1\n" in one]
    (number,) = chosen
    documents[number] = documents[number].replace("\nspec:\n", "\nspec:\n  replicas: 2\n")
    return "\n---\n".join(documents)


def test_fifty_changes_of_weights(mesh: Mesh) -> None:
    with mesh.load(CALLER, REVIEWS) as load:
        for number in range(50):
            mesh.change(split(number * 37 % 101))
    load.assert_nothing_failed(at_least=50)
    assert set(load.result["versions"]) >= {"v1", "v3"}


def test_kill_9_of_the_control_plane_and_its_restart(mesh: Mesh) -> None:
    mesh.change(split(50))
    before = {proxy["id"]: proxy for proxy in mesh.get("/v1/proxies")["items"]}
    with mesh.load(CALLER, REVIEWS) as load:
        mesh.kill_control()
        after = {proxy["id"]: proxy for proxy in mesh.get("/v1/proxies")["items"]}
        mesh.change(split(40))
    load.assert_nothing_failed(at_least=100)
    assert after.keys() == before.keys()
    sent = {name: state["sent"] for proxy in after.values() for name, state in proxy["types"].items()}
    assert set(sent.values()) == {None}, "nothing that a proxy has is sent again"


def certificates(mesh: Mesh) -> dict[str, str]:
    """Returns the serial number of each proxy's own certificate."""
    serials = {}
    for proxy in mesh.get("/v1/proxies")["items"]:
        chains = mesh.get(f"/v1/proxies/{proxy['id']}/admin/certs")["certificates"]
        serials[proxy["id"]] = chains[0]["cert_chain"][0]["serial_number"]
    return serials


def test_rotation_of_all_certificates(mesh: Mesh) -> None:
    before = certificates(mesh)
    with mesh.load(CALLER, REVIEWS) as load:
        end = time.monotonic() + 4 * LIFETIME
        while any(now == before[proxy] for proxy, now in certificates(mesh).items()):
            assert time.monotonic() < end, "certificates were not renewed"
            time.sleep(0.2)
        # They may have been renewed at once.
        assert mesh.send(CALLER, REVIEWS, 100, 100.0)["statuses"] == {"200": 100}
    load.assert_nothing_failed(at_least=50)


def test_rolling_restart_of_a_workload_with_two_replicas(mesh: Mesh) -> None:
    if mesh.of_containers:
        pytest.skip("the engine starts and stops containers; tests/e2e/containers has them come and go")
    mesh.change(split(100))
    names = {one["name"] for one in mesh.get("/v1/workloads")["items"] if one["workload"] == "reviews-v1"}
    with mesh.load(CALLER, REVIEWS) as load:
        mesh.cli("restart", "reviews-v1")
    load.assert_nothing_failed(at_least=200)
    now = {one["name"] for one in mesh.get("/v1/workloads")["items"] if one["workload"] == "reviews-v1"}
    assert len(now) == 2
    assert names.isdisjoint(now) or names != now


@pytest.mark.parametrize("workload", ["reviews-v1", CALLER])
def test_a_change_of_the_kind_of_proxy_and_back(mesh: Mesh, workload: str) -> None:
    """Of the one that is called, and of the caller, which keeps its connections."""
    if mesh.capture == "explicit":
        pytest.skip("a node's proxy needs transparent capture")
    mesh.change(split(100))
    other, own = ("sidecar", "node") if mesh.one_proxy else ("node", "sidecar")
    # Its connections to the proxy that goes are closed when they are idle.
    with mesh.load(CALLER, REVIEWS, 200.0, "--again") as load:
        for kind in (other, own):
            choose_proxy(mesh, workload, kind)
            eventually(partial(served_by, mesh, workload, kind), f"a {kind} proxy serves {workload}, and no other")
    load.assert_nothing_failed(at_least=50)


def choose_proxy(mesh: Mesh, workload: str, kind: str) -> None:
    if mesh.of_containers:
        mesh.cli("attach", workload, "--proxy", kind)
        return
    (file,) = {one["source"]["file"] for one in mesh.get("/v1/resources", kind="Workload")["items"]}
    documents = Path(file).read_text().split("\n---\n")
    for number, document in enumerate(documents):
        if "kind: Workload" in document and f"name: {workload}\n" in document:
            head, _, spec = document.partition("\nspec:\n")
            lines = [line for line in spec.splitlines() if not line.startswith("  proxy: ")]
            documents[number] = "\n".join([head, "spec:", f"  proxy: {kind}", *lines])
    Path(file).write_text("\n---\n".join(documents))


def served_by(mesh: Mesh, workload: str, kind: str) -> bool:
    """Whether each replica of a workload is ready and has one proxy, which is of this kind."""
    replicas = [one for one in mesh.get("/v1/workloads")["items"] if one["workload"] == workload]
    found = {"sidecar" if proxy == f"{one['name']}.default" else "node" for one in replicas for proxy in one["proxies"]}
    return found == {kind} and all(one["ready"] for one in replicas)
