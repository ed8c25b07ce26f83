"""Which directories to watch, so that no change of some files and directories goes unseen. No asyncio.

A directory is watched for what happens in it. To see that a file is replaced, its directory is watched; that a directory
appears or is replaced, its parent; that a link is switched, as config maps and deployment tools do, the directory of the
link, of every link on the way, and of what it leads to.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

# The number of links that Linux follows before it takes them for a circle.
_MOST_LINKS = 40


class Place(NamedTuple):
    """A directory as it is now: one that was removed and made anew is another place, and must be watched anew."""

    path: Path
    device: int
    inode: int


def places(paths: Iterable[Path], files: Iterable[Path] = ()) -> frozenset[Place]:
    """Returns the directories to watch for ``paths``, files or directories that need not exist, and ``files``.

    Of ``files``, which lie in those directories, only the links are looked at.
    """
    found: set[Path] = set()
    for path in paths:
        absolute = Path(os.path.abspath(path))  # noqa: PTH100 - resolve() would hide the links
        found |= {absolute, *_around(absolute)}
    for file in files:
        if file.is_symlink():
            found.update(_around(file))
    return frozenset(place for path in found if (place := _place(path)))


def _around(path: Path, links: int = 0) -> Iterator[Path]:
    """Yields where the path's entry is, or would appear, and the same for every link on its way."""
    yield _existing_parent(path)
    if links == _MOST_LINKS:
        return
    for step in (path, *path.parents):
        if step.is_symlink():
            target = Path(os.path.normpath(step.parent / step.readlink()))
            yield step.parent
            yield target
            yield from _around(target, links + 1)


def _existing_parent(path: Path) -> Path:
    return next((parent for parent in path.parents if parent.is_dir()), path)


def _place(path: Path) -> Place | None:
    try:
        facts = path.stat()
    except OSError:
        return None
    return Place(path, facts.st_dev, facts.st_ino) if path.is_dir() else None
