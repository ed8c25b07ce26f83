"""Where the output of a child goes: a log file of bounded size, and its last lines in memory for messages.

A child writes into a pipe and the node writes the file, not the child: so a full disk costs log lines (which the log
then says) and never a failed ``print`` in an application.
"""

from __future__ import annotations

import contextlib
import os
from collections import deque
from pathlib import Path

_KEPT_LINES = 30
_LONGEST_LINE = 2000


class Output:
    """The output of one child, and of those that are started after it under the same name.

    The file is kept below ``limit`` bytes: at the limit it is renamed to ``NAME.1``, which replaces the one before.
    """

    def __init__(self, path: Path, limit: int = 10_000_000) -> None:
        self._path = path
        self._limit = limit
        self._file: int | None = None
        self._size = 0
        self._lost = 0
        self._lines: deque[str] = deque(maxlen=_KEPT_LINES)
        self._partial = b""

    @property
    def path(self) -> Path:
        return self._path

    @property
    def tail(self) -> list[str]:
        """The last lines, oldest first, an unfinished one included."""
        partial = [self._partial.decode(errors="replace")] if self._partial else []
        return [*self._lines, *partial]

    def write(self, data: bytes) -> None:
        """Appends to the file and remembers the lines; raises nothing: what cannot be written is counted as lost."""
        self._remember(data)
        try:
            if self._file is None or self._size + len(data) > self._limit:
                self._open(len(data))
            if self._lost:
                self._append(f"[mizzen: {self._lost} bytes of this log are lost; was the disk full?]\n".encode())
                self._lost = 0
            self._append(data)
        except OSError:
            self._lost += len(data)

    def fresh(self) -> None:
        """Forgets the lines in memory: what comes next is another process."""
        self._lines.clear()
        self._partial = b""

    def close(self) -> None:
        """Closes the file; a later write opens it again."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _open(self, coming: int) -> None:
        self.close()
        if self._path.exists() and self._path.stat().st_size + coming > self._limit:
            self._path.replace(self._path.with_name(self._path.name + ".1"))
        self._file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._size = os.fstat(self._file).st_size

    def _append(self, data: bytes) -> None:
        assert self._file is not None
        written = os.write(self._file, data)
        self._size += written
        if written < len(data):  # the disk is almost full
            self._lost += len(data) - written

    def _remember(self, data: bytes) -> None:
        *lines, rest = (self._partial + data).split(b"\n")
        self._lines.extend(line[:_LONGEST_LINE].decode(errors="replace") for line in lines)
        self._partial = rest[:_LONGEST_LINE]


class LossyText:
    """As much of a text file as a logger needs, on a descriptor: what cannot be written is lost and raises nothing.

    For the node's own log: a line that a full disk does not take must not end the mesh.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError):
            os.write(self._descriptor, text.encode(errors="replace"))
        return len(text)

    def flush(self) -> None:
        """Does nothing: nothing is held back."""
