"""``exec``: runs a command where a workload runs, so that its traffic is the workload's: routed, encrypted, named."""

from __future__ import annotations

import os
from pathlib import Path

import click

from mizzen.cli.choosing import Choice
from mizzen.cli.completing import complete_workload
from mizzen.cli.options import WORKLOAD, connect, mesh_options, namespace_option
from mizzen.cli.output import Complaint


@click.command(
    "exec",
    short_help="Run a command where a workload runs.",
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)
@namespace_option
@mesh_options
@click.option("-i", "--stdin", is_flag=True, hidden=True)
@click.option("-t", "--tty", is_flag=True, hidden=True)
@click.argument("workload", type=WORKLOAD, shell_complete=complete_workload)
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def exec_(choice: Choice, workload: str, command: tuple[str, ...], namespace: str, *, stdin: bool, tty: bool) -> None:
    """Run a COMMAND where a workload (or one of its instances) runs.

    It has the workload's environment, folder and network, so its requests go through the workload's proxy. Its
    terminal, its signals and its exit code are its own. For a container it is a command of this host, in the container's
    network but not in its files (for those: podman exec). Options for exec itself stand before WORKLOAD:

    \b
    mizzen exec -n shop reviews-v1 -- curl -s http://ratings:9080/ratings/0
    """  # noqa: D301 - the backspace is click's sign for lines that stay as they are
    del stdin, tty  # kubectl's options; here the command always has this terminal
    command = command[1:] if command[0] == "--" else command
    if not command:
        raise click.UsageError("Say which command to run: mizzen exec WORKLOAD -- COMMAND...")
    with connect(choice) as client:
        place = client.exec_context(namespace, workload)
    check_may_enter(place.instance, place.netns)
    from mizzen.node.launching import launch_command

    line = launch_command(command, netns=place.netns, resolv_conf=place.resolv_conf, working_dir=place.working_dir)
    _become(line, {**_terminal(), **place.env})


def check_may_enter(instance: str, netns: str) -> None:
    """Raises :class:`Complaint` where this process may not enter an instance's network namespace."""
    if netns and os.geteuid() != 0:
        raise Complaint(
            f"{instance} has a network namespace of its own, and only root may enter it",
            hint="Run the same command as root.",
        )


def _terminal() -> dict[str, str]:
    """Returns what describes this terminal: it belongs to who looks at it, not to the workload."""
    names = ("TERM", "COLORTERM", "LANG", "LC_ALL", "COLUMNS", "LINES", "NO_COLOR")
    return {name: os.environ[name] for name in names if name in os.environ}


def _become(line: list[str], environment: dict[str, str]) -> None:
    if not Path(line[0]).exists():
        raise Complaint(f"{line[0]} does not exist any more", hint="Was Mizzen's environment moved or removed?")
    os.execve(line[0], line, environment)  # noqa: S606 - the command takes the place of this process
