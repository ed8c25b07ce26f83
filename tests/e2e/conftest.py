"""Whole meshes that several tests of a file share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.support.meshes import Mesh, running

CAPTURES = ["explicit", pytest.param("transparent", marks=pytest.mark.privileged)]


@pytest.fixture(scope="module", params=CAPTURES)
def bookinfo(request: pytest.FixtureRequest) -> Iterator[Mesh]:
    """Bookinfo in a mesh, in each capture mode; policy that one test applies is there for the next."""
    with running(capture=request.param) as mesh:
        yield mesh
