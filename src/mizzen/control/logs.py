"""The logs of workloads and proxies: their last lines, and what is appended from now on.

The node writes the files (and begins a new one when one is large); here they are read. What a follower waits for is a
change of the folder, not the time.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import BinaryIO

from watchfiles import awatch

_BLOCK = 65536


async def tail(files: Mapping[str, Path], lines: int) -> AsyncIterator[bytes]:
    """Yields the last ``lines`` lines of each file, all if negative; with several files, after the name of each."""
    for name, path in files.items():
        yield _prefixed(last_lines(path, lines), name if len(files) > 1 else "")


async def follow(files: Mapping[str, Path], lines: int) -> AsyncIterator[bytes]:
    """Yields what :func:`tail` does, then whatever is appended, for as long as somebody reads."""
    folders = {path.parent for path in files.values()}
    prefixes = {name: name if len(files) > 1 else "" for name in files}
    followed = {name: _Followed(path) for name, path in files.items()}
    try:
        async for part in tail(files, lines):
            yield part
        async for _ in awatch(*folders, recursive=False, debounce=50, step=20):
            for name, file in followed.items():
                if data := file.appended():
                    yield _prefixed(data, prefixes[name])
    finally:
        for file in followed.values():
            file.close()


def last_lines(path: Path, lines: int) -> bytes:
    """Returns the last lines of a file, reading no more of it than they need; nothing if there is no file."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return b""
    with file:
        if lines < 0:
            return file.read()
        at = file.seek(0, 2)
        found = b""
        # One line end more than lines: the one before the first of them.
        while at and found.count(b"\n") <= lines:
            start = max(0, at - _BLOCK)
            file.seek(start)
            found = file.read(at - start) + found
            at = start
    return b"".join(found.splitlines(keepends=True)[-lines:]) if lines else b""


class _Followed:
    """A file from its end on; when it is replaced by a new one, that from its beginning."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = _opened(path)
        if self._file:
            self._file.seek(0, 2)

    def appended(self) -> bytes:
        data = self._rest()
        # What was written to the old file before it was renamed is read first.
        if self._replaced():
            self.close()
            self._file = _opened(self._path)
            return data + self._rest()
        return data

    def _rest(self) -> bytes:
        return self._file.read() if self._file else b""

    def close(self) -> None:
        if self._file:
            self._file.close()

    def _replaced(self) -> bool:
        try:
            now = self._path.stat()
        except FileNotFoundError:
            return False
        if self._file is None:
            return True
        return not _same_file(self._file, now.st_dev, now.st_ino)


def _opened(path: Path) -> BinaryIO | None:
    try:
        return path.open("rb")
    except FileNotFoundError:
        return None


def _same_file(file: BinaryIO, device: int, inode: int) -> bool:
    status = os.fstat(file.fileno())
    return (status.st_dev, status.st_ino) == (device, inode)


def _prefixed(data: bytes, name: str) -> bytes:
    if not name:
        return data
    return b"".join(f"[{name}] ".encode() + line for line in data.splitlines(keepends=True))
