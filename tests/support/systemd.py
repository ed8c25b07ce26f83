"""A real systemd with nothing but the units of a test: the first process of namespaces of its own (processes, mounts,
network, control groups), whose changes to /etc, /var/lib and /root are gone with it.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support.polling import eventually

SYSTEMD = Path("/lib/systemd/systemd")
_OWN = (
    "sysinit",
    "basic",
    "shutdown",
    "network-online",
    "multi-user",
    "system",
    "sockets",
    "timers",
    "paths",
    "slices",
)
_BOOT = """
set -eu
mkdir "$1"
echo $$ > "$1/cgroup.procs"
exec unshare --cgroup --mount --pid --uts --ipc --net --fork --kill-child --propagation private sh -euc '
mount -t proc proc /proc
mount -t tmpfs tmpfs /run
for folder in etc var/lib root; do
    mkdir -p /run/over/$folder/up /run/over/$folder/work
    mount -t overlay overlay -o lowerdir=/$folder,upperdir=/run/over/$folder/up,workdir=/run/over/$folder/work /$folder
done
mount -t tmpfs tmpfs /sys/fs/cgroup
mount -t cgroup2 cgroup2 /sys/fs/cgroup
ip link set lo up
export container=other SYSTEMD_UNIT_PATH="$0"
exec "$1" --system --unit=multi-user.target --log-target=console --show-status=0
' "$2" "$3"
"""


@dataclass(frozen=True)
class Systemd:
    """A systemd that runs; ``leader`` is its process, ``log`` has the output of all its services."""

    leader: int
    log: Path

    def run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Runs a command beside its units."""
        line = ["nsenter", "--target", str(self.leader), "--all", f"--wdns={Path('/')}", *command]
        done = subprocess.run(line, capture_output=True, text=True, timeout=100, check=False, env=_environment())
        assert not check or done.returncode == 0, f"{' '.join(command)}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done

    def systemctl(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return self.run("systemctl", *arguments, check=check)

    def says(self, unit: str, name: str) -> str:
        """Returns a property of a unit."""
        return self.systemctl("show", "--property", name, "--value", unit).stdout.strip()


@contextlib.contextmanager
def booted(units: Path) -> Iterator[Systemd]:
    """Starts a systemd that finds its units in a folder, to which the targets are added that every system has, and what
    has services write to one file, as there is no journal.
    """
    for name in _OWN:
        (units / f"{name}.target").write_text(f"[Unit]\nDescription={name}\nDefaultDependencies=no\n")
    log = units.parent / "services.log"
    (units / "service.d").mkdir()
    (units / "service.d" / "log.conf").write_text(
        f"[Service]\nStandardOutput=append:{log}\nStandardError=append:{log}\n"
    )
    group = _own_group() / f"mizzen-systemd-{secrets.token_hex(4)}"
    boot = ["sh", "-c", _BOOT, "boot", str(group), str(units), str(SYSTEMD)]
    with log.open("ab") as output:
        process = subprocess.Popen(boot, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=_environment())
    try:
        leader = eventually(lambda: _leader(process.pid), "systemd runs")
        systemd = Systemd(leader, log)
        eventually(lambda: systemd.systemctl("is-system-running", check=False).stdout.strip() == "running", "it is up")
        yield systemd
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)
        process.wait()
        eventually(lambda: _removed(group), "nothing runs in its control group")


def missing() -> str:
    """Returns what this machine lacks for it, or nothing."""
    absent = [command for command in (str(SYSTEMD), "systemctl", "systemd-analyze") if not _there(command)]
    if absent:
        return f"needs {' and '.join(absent)} (Debian: systemd)"
    return "" if _mount_point() else "needs a file system of control groups, version 2"


def _there(command: str) -> bool:
    return any((folder / command).exists() for folder in map(Path, os.environ["PATH"].split(":")))


def _environment() -> dict[str, str]:
    return {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "NO_COLOR": "1"}


def _leader(process: int) -> int:
    """Returns systemd's process: the child of what has made its namespaces."""
    children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    named = {int(child): Path(f"/proc/{child}/comm").read_text().strip() for child in children}
    return next((child for child, name in named.items() if name == SYSTEMD.name), 0)


def _own_group() -> Path:
    path = next(line[3:] for line in Path("/proc/self/cgroup").read_text().splitlines() if line.startswith("0::"))
    mount = _mount_point()
    assert mount
    return mount / path.lstrip("/")


def _mount_point() -> Path | None:
    rows = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    return next((Path(row[1]) for row in rows if row[2] == "cgroup2"), None)


def _removed(group: Path) -> bool:
    for folder, _, _ in os.walk(group, topdown=False):
        with contextlib.suppress(OSError):
            Path(folder).rmdir()
    return not group.exists()
