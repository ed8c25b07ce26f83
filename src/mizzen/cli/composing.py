"""Compose files among what ``up`` is given: which they are, the command that starts them, and their projects' names.

A mesh has Compose do its work, with the command that the user has; nothing here interprets what a service is. The files
of one folder are one project, as for Compose, to which they are given in the order in which the user gave them.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import click
import yaml

from mizzen.cli.output import Complaint, note
from mizzen.settings import ComposeProject, holds_resources, is_for_compose

_COMMANDS = (("docker", "compose"), ("podman", "compose"), ("docker-compose",), ("podman-compose",))
_NOT_IN_NAMES = re.compile("[^-_a-z0-9]", re.ASCII)
_NAME = "COMPOSE_PROJECT_NAME"
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def divided(paths: Iterable[Path]) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
    """Returns the files and folders with resources, and the Compose files.

    In a folder nothing is started that is not named: its Compose file is left out, which is said.
    """
    resources: list[Path] = []
    files: list[Path] = []
    for path in paths:
        (files if _is_compose_file(path) else resources).append(path)
    for folder in filter(Path.is_dir, resources):
        try:
            inside = sorted(folder.iterdir())
        except OSError:
            continue  # said where resources are read
        for file in filter(is_for_compose, inside):
            if not any(map(holds_resources, inside)):
                raise Complaint(f"{folder} holds a Compose file, and no resources", hint=f"Name it: mizzen up {file}")
            if file not in files:
                note(f"{file} is for Compose, and not read as resources; to start it as well, name it")
    return tuple(resources), tuple(files)


def projects(files: Sequence[Path], wanted: str, engine: Path | None) -> tuple[Path, tuple[ComposeProject, ...]]:
    """Returns the engine's socket, and what is to be started there from Compose files.

    ``wanted`` is the command of the user's choice, or "". Raises :class:`Complaint` where a mesh could not do it.
    """
    from mizzen.node.capture.available import availability
    from mizzen.node.engine.errors import NoEngineError
    from mizzen.node.engine.sockets import find_socket

    if not (found := availability()).usable:
        advice = f": {found.advice}" if found.advice else ""
        raise Complaint(f"containers cannot be members of a mesh here: {found.reason}{advice}")
    try:
        engine = (engine or find_socket()).absolute()
    except NoEngineError as error:
        raise Complaint(str(error)) from error
    env = {**os.environ, "DOCKER_HOST": f"unix://{engine}"}
    command = _command(_words(wanted), env)
    folders: dict[str, list[Path]] = {}
    for file in files:
        folders.setdefault(os.path.abspath(file.parent), []).append(file)  # noqa: PTH100 - as Compose does
    found_projects: dict[str, ComposeProject] = {}
    for folder, together in folders.items():
        project = _project(command, Path(folder), together, env)
        if project.name in found_projects:
            raise Complaint(
                f"two Compose files in different folders are of one project, {project.name}",
                hint="Give one of them another name: with `name:`, or in a file .env beside it.",
            )
        found_projects[project.name] = project
    return engine, tuple(found_projects.values())


def _is_compose_file(path: Path) -> bool:
    """Tells by what it says: a file of the usual name may hold resources, and one of another name be for Compose."""
    if not path.is_file():
        return False  # a folder, or a pipe, which can be read once
    try:
        top = _top_level(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError):
        return False  # said where resources are read
    if top is None or not top.keys().isdisjoint(("apiVersion", "kind")):
        return False
    return "services" in top or is_for_compose(path)


def _top_level(text: str) -> dict[str, str] | None:
    """Returns the keys of the one YAML mapping in a text, with their values as far as these are plain; else None."""
    try:
        node = yaml.compose(text, Loader=_Loader)
    except yaml.YAMLError:
        return None
    if not isinstance(node, yaml.MappingNode):
        return None
    return {
        str(key.value): value.value if isinstance(value, yaml.ScalarNode) else ""
        for key, value in node.value
        if isinstance(key, yaml.ScalarNode)
    }


def _words(command: str) -> tuple[str, ...]:
    try:
        return tuple(shlex.split(command))
    except ValueError as error:
        raise Complaint(f"--compose-command {command}: {error}") from error


def _command(wanted: tuple[str, ...], env: Mapping[str, str]) -> tuple[str, ...]:
    """Returns the first of Compose's commands that works."""
    candidates = (wanted,) if wanted else _COMMANDS
    tried = []
    for candidate in candidates:
        problem = _why_not(candidate, env)
        if not problem:
            return candidate
        tried.append(f"  {shlex.join(candidate)}: {problem}")
    raise Complaint(
        "no command for Compose files works here; tried:\n" + "\n".join(tried),
        hint="Install Compose for your engine (Debian: docker-compose; Docker: docker-compose-plugin), or say which"
        " command it is: --compose-command 'COMMAND'.",
    )


def _why_not(command: Sequence[str], env: Mapping[str, str]) -> str:
    if shutil.which(command[0]) is None:
        return "there is no such command"
    done = _ran([*command, "version"], env)
    said = done.stderr.strip().splitlines() or done.stdout.strip().splitlines() or [f"exit code {done.returncode}"]
    return said[0] if done.returncode else ""


def _project(command: tuple[str, ...], folder: Path, files: Sequence[Path], env: Mapping[str, str]) -> ComposeProject:
    """Has Compose read its files, and returns their project, under the name that it has for Compose.

    Docker's Compose says the name (since 2.3). Compose 1 and podman-compose do not, so their rule is followed, and told
    to them: then what they start is called so in any case.
    """
    line = [*command, *(word for file in files for word in ("-f", str(file)))]
    done = _ran([*line, "config"], env)
    if done.returncode:
        click.echo(done.stderr or done.stdout, err=True, nl=False)
        raise Complaint(f"`{shlex.join(line)} config` ended with exit code {done.returncode}; nothing was started")
    said = (_top_level(done.stdout) or {}).get("name")
    own = said or env.get(_NAME) or _from_dotenv(folder / ".env") or folder.name
    name = _NOT_IN_NAMES.sub("", own.lower())
    if not name:
        raise Complaint(f"the project in {folder} has no name", hint=f"Give it one: {_NAME}=NAME mizzen up ...")
    return ComposeProject(name, (*command, "-p", name, *line[len(command) :]))


def _from_dotenv(file: Path) -> str:
    """Returns the project's name from Compose's file of variables, or ""."""
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError):
        return ""
    found = ""
    for line in lines:
        name, _, value = line.strip().removeprefix("export ").partition("=")
        if name.strip() == _NAME:
            found = value.partition(" #")[0].strip().strip("\"'")
    if "$" in found:
        raise Complaint(f"{file}: {_NAME} is made of other variables", hint=f"Set {_NAME} in the environment.")
    return found


def _ran(line: Sequence[str], env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            line,
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
        )
    except OSError as error:
        return subprocess.CompletedProcess(line, 126, "", f"{line[0]}: {error.strerror}")
