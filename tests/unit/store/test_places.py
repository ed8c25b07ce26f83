"""Which directories are watched."""

from __future__ import annotations

from pathlib import Path

import pytest

from mizzen.store.places import places


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "mesh").mkdir()
    (tmp_path / "mesh" / "a.yaml").touch()
    return tmp_path


def _paths(*paths: Path, files: tuple[Path, ...] = ()) -> set[Path]:
    return {place.path for place in places(paths, files)}


def test_a_directory_and_where_it_stands(root: Path) -> None:
    assert _paths(root / "mesh") == {root / "mesh", root}


def test_a_file_is_seen_from_its_directory(root: Path) -> None:
    assert _paths(root / "mesh" / "a.yaml") == {root / "mesh"}


def test_what_does_not_exist_is_awaited_where_it_would_begin(root: Path) -> None:
    assert _paths(root / "x" / "y" / "z.yaml") == {root}


def test_a_directory_that_was_made_anew_is_another_place(root: Path) -> None:
    before = places([root / "mesh"])
    (root / "mesh").rename(root / "old")
    (root / "mesh").mkdir()
    after = places([root / "mesh"])
    assert before != after
    assert {place.path for place in before} == {place.path for place in after}


def test_links_are_watched_where_they_are_and_where_they_lead(root: Path) -> None:
    """A config map: the file is a link through ..data, which is a link that is switched."""
    (root / "..one").mkdir()
    (root / "..one" / "b.yaml").touch()
    (root / "..data").symlink_to("..one")
    (root / "b.yaml").symlink_to("..data/b.yaml")
    assert {root, root / "..one"} <= _paths(root, files=(root / "b.yaml",))


def test_a_link_on_the_way_is_watched(root: Path) -> None:
    (root / "releases" / "1").mkdir(parents=True)
    (root / "current").symlink_to("releases/1")
    assert {root, root / "releases", root / "releases" / "1"} <= _paths(root / "current" / "mesh")


def test_a_circle_of_links_ends(root: Path) -> None:
    (root / "x").symlink_to("y")
    (root / "y").symlink_to("x")
    assert _paths(root / "x") == {root}


def test_nothing_to_watch() -> None:
    assert places([]) == frozenset()
