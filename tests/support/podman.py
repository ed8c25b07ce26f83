"""What Podman has to be told to run as root beside other engines on a machine that has no systemd."""

from __future__ import annotations

import json
from pathlib import Path

from tests.support import images


def configuration(folder: Path) -> dict[str, str]:
    """Returns Podman's configuration files by name.

    Locks are files, since those in shared memory are all engines' of the machine. Limits are such as may always be
    set. Cgroups are made by hand, and there is no journal, since there is no systemd.
    """
    shown = json.dumps([f"{path}:{path}:ro" for path in images.interpreter_folders()])
    return {
        "containers.conf": f"""
[containers]
default_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]
volumes = {shown}
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
hooks_dir = ["{folder}/hooks"]
lock_type = "file"
static_dir = "{folder}/root/libpod"
tmp_dir = "{folder}/tmp"
volume_path = "{folder}/root/volumes"
[network]
network_backend = "netavark"
network_config_dir = "{folder}/networks"
""",
        "storage.conf": f"""
[storage]
driver = "overlay"
graphroot = "{folder}/root"
runroot = "{folder}/run"
""",
    }
