from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.unit.cli.fakes import out, run

GOOD = """\
apiVersion: v1
kind: Service
metadata: {name: reviews}
spec:
  selector: {app: reviews}
  ports: [{name: http, port: 9080}]
---
apiVersion: mizzen.dev/v1alpha1
kind: Workload
metadata: {name: reviews-v1, labels: {app: reviews, version: v1}}
spec:
  command: [sleep, "9"]
  ports: [{containerPort: 9080}]
"""
ROUTE = """\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews}
spec:
  hosts: [reviews]
  http:
  - route: [{destination: {host: reviews, subset: v7}}]
"""


@pytest.fixture
def folder() -> Path:
    (Path.cwd() / "good.yaml").write_text(GOOD)
    return Path.cwd()


def test_good_files(folder: Path) -> None:
    assert out("validate", "-f", ".") == "2 resources in 1 file: valid\n"
    assert json.loads(out("validate", "-f", ".", "-o", "json")) == {"valid": True, "resources": 2, "problems": []}


def test_each_mistake_is_listed_with_its_place(folder: Path) -> None:
    (folder / "bad.yaml").write_text(GOOD.replace("selector", "selektor").replace("command", "comand"))
    result = run("validate", "-f", "bad.yaml")
    assert (result.exit_code, result.stdout) == (1, "")
    lines = result.stderr.splitlines()
    assert [line.split(": ")[0] for line in lines] == ["bad.yaml:5:3", "bad.yaml:12:3"]
    assert "selector" in lines[0]
    assert "command" in lines[1]


def test_resources_are_checked_against_each_other(folder: Path) -> None:
    (folder / "route.yaml").write_text(ROUTE)
    result = run("validate", "-f", ".", "-o", "json")
    assert result.exit_code == 1
    answer = json.loads(result.stdout)
    assert answer["valid"] is False
    assert [(problem["code"], problem["position"]["line"]) for problem in answer["problems"]] == [("IST0101", 7)]


def test_one_resource_in_two_files_is_a_mistake(folder: Path) -> None:
    (folder / "again.yaml").write_text(GOOD)
    result = run("validate", "-f", ".", "-o", "json")
    assert result.exit_code == 1
    assert [problem["code"] for problem in json.loads(result.stdout)["problems"]] == ["DuplicateResource"] * 2


def test_hidden_files_of_a_folder_are_not_read(folder: Path) -> None:
    (folder / ".#good.yaml").write_text("a: [")
    assert out("validate", "-f", ".") == "2 resources in 1 file: valid\n"


def test_standard_input() -> None:
    result = run("validate", "-f", "-", stdin="a: [")
    assert result.exit_code == 1
    assert result.stderr.startswith("<stdin>:2:1: error: not YAML")


def test_the_namespace_of_what_names_none() -> None:
    assert run("validate", "-f", "-", "-n", "shop", stdin=GOOD).exit_code == 0


def test_what_cannot_run_here_is_a_warning_as_files_are_often_checked_elsewhere(folder: Path) -> None:
    (folder / "good.yaml").write_text(GOOD.replace("sleep", "no-such-command"))
    result = run("validate", "-f", ".")
    assert result.exit_code == 0
    assert result.stderr.startswith(
        "good.yaml:12:13: warning: Workload default/reviews-v1: spec.command[0]: command not"
    )


def test_files_may_be_named_as_arguments_too(folder: Path) -> None:
    (folder / "route.yaml").write_text(ROUTE)
    assert out("validate", "good.yaml") == out("validate", "-f", "good.yaml")
    assert run("validate", "-f", "good.yaml", "route.yaml").output == run("validate", ".").output
    result = run("validate")
    assert (result.exit_code, "Name files or folders to check." in result.stderr) == (2, True)
