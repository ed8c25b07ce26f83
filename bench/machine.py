"""What a measure was taken on: the machine without its name, the versions, the date."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mizzen import __version__
from mizzen.node.envoy import envoy_path

_PACKAGES = ("grpcio", "protobuf")


def describe() -> dict[str, Any]:
    """Returns the machine as it is now."""
    envoy = subprocess.run([str(envoy_path()), "--version"], stdout=subprocess.PIPE, text=True, check=True).stdout
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "processor": _processor(),
        "processors": os.cpu_count(),
        "memory": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "kernel": f"{platform.system()} {platform.release().split('-')[0]}",
        "python": platform.python_version(),
        "envoy": envoy.rpartition("version: ")[2].split("/")[1],
        "mizzen": __version__,
        **{package: importlib.metadata.version(package) for package in _PACKAGES},
    }


def _processor() -> str:
    """The model of the processor, and whether it is a virtual machine's."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    fields = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    virtual = " (virtual)" if "hypervisor" in fields.get("flags", "").split() else ""
    return fields.get("model name", platform.machine()) + virtual
