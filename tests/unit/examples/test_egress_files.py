"""The resource files of examples/egress are right by themselves and together; tests/e2e/test_egress.py runs them."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.meshes import ROOT
from tests.support.worlds import read

from mizzen.resources.references import check_references

EGRESS = ROOT / "examples" / "egress"


@pytest.mark.parametrize("file", sorted((EGRESS / "networking").glob("*.yaml")), ids=lambda path: path.stem)
def test_a_file_has_no_problem_beside_the_mesh(file: Path) -> None:
    names = ["example-com"] if file.stem == "timeout" else []
    others = [(EGRESS / "networking" / f"{name}.yaml").read_text() for name in names]
    assert check_references(read((EGRESS / "mesh.yaml").read_text(), *others, file.read_text())) == []


@pytest.mark.parametrize("file", sorted((EGRESS / "gateway").glob("*.yaml")), ids=lambda path: path.stem)
def test_a_file_has_no_problem_beside_the_gateway(file: Path) -> None:
    others = [] if file.stem == "gateway" else [(EGRESS / "gateway" / "gateway.yaml").read_text()]
    assert check_references(read((EGRESS / "mesh.yaml").read_text(), *others, file.read_text())) == []


def test_the_readme_names_every_file() -> None:
    told = (EGRESS / "README.md").read_text()
    assert [path.name for path in EGRESS.glob("**/*.yaml") if path.name not in told] == []
