"""The example of TCP traffic shifting, as its README says it."""

from __future__ import annotations

import re

import pytest
from tests.support.meshes import ROOT, running

pytestmark = [pytest.mark.e2e, pytest.mark.envoy, pytest.mark.timeout(120)]
EXAMPLE = ROOT / "examples" / "tcp-echo"


def test_the_readme_of_tcp_echo() -> None:
    commands = re.findall(r"^    mizzen (.+)$", (EXAMPLE / "README.md").read_text(), re.MULTILINE)
    assert commands.pop(0) == "up examples/tcp-echo"
    with running(EXAMPLE) as mesh:
        said = [mesh.cli(*command.split(), cwd=ROOT).stdout for command in commands]
    counts = [dict(line.split() for line in text.splitlines()) for text in said if text.startswith(("one", "two"))]
    assert counts[0].keys() == {"one", "two"}
    assert counts[1] == {"one": "100"}
    assert 5 <= int(counts[2]["two"]) <= 40
