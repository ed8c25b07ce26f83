"""The files of examples/gateways: they fit together, and the README says all of them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mizzen.resources.loading import load_paths
from mizzen.resources.problems import errors
from mizzen.resources.references import check_references

EXAMPLE = Path(__file__).parents[3] / "examples" / "gateways"
FILES = sorted((EXAMPLE / "networking").glob("*.yaml"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_each_file_fits_to_the_services(file: Path) -> None:
    # secure-ingress.yaml and mutual-ingress.yaml change what ingress.yaml began.
    routes = load_paths([EXAMPLE / "networking" / "ingress.yaml"]).resources
    loaded = load_paths([EXAMPLE / "gateways.yaml", file])
    written = {one.key: one for one in (*routes, *loaded.resources)}
    assert loaded.problems == ()
    assert errors(check_references(written.values())) == []


def test_the_readme_says_how_to_apply_each() -> None:
    said = re.findall(r"^    mizzen apply --wait -f examples/gateways/networking/(.+)$", _readme(), re.MULTILINE)
    assert sorted({*said}) == [file.name for file in FILES]


def _readme() -> str:
    return (EXAMPLE / "README.md").read_text()
