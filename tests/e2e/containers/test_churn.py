"""Two hundred containers come and go in a mesh under load: who stays is served, and of the mesh nothing is left.

Half of them have sidecars and half the node's proxy, and so have callers: each kind calls each.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.e2e.containers.inventory import KEPT, difference, held_by, inventory, settled
from tests.support.applications import compose_labels, small, small_container
from tests.support.containers import Container, Engine, engine
from tests.support.meshes import Mesh, running
from tests.support.polling import eventually
from tests.support.small import ASKING_AGAIN

pytestmark = [pytest.mark.e2e, pytest.mark.privileged, pytest.mark.containers, pytest.mark.timeout(900)]

NETWORK = "shop"
TOTAL = 200
# Sidecars take the memory of an Envoy each.
MOST_AT_ONCE = 30
AT_A_TIME = 2
SERVICES = 8
RATE = 20.0
MOST_CUT = 2
SEED = 4
# At the end all passing replicas of `web` go within seconds, and each request may meet every one of them first: an endpoint
# that refuses at once has nothing under way, which is what Envoy's balancer prefers.
ASKING_OFTEN = ASKING_AGAIN.replace("attempts: 5", "attempts: 10")
# Who stays, and by which kind of proxy each is served: callers of both kinds call endpoints of both kinds.
STAYING = {"caller-sidecar": "sidecar", "caller-node": "node", "living": "node", "web-0": "sidecar"}
CALLERS = ("caller-sidecar", "caller-node")


@pytest.fixture(scope="module")
def podman() -> Iterator[Engine]:
    """An engine with containers that stay: two that call, one whose service nobody else is in, one of ``web``."""
    with engine() as made:
        made.network(NETWORK)
        for name, kind in STAYING.items():
            small_container(made, name, NETWORK, labels=labels(name.removesuffix("-0"), kind))
        yield made


def test_200_containers_come_and_go(podman: Engine, tmp_path: Path) -> None:
    before = settled(podman, *STAYING)
    with running(capture="container-node", engine=podman, state_dir=tmp_path / "state") as mesh:
        mesh.apply_text(ASKING_OFTEN)
        quiet = held(mesh)
        with ExitStack() as loads:
            load = {
                (caller, host): loads.enter_context(mesh.load(caller, f"http://{host}:8080/", RATE))
                for caller in CALLERS
                for host in ("living", "web")
            }
            churn(podman, random.Random(SEED))
        for caller in CALLERS:
            assert load[caller, "living"].result["failures"] == [], caller
            # An answer that its container had begun when it was killed cannot be asked for again.
            cut = load[caller, "web"].result["failures"]
            assert all("0 bytes read on a total of" in one for one in cut), "\n".join([caller, *cut])
            assert len(cut) <= MOST_CUT
        assert all(one.result["sent"] >= 200 for one in load.values())
        eventually(lambda: {one["name"] for one in mesh.get("/v1/workloads")["items"]} == set(STAYING), "all have left")
        # The node holds on to nothing of those that have gone.
        eventually(lambda: held(mesh) == quiet, f"as much is held as before: {quiet}, not {held(mesh)}")
        assert "failed" not in "\n".join(mesh.lines)
    assert difference(before, inventory(podman, *STAYING)) == {}
    assert {file.name for file in (tmp_path / "state").iterdir()} == KEPT
    assert not list((tmp_path / "state" / "children").iterdir())


def held(mesh: Mesh) -> tuple[int, int]:
    """How many network namespaces the node holds open, and how many processes run on its host."""
    assert mesh.engine
    return held_by(mesh.process.pid, "/run/netns/"), len(mesh.engine.host.processes())


def churn(podman: Engine, chance: random.Random) -> None:
    """Starts containers and removes them, each in one of the ways that there are, in an order that chance decides."""
    waiting = [planned(number) for number in range(TOTAL)]
    alive: list[Container] = []
    lock = threading.Lock()

    def step() -> bool:
        with lock:
            starts = bool(waiting) and (not alive or (len(alive) < MOST_AT_ONCE and chance.random() < 0.6))
            if not starts and not alive:
                return False
            chosen = waiting.pop() if starts else alive.pop(chance.randrange(len(alive)))
            stops = chance.random() < 0.5
        if starts:
            podman.run(chosen)
            with lock:
                alive.append(chosen)
        else:
            if stops:
                podman.stop(chosen.name)
            podman.rm(chosen.name)
        return True

    def work() -> None:
        while step():
            pass

    with ThreadPoolExecutor(AT_A_TIME) as threads:
        for done in [threads.submit(work) for _ in range(AT_A_TIME)]:
            done.result()


def planned(number: int) -> Container:
    """Every third is one more replica of ``web``, the others are of services of their own; one half has sidecars."""
    service = f"other-{number % SERVICES}" if number % 3 else "web"
    kind = "node" if number % 2 else "sidecar"
    return small(f"passing-{number}", NETWORK, labels=labels(service, kind), aliases=(service,))


def labels(service: str, kind: str) -> dict[str, str]:
    return {**compose_labels(NETWORK, service), "mizzen.dev/proxy": kind}
