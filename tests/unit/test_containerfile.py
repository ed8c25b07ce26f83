"""The image of Mizzen copies files that are there and not left out of its context. Building it takes a network."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


def test_what_is_copied_is_in_the_context() -> None:
    lines = re.findall(r"^COPY (?!--)(.+) \S+$", (ROOT / "Containerfile").read_text(), re.MULTILINE)
    copied = {source for line in lines for source in line.split()}
    ignored = (ROOT / ".containerignore").read_text().splitlines()
    assert {line[2:] for line in ignored if line.startswith("!/")} == copied
    assert [source for source in copied if not (ROOT / source).exists()] == []
