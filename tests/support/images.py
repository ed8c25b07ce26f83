"""Container images from nothing: no registry is asked, all that is in them is this machine's.

``BASE`` has a shell and an HTTP server (Debian's busybox-static), which is what a small container runs, and ``python3``:
a link to the interpreter that runs the tests. The interpreter itself is not copied, which would take seconds; the
engine shows its folders, read-only, in every container. ``TOOLS`` has the same files and neither command nor port.
"""

from __future__ import annotations

import io
import re
import subprocess
import sys
import tarfile
from pathlib import Path

BASE = "localhost/base"
TOOLS = "localhost/tools"
BOOKINFO = "localhost/bookinfo"
BUSYBOX = "/usr/bin/busybox"
EXAMPLES = Path(__file__).parent.parent.parent / "examples"
SMALL_PORT = 8080

# The first process of a container ignores what it does not handle, so a shell is there to end on SIGTERM.
_SERVE = f"trap 'exit 0' TERM; hostname > /www/index.html; httpd -f -p {SMALL_PORT} -h /www & wait"
TOOLS_CONFIGURATION = ("ENV PATH=/bin",)
BASE_CONFIGURATION = (f"CMD {_SERVE}", f"EXPOSE {SMALL_PORT}", *TOOLS_CONFIGURATION)
_APPLETS = ("sh", "cat", "hostname", "httpd", "ip", "nc", "nslookup", "rm", "sleep", "wget")


def interpreter() -> Path:
    return Path(getattr(sys, "_base_executable", sys.executable)).resolve()


def interpreter_folders() -> list[Path]:
    """Returns the folders that the interpreter needs, none inside another: its own, and those of its libraries."""
    listed = subprocess.run(["ldd", str(interpreter())], capture_output=True, text=True, check=True).stdout
    found = {Path(library).parent for library in re.findall(r"(/\S+) \(0x", listed)} | {Path(sys.base_prefix)}
    return sorted(folder for folder in found if not found & set(folder.parents))


def base_archive() -> bytes:
    """Returns the file system of ``BASE`` as a tar file."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        archive.add(BUSYBOX, "bin/busybox")
        for applet in _APPLETS:
            archive.addfile(_link(f"bin/{applet}", "busybox"))
        archive.addfile(_link("bin/python3", str(interpreter())))
        for folder in ("tmp", "www"):
            made = tarfile.TarInfo(folder)
            made.type, made.mode = tarfile.DIRTYPE, 0o1777
            archive.addfile(made)
    return content.getvalue()


def _link(name: str, target: str) -> tarfile.TarInfo:
    link = tarfile.TarInfo(name)
    link.type, link.linkname = tarfile.SYMTYPE, target
    return link
