"""Whole meshes that several tests of a file share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.support.meshes import Mesh, running

CAPTURES = [
    "explicit",
    pytest.param("transparent", marks=pytest.mark.privileged),
    pytest.param("node", marks=pytest.mark.privileged),
]
RUNTIMES = [
    *CAPTURES,
    pytest.param("container-sidecar", marks=[pytest.mark.privileged, pytest.mark.containers]),
    pytest.param("container-node", marks=[pytest.mark.privileged, pytest.mark.containers]),
]
"""Whatever holds for a mesh holds for processes, in each way of capture, and for containers, with each kind of proxy."""


@pytest.fixture(scope="module", params=RUNTIMES)
def bookinfo(request: pytest.FixtureRequest) -> Iterator[Mesh]:
    """Bookinfo in a mesh, in each runtime; policy that one test applies is there for the next."""
    with running(capture=request.param) as mesh:
        yield mesh
