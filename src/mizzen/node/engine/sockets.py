"""Finds the socket of this host's container engine, where its own tools look for it."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path

from mizzen.node.engine.errors import NoEngineError

_VARIABLES = ("DOCKER_HOST", "CONTAINER_HOST")  # docker's and podman's
_SCHEME = "unix://"
_TIMEOUT = 5.0


def find_socket(environment: Mapping[str, str] | None = None, root: Path = Path("/")) -> Path:
    """Returns the Unix socket at which an engine answers: that of DOCKER_HOST or CONTAINER_HOST if one is set, else the
    first of the usual ones. ``root`` stands in for / in tests. Raises :class:`NoEngineError` that says what was tried.
    """
    environment = os.environ if environment is None else environment
    for variable in _VARIABLES:
        if value := environment.get(variable):
            return _told(variable, value)
    tried = []
    for candidate in _usual(environment, root):
        problem = _why_not(candidate)
        if not problem:
            return candidate
        tried.append(f"  {candidate}: {problem}")
    raise NoEngineError(
        "no container engine answers on this host; tried:\n"
        + "\n".join(tried)
        + "\nStart one (`systemctl start podman.socket`, `systemctl start docker`, or `podman system service --time=0`),"
        " or say where it is: DOCKER_HOST=unix:///PATH"
    )


def _told(variable: str, value: str) -> Path:
    if not value.startswith(_SCHEME):
        raise NoEngineError(
            f"{variable} is {value}, but containers can only be attached on the engine's own host, by its Unix socket:"
            f" set {variable}=unix:///PATH, or unset it"
        )
    path = Path(value.removeprefix(_SCHEME))
    if problem := _why_not(path):
        raise NoEngineError(f"{variable} is {value}: {problem}; start the engine there, or unset {variable}")
    return path


def _usual(environment: Mapping[str, str], root: Path) -> Iterator[Path]:
    yield root / "run/podman/podman.sock"
    yield root / "var/run/docker.sock"
    runtime = Path(environment.get("XDG_RUNTIME_DIR") or root / f"run/user/{os.getuid()}")
    yield runtime / "podman/podman.sock"
    yield runtime / "docker.sock"


def _why_not(path: Path) -> str:
    """Returns why nobody can be spoken to at a path, or ""."""
    if not path.exists():
        return "there is no such socket"
    with socket.socket(socket.AF_UNIX) as made:
        made.settimeout(_TIMEOUT)
        try:
            made.connect(str(path))
        except PermissionError:
            return "this user may not use it"
        except OSError as error:
            return f"nobody answers ({error.strerror or error})"
    return ""
