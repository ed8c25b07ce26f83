"""A node loads what it needs and no more, so that a mesh starts soon: neither the compiler nor every kind's model."""

from __future__ import annotations

import subprocess
import sys

LOADED = "import sys, mizzen.node.agent; print(*sys.modules)"


def test_a_node_loads_no_compiler() -> None:
    done = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "mizzen.node.agent" in loaded
    assert (
        loaded & {"mizzen.compile.compiler", "mizzen.mesh.model", "mizzen.resources.virtual_service", "yaml"} == set()
    )
