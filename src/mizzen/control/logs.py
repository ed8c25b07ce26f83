"""The logs of workloads and proxies: their last lines, and what is appended from now on.

The node writes the files (and begins a new one when one is large); here they are read. What a follower waits for is a
change of the folder; it looks now and then all the same, for a change that came before the watch began.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import BinaryIO

from watchfiles import awatch

_BLOCK = 65536
_LOOK_AGAIN = 250  # milliseconds


async def tail(files: Mapping[str, Path], lines: int) -> AsyncIterator[bytes]:
    """Yields the last ``lines`` lines of each file, all if negative; with several files, after the name of each."""
    for name, path in files.items():
        yield _prefixed(last_lines(path, lines), name if len(files) > 1 else "")


async def follow(
    files: Mapping[str, Path], lines: int, files_now: Callable[[], Mapping[str, Path]] = dict
) -> AsyncIterator[bytes]:
    """Yields what :func:`tail` does, then whatever is appended, each byte once, for as long as somebody reads.

    ``files_now`` tells which files there are at any later time; what comes to be in new ones is yielded, too.
    """
    folders = {path.parent for path in files.values()}
    known = {path: path.stat() for folder in folders for path in folder.iterdir()}
    followed = {name: _Followed(path) for name, path in files.items()}
    try:
        for name, file in followed.items():
            yield _prefixed(file.last_lines(lines), name if len(followed) > 1 else "")
        async for _ in awatch(
            *folders, recursive=False, debounce=50, step=20, rust_timeout=_LOOK_AGAIN, yield_on_timeout=True
        ):
            for name, path in files_now().items():
                if name not in followed:
                    followed[name] = _Followed(path, after=known.get(path))
            for name, file in followed.items():
                # Of several files whole lines are told, so that none gets into the middle of another's.
                if data := file.appended(whole_lines=len(followed) > 1):
                    yield _prefixed(data, name if len(followed) > 1 else "")
    finally:
        for file in followed.values():
            file.close()


def last_lines(path: Path, lines: int) -> bytes:
    """Returns the last lines of a file, reading no more of it than they need; nothing if there is no file."""
    file = _opened(path)
    if file is None:
        return b""
    with file:
        return _last_lines(file, lines)


def _last_lines(file: BinaryIO, lines: int) -> bytes:
    """Reads the last lines of a file, and leaves it where they end: what is appended meanwhile comes after them."""
    if lines < 0:
        return file.read()
    at = end = file.seek(0, 2)
    found = b""
    # One line end more than lines: the one before the first of them.
    while at and found.count(b"\n") <= lines:
        start = max(0, at - _BLOCK)
        file.seek(start)
        found = file.read(at - start) + found
        at = start
    file.seek(end)
    return b"".join(_lines(found)[-lines:]) if lines else b""


def _lines(data: bytes) -> list[bytes]:
    """Splits at line feeds alone, with them: a progress bar's carriage returns do not end a line of a log."""
    parts = data.split(b"\n")
    return [*(part + b"\n" for part in parts[:-1]), *([parts[-1]] if parts[-1] else [])]


class _Followed:
    """A file, its last lines and what comes after them; when it is replaced by a new one, that from its beginning.

    ``after`` leaves out what it held when it was as told there.
    """

    def __init__(self, path: Path, after: os.stat_result | None = None) -> None:
        self._path = path
        self._file = _opened(path)
        self._unfinished = b""
        if self._file and after and _same_file(self._file, after.st_dev, after.st_ino):
            self._file.seek(after.st_size)

    def last_lines(self, lines: int) -> bytes:
        return _last_lines(self._file, lines) if self._file else b""

    def appended(self, *, whole_lines: bool) -> bytes:
        data = self._unfinished + self._new()
        cut = data.rfind(b"\n") + 1 if whole_lines else len(data)
        self._unfinished = data[cut:]
        return data[:cut]

    def _new(self) -> bytes:
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
    return b"".join(f"[{name}] ".encode() + line for line in _lines(data))
