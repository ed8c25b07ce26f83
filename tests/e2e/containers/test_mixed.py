"""Containers and processes in one mesh call each other, whatever proxy either has; a container is in one mesh at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.support import small
from tests.support.applications import small_container
from tests.support.containers import Engine, engine
from tests.support.meshes import running
from tests.support.polling import eventually

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.envoy,
    pytest.mark.privileged,
    pytest.mark.containers,
    pytest.mark.timeout(120),
]

PUBLISHED = 18080


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
