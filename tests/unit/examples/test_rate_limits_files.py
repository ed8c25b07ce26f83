"""The files of examples/rate-limits are right, also beside each other, and what docs/rate-limits.md shows is, too."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.support.worlds import read

from mizzen.resources.loading import load
from mizzen.resources.references import check_references

ROOT = Path(__file__).parents[3]
EXAMPLE = ROOT / "examples" / "rate-limits"


@pytest.mark.parametrize("name", ["all", "per-user", "shadow"])
def test_nothing_is_wrong_with_a_file(name: str) -> None:
    texts = [(EXAMPLE / file).read_text() for file in ("mesh.yaml", f"limits/{name}.yaml")]
    assert check_references(read(*texts)) == []


def test_the_document_shows_what_works() -> None:
    whole, *parts = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / "rate-limits.md").read_text(), re.DOTALL)
    head, _, _ = whole.partition("spec:\n")
    assert len(parts) == 2
    for text in (whole, *(head + part for part in parts)):
        assert load(text, "rate-limits.md").problems == ()
