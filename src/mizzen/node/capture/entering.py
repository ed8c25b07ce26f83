"""Work inside another network namespace, from a process that stays where it is.

A namespace belongs to a thread. All work is therefore done in a thread that enters the namespace, does it, and ends:
no thread of the program ever has to find its way back. A socket stays in the namespace where it was made, and a
process starts in that of the thread that starts it. Used by ``namespaces.py``, by probes, and by the command line's
port-forward.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import socket
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

_NEW_NETWORK = 0x40000000  # CLONE_NEWNET of linux/sched.h; os.setns and os.unshare are of Python 3.12

Result = TypeVar("Result")


def new_namespace(prepare: Callable[[], None]) -> int:
    """Makes a network namespace and runs ``prepare`` in it; returns a descriptor that keeps it alive.

    The namespace has no name and no process: when the descriptor is closed, by the end of this process at the latest,
    and nothing runs in it any more, the kernel removes it with its links. Raises OSError.
    """

    def make() -> int:
        _system_call("unshare", _NEW_NETWORK)
        prepare()
        return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)

    return _in_own_thread(make)


def in_namespace(namespace: int, work: Callable[[], Result]) -> Result:
    """Returns what ``work`` returns when it runs inside the namespace of the descriptor; blocks until it has.

    Raises OSError if the namespace cannot be entered, and whatever ``work`` raises.
    """

    def enter() -> Result:
        _system_call("setns", namespace, _NEW_NETWORK)
        return work()

    return _in_own_thread(enter)


def in_each_namespace(paths: Iterable[str], work: Callable[[str], object]) -> None:
    """Runs ``work`` with its path inside each of the namespaces, "" for this one, without those that are gone; blocks until
    it has.

    Raises whatever ``work`` raises.
    """

    def enter() -> None:
        for path in sorted(paths):  # this one first: there is no way back
            if path:
                try:
                    with Path(path).open("rb") as namespace:
                        _system_call("setns", namespace.fileno(), _NEW_NETWORK)
                except OSError:
                    continue
            work(path)

    _in_own_thread(enter)


def namespace_path(namespace: int) -> str:
    """Returns a path by which other processes can enter the namespace, for as long as this process holds it."""
    return f"/proc/{os.getpid()}/fd/{namespace}"


def socket_in(
    namespace: int,
    family: socket.AddressFamily = socket.AF_INET,
    kind: socket.SocketKind = socket.SOCK_STREAM,
    *,
    mark: int = 0,
) -> socket.socket:
    """Makes a non-blocking, unconnected socket inside the namespace of the descriptor; takes some 0.1 ms.

    Its packets bear ``mark``, for the rules of that namespace.
    """
    made = in_namespace(namespace, lambda: socket.socket(family, kind))
    try:
        made.setblocking(False)
        if mark:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, mark)
    except BaseException:
        made.close()
        raise
    return made


async def connect_in(netns_path: str, host: str, port: int, *, timeout: float = 10.0) -> socket.socket:  # noqa: ASYNC109
    """Connects to ``host`` (an IPv4 address) and ``port`` inside the namespace of ``netns_path``, "" for this one.

    Returns the connected, non-blocking socket. The connection is this process's, not the application's: to 127.0.0.1
    it reaches the application itself and passes no proxy. Raises OSError; TimeoutError after ``timeout`` seconds.
    """
    loop = asyncio.get_running_loop()
    made = await loop.run_in_executor(None, _socket_at, netns_path)
    try:
        async with asyncio.timeout(timeout):
            await loop.sock_connect(made, (host, port))
    except BaseException:
        made.close()
        raise
    return made


def _socket_at(netns_path: str) -> socket.socket:
    if not netns_path:
        made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        made.setblocking(False)
        return made
    with Path(netns_path).open("rb") as namespace:
        return socket_in(namespace.fileno())


def _in_own_thread(work: Callable[[], Result]) -> Result:
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="netns") as thread:
        return thread.submit(work).result()


def _system_call(name: str, *arguments: int) -> None:
    library = ctypes.CDLL(None, use_errno=True)
    if getattr(library, name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")
