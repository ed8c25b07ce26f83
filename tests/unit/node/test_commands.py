from __future__ import annotations

from pathlib import Path

import pytest

from mizzen.node.commands import check_commands
from mizzen.resources.loading import load
from mizzen.resources.problems import Level, Position

WORKLOAD = """\
apiVersion: mizzen.dev/v1alpha1
kind: Workload
metadata: {name: web}
spec:
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "bin").mkdir()
    for name, mode in (("run", 0o755), ("plain", 0o644)):
        (tmp_path / "bin" / name).write_text("#!/bin/sh\n")
        (tmp_path / "bin" / name).chmod(mode)
    return tmp_path


def found(folder: Path, spec: str, path: str = "/usr/bin:/bin") -> list[tuple[str, str]]:
    """Returns the field and the message of each problem of a Workload in ``folder``."""
    loaded = load(WORKLOAD + spec, str(folder / "web.yaml"))
    assert loaded.problems == ()
    return [(problem.path, problem.message) for problem in check_commands(loaded.resources, {"PATH": path})]


@pytest.mark.parametrize(
    "spec",
    [
        "  command: [sh]",
        "  command: [/bin/sh]",
        "  command: [bin/run]",
        "  command: [./run]\n  workingDir: bin",
        "  command: [run]\n  env: [{name: PATH, value: 'bin:$(PATH)'}]",
        "  command: [$(TOOL)]\n  env: [{name: TOOL, value: sh}]",
        "  command: [app-$(PORT)]",
        "  command: [app]\n  env: [{name: PATH, value: $(HOSTNAME)/bin}]",
    ],
)
def test_what_can_be_run_or_is_not_known_before_the_start(folder: Path, spec: str) -> None:
    assert found(folder, spec) == []


@pytest.mark.parametrize(
    ("spec", "field", "message"),
    [
        ("  command: [run]", "spec.command[0]", "command not found: run"),
        ("  command: [./run]", "spec.command[0]", "command not found: ./run"),
        ("  command: [sh]\n  env: [{name: PATH, value: bin}]", "spec.command[0]", "command not found: sh"),
        ("  command: [bin/plain]", "spec.command[0]", "permission denied: bin/plain"),
        ("  command: [bin]\n  env: [{name: PATH, value: .}]", "spec.command[0]", "permission denied: bin"),
        ("  command: [sh]\n  workingDir: gone", "spec.workingDir", "the working directory {}/gone does not exist"),
        ("  command: [sh]\n  workingDir: bin/run", "spec.workingDir", "the working directory {}/bin/run is not a "),
    ],
)
def test_what_cannot_be_run(folder: Path, spec: str, field: str, message: str) -> None:
    [(path, told)] = found(folder, spec)
    assert path == field
    assert told.startswith(message.format(folder))


def test_all_are_found_at_once_each_with_its_place(folder: Path) -> None:
    text = f"{WORKLOAD}  command: [nothing]\n---\n{WORKLOAD.replace('web', 'api')}  command:\n  - none/such\n"
    problems = check_commands(load(text, str(folder / "web.yaml")).resources, {"PATH": ""}, Level.WARNING)
    assert [problem.position for problem in problems] == [
        Position(str(folder / "web.yaml"), 5, 13),
        Position(str(folder / "web.yaml"), 12, 5),
    ]
    assert {problem.level for problem in problems} == {Level.WARNING}
    assert problems[1].hint == f"there is no {folder}/none/such; is it installed, and written correctly?"
