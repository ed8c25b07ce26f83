"""Hears of Podman's events before Podman tells them.

Where Podman keeps its events in a file (`events_logger = "file"`, on hosts without systemd's journal), its service looks
into that file four times a second, so its stream of events is up to 250 ms late. inotify tells of each line at once. The
stream remains what counts: whatever is missed here comes by it.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import socket
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import structlog

from mizzen.node.engine.decoding import Event, decode_logged

log = structlog.get_logger(__name__)

_NAME = "events.log"
_CREDENTIALS = struct.Struct("iII")  # struct ucred of unix(7): process, user, group
_MODIFIED, _MOVED_HERE, _CREATED = 0x2, 0x80, 0x100  # inotify(7)
_LONGEST_NOTICES = 64 * 1024


def find_log(engine: Path) -> Path | None:
    """Returns the file of the Podman whose service listens at a socket, or None: there is none, or it is not for us to
    see. The service must be sending events to somebody, since it has the file open only then.
    """
    with contextlib.suppress(OSError):
        for link in Path(f"/proc/{_listener(engine)}/fd").iterdir():
            with contextlib.suppress(OSError):  # closed meanwhile
                target = link.readlink()
                if target.name == _NAME and target.is_file():
                    return target
    return None


@contextlib.contextmanager
def following(file: Path, heed: Callable[[Event], None]) -> Iterator[None]:
    """Calls ``heed`` with each event that is written to the file while the context lasts."""
    try:
        follower = _Follower(file, heed)
    except OSError as error:
        log.warning("events of podman will be up to 250 ms late", file=str(file), error=str(error))
        yield
        return
    try:
        yield
    finally:
        follower.close()


class _Follower:
    def __init__(self, file: Path, heed: Callable[[Event], None]) -> None:
        self._file = file
        self._heed = heed
        self._open = file.open("rb")
        try:
            self._open.seek(0, os.SEEK_END)
            # Of the folder: Podman replaces the file when it has become large.
            self._notices = _watch(file.parent)
        except OSError:
            self._open.close()
            raise
        self._rest = b""
        asyncio.get_running_loop().add_reader(self._notices, self._noticed)

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._notices)
        os.close(self._notices)
        self._open.close()

    def _noticed(self) -> None:
        os.read(self._notices, _LONGEST_NOTICES)
        self._take()
        with contextlib.suppress(FileNotFoundError):
            if self._file.stat().st_ino != os.fstat(self._open.fileno()).st_ino:
                self._reopen()

    def _take(self) -> None:
        *lines, self._rest = (self._rest + self._open.read()).split(b"\n")
        for line in lines:
            # A line in a form that is not known comes again by the stream, in one that is.
            with contextlib.suppress(ValueError):
                self._heed(decode_logged(line))

    def _reopen(self) -> None:
        self._open.close()
        self._open = self._file.open("rb")
        self._open.seek(0, os.SEEK_END)
        self._rest = b""


def _listener(engine: Path) -> int:
    """Returns the process that listens at a socket."""
    with socket.socket(socket.AF_UNIX) as made:
        made.setblocking(False)
        made.connect(str(engine))
        pid: int = _CREDENTIALS.unpack(made.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))[0]
        return pid


def _watch(folder: Path) -> int:
    """Returns a descriptor that is readable when something in a folder changes. Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor: int = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
    if descriptor < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    if libc.inotify_add_watch(descriptor, os.fsencode(folder), _MODIFIED | _MOVED_HERE | _CREATED) < 0:
        error = ctypes.get_errno()
        os.close(descriptor)
        raise OSError(error, os.strerror(error), str(folder))
    return descriptor
