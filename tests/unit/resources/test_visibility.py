from __future__ import annotations

import pytest

from mizzen.resources.visibility import Visibility, visibility


@pytest.mark.parametrize(
    ("export_to", "own", "other"),
    [
        ([], Visibility.PUBLIC, Visibility.PUBLIC),
        (["*"], Visibility.PUBLIC, Visibility.PUBLIC),
        (["."], Visibility.PRIVATE, None),
        (["own"], Visibility.PRIVATE, None),
        (["~"], None, None),
        (["~", "."], None, None),
        (["*", "~"], Visibility.PUBLIC, Visibility.PUBLIC),
        (["other"], None, Visibility.NAMED),
        ([".", "other"], Visibility.PRIVATE, Visibility.NAMED),
        (["own", "other"], Visibility.PRIVATE, Visibility.NAMED),
    ],
)
def test_exported_to(export_to: list[str], own: Visibility | None, other: Visibility | None) -> None:
    assert visibility(export_to, "own", "own") == own
    assert visibility(export_to, "own", "other") == other
    if "*" not in export_to and export_to:
        assert visibility(export_to, "own", "third") is None
