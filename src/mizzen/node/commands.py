"""Whether what Workloads say can be run here: their working directories and commands, found before anything starts.

The rules are those by which ``launch.py`` later starts an application: execvp in the working directory, with the
application's own PATH. What only the node will know (``$(PORT)``) is not judged. Reads the disk, changes nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from mizzen.node.environment import expand
from mizzen.resources.problems import Level, Problem
from mizzen.resources.resource import Resource
from mizzen.resources.workload import WorkloadSpec, working_folder


def check_commands(
    resources: Iterable[Resource[Any]], base: Mapping[str, str], level: Level = Level.ERROR
) -> list[Problem]:
    """Returns a problem for each Workload that could not be started on this machine.

    ``base`` is the environment of whoever starts the mesh; the ``env`` of a Workload is stronger.
    """
    return [
        problem
        for resource in resources
        if isinstance(resource.spec, WorkloadSpec) and not resource.spec.gateway
        for problem in _check(resource, resource.spec, base, level)
    ]


def _check(resource: Resource[Any], spec: WorkloadSpec, base: Mapping[str, str], level: Level) -> Iterator[Problem]:
    def problem(path: str, message: str, hint: str) -> Problem:
        return resource.problem("CannotRun", path, message, hint, level)

    folder = working_folder(spec, resource.source.file)
    if not folder.is_dir():
        what = "is not a directory" if folder.exists() else "does not exist"
        yield problem(
            "spec.workingDir", f"the working directory {folder} {what}", "it is relative to the file it is written in"
        )
        return
    variables = dict(base)
    for variable in spec.env:
        variables[variable.name] = expand(variable.value, variables)
    name = expand(spec.command[0], variables)
    if "$(" in name or "$(" in variables.get("PATH", ""):
        return
    if why := _not_runnable(name, folder, variables.get("PATH", os.defpath)):
        yield problem("spec.command[0]", *why)


def _not_runnable(name: str, folder: Path, path: str) -> tuple[str, str] | None:
    """Says why execvp would not find the command, and what to do; None if it would."""
    searched = [""] if "/" in name else path.split(os.pathsep)
    found = [file for entry in searched if (file := folder / entry / name).exists()]
    if any(file.is_file() and os.access(file, os.X_OK) for file in found):
        return None
    if found:
        return f"permission denied: {name}", f"is {found[0]} a file with the executable bit?"
    where = f"there is no {folder / name}" if "/" in name else "it is on no folder of PATH"
    return f"command not found: {name}", f"{where}; is it installed, and written correctly?"
