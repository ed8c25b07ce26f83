"""Every command block in README does what README says, in the order in which it stands there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.meshes import ROOT

from mizzen.resources.loading import load

pytestmark = [pytest.mark.e2e, pytest.mark.envoy, pytest.mark.timeout(300)]

README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)


def blocks(language: str) -> list[str]:
    return [text for kind, text in BLOCKS if kind == language]


def run(script: str, env: dict[str, str]) -> str:
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """A user's environment, with a home for state of its own; the demo's Python is the one that runs the tests."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("MIZZEN_", "PYTEST_"))}
    return own | {"XDG_STATE_HOME": str(tmp_path), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}


def test_make_demo_and_make_test(env: dict[str, str]) -> None:
    demo, test, *_ = blocks("sh")
    assert (demo, test) == ("make demo\n", "make test\n")
    # The demo stays until Ctrl-C; with --check it does the same and ends. The tests are those that run now.
    assert "The demo works." in run(f"{demo.strip()} ARGS=--check", env)
    assert "pytest" in run(f"{test.strip()} --dry-run", env)


def test_the_tour(env: dict[str, str]) -> None:
    """The blocks of "Use it", as one session in one shell."""
    tour = blocks("sh")[2:]
    assert len(tour) == 3
    try:
        printed = run("\n".join(tour), env)
    finally:
        subprocess.run(["mizzen", "down", "--name", "readme"], env=env, capture_output=True, check=False)
    assert "6 of 6 instances ready" in printed
    assert "virtualservice.networking.istio.io/reviews created" in printed
    assert '"color": "red"' in printed


def test_the_resources_are_right() -> None:
    (text,) = blocks("yaml")
    loaded = load(text, "README.md")
    assert loaded.problems == ()
    assert [str(resource.key) for resource in loaded.resources] == [
        "Service default/hello",
        "Workload default/hello-v1",
    ]


def test_the_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\((?!http)([^)#]+)", README):
        assert (ROOT / target).exists(), target
