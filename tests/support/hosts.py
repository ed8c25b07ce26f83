"""A host of its own on this machine, for what writes all over the host that it runs on: a container engine, a mesh.

It has a network of its own, with nothing but loopback, and mounts of its own, with nothing in the folders where
engines keep what all of them on a host share (Podman: leases, name servers, namespaces). The other files and the
numbers of processes are those of the machine. So an engine finds nothing of another's, and when the host is switched
off nothing of it is left but an empty folder for caches.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mizzen.node.capture import entering

_NEW_MOUNTS, _NEW_NETWORK = 0x00020000, 0x40000000  # CLONE_NEWNS and CLONE_NEWNET of linux/sched.h
_OWN_WORKING_FOLDER = 0x00000200  # CLONE_FS
_CACHE = Path("/var/lib/containers")
# The namespaces last as long as the shell, and it as long as its input: they end with a test that is killed.
_HOLDER = f"for folder in /run {_CACHE}; do mount -t tmpfs tmpfs $folder; done; ip link set lo up; echo on; exec cat"


@dataclass(frozen=True)
class Host:
    """A host that is on; ``holder`` is the process that keeps its namespaces."""

    holder: int

    @property
    def netns(self) -> str:
        return f"/proc/{self.holder}/ns/net"

    @property
    def mounts(self) -> str:
        return f"/proc/{self.holder}/ns/mnt"

    def command(self, *command: str, folder: Path | None = None) -> list[str]:
        """Returns the command line that runs a command on this host, in ``folder`` or else in the current one."""
        # Not nsenter's own option: it would lead to the folder as it is mounted outside.
        inside = ["env", f"--chdir={folder or Path.cwd()}", *command]
        return ["nsenter", f"--net={self.netns}", f"--mount={self.mounts}", *inside]

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """Moves this thread, and with it all threads and processes that it starts meanwhile, to this host."""
        here = Path.cwd()
        with contextlib.ExitStack() as stack:
            own_network, own_mounts = (_opened(stack, f"/proc/thread-self/ns/{kind}") for kind in ("net", "mnt"))
            network, mounts = _opened(stack, self.netns), _opened(stack, self.mounts)
            # A thread that shares its working folder with others may not change its mounts.
            entering._system_call("unshare", _OWN_WORKING_FOLDER)
            try:
                _enter(network, mounts, here)
                yield
            finally:
                _enter(own_network, own_mounts, here)

    def processes(self) -> set[int]:
        """Returns the processes that run on this host, but for its holder and what has mounts of its own: containers."""
        mounts = _target(Path(self.mounts))
        folders = [folder for folder in Path("/proc").iterdir() if folder.name.isdigit()]
        found = {int(folder.name) for folder in folders if mounts and _target(folder / "ns" / "mnt") == mounts}
        return found - {self.holder, os.getpid()}


@contextlib.contextmanager
def played_host() -> Iterator[Host]:
    """A host that is on while the context lasts; whoever starts something on it also ends it."""
    # It stays: whoever removed it would take it from under the engines of tests that run beside this one.
    _CACHE.mkdir(mode=0o700, parents=True, exist_ok=True)
    unshare = ["unshare", "--net", "--mount", "--propagation", "private", "sh", "-euc", _HOLDER]
    # In a group of its own, so that Ctrl-C does not switch it off before what runs on it has ended.
    with subprocess.Popen(unshare, stdin=subprocess.PIPE, stdout=subprocess.PIPE, process_group=0) as holder:
        try:
            assert holder.stdout
            assert holder.stdout.readline() == b"on\n", "no host can be played on this machine"
            yield Host(holder.pid)
        finally:
            holder.kill()


def _enter(network: int, mounts: int, folder: Path) -> None:
    entering._system_call("setns", mounts, _NEW_MOUNTS)
    entering._system_call("setns", network, _NEW_NETWORK)
    os.chdir(folder)  # It was left for the root of the mounts.


def _opened(stack: contextlib.ExitStack, path: str) -> int:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    stack.callback(os.close, descriptor)
    return descriptor


def _target(link: Path) -> str:
    try:
        return str(link.readlink())
    except OSError:
        return ""  # It has ended; a zombie is nowhere any more.
