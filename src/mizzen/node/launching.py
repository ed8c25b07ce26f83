"""Builds the command line of launch.py, through which every child of the node starts.

``mizzen exec`` uses it too, to run a command where a workload runs.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from mizzen.node import launch


def launch_command(
    command: Sequence[str],
    *,
    netns: str = "",
    resolv_conf: str = "",
    gid: int | None = None,
    user: str = "",
    working_dir: str = "",
    die_with_parent: bool = False,
) -> list[str]:
    """Returns the command line that starts ``command`` as told.

    ``netns`` is the path of a network namespace to enter, ``resolv_conf`` a file to show as /etc/resolv.conf, ``gid``
    the group to run as, ``user`` the user by name, with all its groups, ``working_dir`` the folder to start in; "" and
    None leave things as they are.
    ``die_with_parent`` ties its life to the process that calls this function (Linux), or rather to the thread that
    starts it, which must be the main one.
    """
    line = [sys.executable, "-I", "-S", str(Path(launch.__file__).resolve())]
    if netns:
        line += ["--netns", netns]
    if resolv_conf:
        line += ["--resolv-conf", resolv_conf]
    if gid is not None:
        line += ["--gid", str(gid)]
    if user:
        line += ["--user", user]
    if working_dir:
        line += ["--chdir", working_dir]
    if die_with_parent:
        line += ["--parent", str(os.getpid())]
    return [*line, "--", *command]


def complaint(code: int | None, output: Sequence[str]) -> str | None:
    """Returns why a command could not be started, or None if it was: from its exit code and its last lines."""
    if code not in (launch.NOT_FOUND, launch.NOT_STARTED):
        return None
    for line in reversed(output):
        if line.startswith(launch.COMPLAINT):
            return line.removeprefix(launch.COMPLAINT)
    return None
