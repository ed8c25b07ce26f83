"""``up``: checks what it is given, and starts a mesh: here until Ctrl-C, or detached.

The node agent does the work (``mizzen.node``), in this process or as ``python -m mizzen.node``; this module gives it its
settings and shows its events.
"""

from __future__ import annotations

import dataclasses
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mizzen.cli import choosing
from mizzen.cli.choosing import Choice, Mesh
from mizzen.cli.options import DURATION, mesh_options
from mizzen.cli.output import Complaint, count, note, print_problems
from mizzen.cli.progress import Event, Show, showing
from mizzen.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# SPIFFE-ID, 2.1: the characters of a trust domain's name.
_TRUST_DOMAIN = re.compile(r"[a-z0-9._-]{1,255}")
_SHORTEST_LIFETIME = 1.0
# The parts of a locality are written in labels, too.
_LOCALITY = re.compile(r"[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+){0,2}")


def _trust_domain(_context: click.Context, _param: click.Parameter, value: str) -> str:
    if not _TRUST_DOMAIN.fullmatch(value):
        raise click.BadParameter("a trust domain has small letters, digits, '.', '-' and '_'.")
    return value


def _locality(_context: click.Context, _param: click.Parameter, value: str) -> str:
    if value and not _LOCALITY.fullmatch(value):
        raise click.BadParameter("a locality is REGION, REGION/ZONE or REGION/ZONE/SUBZONE.")
    return value


def _lifetime(_context: click.Context, _param: click.Parameter, value: float) -> float:
    if value < _SHORTEST_LIFETIME:
        raise click.BadParameter(f"a certificate lives at least {_SHORTEST_LIFETIME:g} s.")
    return value


@click.command(short_help="Start a mesh from files and folders.")
@click.argument("paths", metavar="[PATH...]", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "-f",
    "--filename",
    "filenames",
    metavar="PATH",
    multiple=True,
    type=click.Path(path_type=Path),
    help="The same as PATH.",
)
@click.option(
    "--capture",
    type=click.Choice(["auto", "explicit", "transparent"]),
    default="auto",
    show_default=True,
    help="How traffic gets into the proxies: by environment variables and local ports (explicit, anywhere), or by"
    " itself (transparent: Linux, root). auto: transparent where it can be.",
)
@click.option(
    "--proxy",
    type=click.Choice(["sidecar", "node"]),
    default="sidecar",
    show_default=True,
    help="What serves workloads: an Envoy each (sidecar), or one for all of this host (node; transparent capture only)."
    " A Workload's own `proxy` comes first.",
)
@click.option(
    "--containers",
    is_flag=True,
    help="Make all containers of this host's engine members, those that run and those that will (Linux, root).",
)
@click.option(
    "--engine",
    type=click.Path(exists=True, path_type=Path),
    default=None,
    help="The socket of the container engine (default: DOCKER_HOST, CONTAINER_HOST, or where Podman and Docker have it).",
)
@click.option(
    "--compose-command",
    metavar="COMMAND",
    default="",
    help="What starts Compose files (default: the first that works of docker compose, podman compose, docker-compose,"
    " podman-compose).",
)
@click.option("-d", "--detach", is_flag=True, help="Return when the mesh is ready, and leave it running.")
@click.option("--timeout", type=DURATION, default="2m", show_default=True, help="With --detach: the longest wait.")
@click.option(
    "--locality",
    metavar="REGION[/ZONE[/SUBZONE]]",
    default="",
    callback=_locality,
    help="Where this host is, and with it all workloads whose labels do not say where they are.",
)
@click.option("--trust-domain", default="cluster.local", show_default=True, callback=_trust_domain)
@click.option(
    "--certificate-lifetime",
    type=DURATION,
    default="24h",
    show_default=True,
    callback=_lifetime,
    help="How long a workload's certificate is valid; it is renewed at half of that.",
)
@mesh_options
def up(
    choice: Choice,
    paths: tuple[Path, ...],
    filenames: tuple[Path, ...],
    engine: Path | None,
    compose_command: str,
    detach: bool,
    timeout: float,
    **chosen: Any,
) -> None:
    """Start a mesh from the resources in files and folders: its services, each behind a proxy.

    The folders are watched: an edit takes effect without a command. Everything is checked first; where there is an
    error, nothing starts. Stays in the foreground until Ctrl-C (a second one ends at once), unless --detach is given.

    A PATH that is a Compose file is started with Compose, as by `up -d`, and its containers are members from their start.
    Those that were started here are stopped with the mesh, but never removed; a project of which something ran before
    runs on, as does one that was detached.

    With --containers the containers of this host are members, too, and no file is needed; mizzen attach and mizzen detach
    choose some of them while the mesh runs.
    """
    paths = (*paths, *filenames)
    if not paths and not chosen["containers"]:
        raise click.UsageError("Name files or folders with resources, or Compose files, or use --containers.")
    from mizzen.cli import composing

    paths, compose_files = composing.divided(paths)
    mesh = _free(choice)
    settings = Settings(
        name=mesh.name,
        state_dir=mesh.state_dir,
        paths=tuple(path.absolute() for path in paths),
        engine=str(engine.absolute()) if engine else "",
        **chosen,
    )
    _check(settings)
    if compose_files:
        found, projects = composing.projects(compose_files, compose_command, engine)
        settings = dataclasses.replace(settings, engine=str(found), compose=projects)
    choosing.record(mesh)
    from mizzen.cli import detaching, running_here

    try:
        with showing() as show:
            starter = Starting(settings, detach, show)
            failure = (
                detaching.start(settings, starter.show, timeout) if detach else running_here.run(settings, starter.show)
            )
    except KeyboardInterrupt:
        note(f"mesh {mesh.name} was stopped; nothing of it runs any more")
        raise
    if failure:
        raise Complaint(failure)


class Starting:
    """Shows events, and what to do next when the mesh is ready."""

    def __init__(self, settings: Settings, detached: bool, show: Show) -> None:
        self._settings = settings
        self._detached = detached
        self._show = show
        self._capture = settings.capture
        self._ready: dict[str, None] = {}
        self._gateways: dict[tuple[str, int], str] = {}

    def show(self, event: Event) -> None:
        self._show(event)
        kind = event["event"]
        if kind == "MeshStarting":
            self._capture = event["capture"]
        elif kind == "InstanceReady":
            self._ready[event["instance"]] = None
        elif kind == "GatewayListens":
            self._gateways[event["instance"], event["number"]] = event["url"]
        elif kind == "MeshReady":
            click.echo(
                welcome(self._settings, self._capture, sorted(self._ready), self._gateways, detached=self._detached)
            )


def welcome(
    settings: Settings,
    capture: str,
    instances: Sequence[str],
    gateways: Mapping[tuple[str, int], str],
    *,
    detached: bool,
) -> str:
    """Returns what a user reads when a mesh is ready: what runs, where it is called from outside, and how to go on."""
    name = settings.name
    option = "" if name == choosing.DEFAULT_NAME else f" --name {name}"
    containers = [(f"mizzen containers{option}", "which containers are in the mesh, and why others are not")]
    steps = [
        (f"mizzen status{option}", "what runs, and what each proxy has acknowledged"),
        *(containers if settings.containers or settings.compose else ()),
        (f"mizzen apply -f FILE{option}", "change routes and policies while it runs"),
        (f"mizzen exec{option} WORKLOAD -- COMMAND", "run a command inside the mesh"),
        (f"mizzen down{option}" if detached else "Ctrl-C", "stop it"),
    ]
    width = max(len(command) for command, _ in steps)
    lines = [f"Running in mesh {name} ({capture} capture): {', '.join(instances) or 'no workload yet'}"]
    lines += [f"Gateway {name}: port {number} at {url}" for (name, number), url in sorted(gateways.items()) if url]
    lines.append("")
    return "\n".join([*lines, *(f"  {command.ljust(width)}   {purpose}" for command, purpose in steps)])


def _free(choice: Choice) -> Mesh:
    """Returns the mesh to start; a name or a state directory that is in use is a :class:`Complaint`."""
    choosing.checked_name(choice.name or choosing.DEFAULT_NAME)
    by_name = choosing.described(Choice(choice.name))
    mesh = choosing.described(choice)
    for each in (mesh, by_name):
        if each.pid:
            option = "" if each.name == choosing.DEFAULT_NAME else f" --name {each.name}"
            taken = ["--name"] if each.state_dir == by_name.state_dir else []
            taken += ["--state-dir"] if choice.state_dir and each is mesh else []
            raise Complaint(
                f"mesh {each.name} runs already (process {each.pid}, state directory {each.state_dir})",
                hint=f"Stop it with: mizzen down{option}; or choose another {' and another '.join(taken)}.",
            )
    return Mesh(choice.name or choosing.DEFAULT_NAME, mesh.state_dir)


def _check(settings: Settings) -> None:
    """Prints all that is wrong in the files; raises :class:`Complaint` if it is more than a warning.

    What the files refer to may be among the resources that were applied to this mesh before. Where there are some, the
    control plane checks references, and here is only a warning.
    """
    from mizzen.cli.problems import displayed
    from mizzen.node.commands import check_commands
    from mizzen.resources.loading import load_paths
    from mizzen.resources.problems import Level, errors
    from mizzen.resources.references import check_references

    loaded = load_paths(settings.paths)
    references = check_references(loaded.resources)
    commands = check_commands(loaded.resources, os.environ)
    fatal = errors([*loaded.problems, *commands])
    if settings.database.exists():
        references = [dataclasses.replace(problem, level=Level.WARNING) for problem in references]
    fatal += errors(references)
    problems = displayed([*loaded.problems, *commands, *references])
    if fatal:
        raise Complaint(f"{count(len(fatal), 'error')}; nothing was started", problems)
    print_problems(problems)
