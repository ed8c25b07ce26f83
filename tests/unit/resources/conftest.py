from __future__ import annotations

import textwrap
from collections.abc import Callable

import pytest
from hypothesis import settings

from mizzen.resources.loading import Loaded, load

# A slow moment of a shared machine is no failure.
settings.register_profile("shared-machine", deadline=None)
settings.load_profile("shared-machine")


@pytest.fixture
def read() -> Callable[[str], Loaded]:
    """Loads indented text as the file ``f.yaml``."""
    return lambda text: load(textwrap.dedent(text).lstrip("\n"), "f.yaml")
