"""``down`` and ``list``: stops a running mesh in order, and says which run."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import time
from collections.abc import Callable, Iterator

import click

from mizzen.cli import purging
from mizzen.cli.choosing import DEFAULT_NAME, Choice, Mesh, all_killed, all_running, described
from mizzen.cli.options import DURATION, mesh_options, output_option
from mizzen.cli.output import Complaint, as_json, duration, note, on_terminal, table


@click.command(short_help="Stop a mesh, in order.")
@click.option("--all", "every", is_flag=True, help="All meshes that run.")
@click.option("--timeout", type=DURATION, default="2m", show_default=True, help="The longest time to wait for the end.")
@click.option(
    "--purge", is_flag=True, help="Then remove its state: what was applied, its keys, its logs. Your files stay."
)
@mesh_options
def down(choice: Choice, every: bool, timeout: float, purge: bool) -> None:
    """Stop a mesh: its applications and proxies end in order, its resources and keys stay.

    To stop a mesh that does not run is no error.
    """
    for mesh in [*all_running(), *all_killed()] if every else [_meant(choice)]:
        _stop(mesh, timeout)
        if purge:
            purging.purge(mesh)
    if every:
        note("no mesh is running any more")


@click.command("list", short_help="Show the meshes that run.")
@output_option("json")
def list_(output: str | None) -> None:
    """Show the meshes that run."""
    meshes = all_running()
    if output == "json":
        facts = [
            {
                "name": mesh.name,
                "pid": mesh.pid,
                "capture": mesh.capture,
                "started": mesh.started,
                "stateDir": str(mesh.state_dir),
            }
            for mesh in meshes
        ]
        click.echo(as_json(facts))
    elif meshes:
        now = time.time()
        rows = [
            (mesh.name, str(mesh.pid), mesh.capture, duration(now - mesh.started), str(mesh.state_dir))
            for mesh in meshes
        ]
        click.echo(table(("NAME", "PID", "CAPTURE", "AGE", "STATE DIRECTORY"), rows))
    else:
        note("No mesh is running.")
    for mesh in all_killed():
        note(f"Mesh {mesh.name} was killed. Start it again, or be rid of it: mizzen down --name {mesh.name}")


def _meant(choice: Choice) -> Mesh:
    """Returns the mesh to stop. A name that nobody has ever used is a slip, a mesh that does not run is not."""
    if not choice.name and not choice.state_dir:
        meshes = all_running()
        if len(meshes) > 1:
            names = ", ".join(mesh.name for mesh in meshes)
            raise Complaint(f"several meshes are running: {names}", hint="Say which: --name NAME, or --all.")
        return (meshes or all_killed() or [described(choice)])[0]
    mesh = described(choice)
    if not mesh.pid and not mesh.state_dir.exists():
        names = ", ".join(each.name for each in all_running()) or "none"
        raise Complaint(f"there is no mesh {mesh.name} ({mesh.state_dir} does not exist)", hint=f"Running: {names}.")
    return mesh


def _stop(mesh: Mesh, timeout: float) -> None:
    if mesh.killed:
        _clean_up(mesh)
        return
    if not mesh.pid:
        note("no mesh is running" if mesh.name == DEFAULT_NAME else f"mesh {mesh.name} is not running")
        return
    started = time.monotonic()
    # The node would be started again if it were killed on its way out.
    pid = mesh.supervisor or mesh.pid
    try:
        with _ending(pid) as ended:
            os.kill(pid, signal.SIGTERM)
            done = _watched(mesh, ended, timeout)
    except ProcessLookupError:
        done = True  # It ended by itself in the meantime.
    except PermissionError as error:
        raise Complaint(f"mesh {mesh.name} was started by another user (process {mesh.pid})") from error
    if not done:
        raise Complaint(
            f"mesh {mesh.name} (process {mesh.pid}) has not stopped within {timeout:g} s; it goes on stopping",
            hint=f"Wait longer with --timeout, or end it at once: kill -TERM {pid}",
        )
    click.echo(f"mesh {mesh.name} stopped after {time.monotonic() - started:.1f} s")


def _clean_up(mesh: Mesh) -> None:
    """Removes what a mesh has left whose node was killed."""
    from mizzen.node.capture.available import availability
    from mizzen.node.host import StartError
    from mizzen.node.recovering import clean_up

    if mesh.capture == "transparent" and not (found := availability()).usable:
        raise Complaint(f"what mesh {mesh.name} has left cannot be removed: {found.reason}", hint=found.advice)
    try:
        problems = clean_up(mesh.settings)
    except (StartError, OSError) as error:
        raise Complaint(f"what mesh {mesh.name} has left cannot be removed: {error}") from error
    if problems:
        raise Complaint("\n".join(problems), hint="To restart a container removes them.")
    click.echo(f"mesh {mesh.name} was killed; what it had left is removed")


def _watched(mesh: Mesh, ended: Callable[[float], bool], timeout: float) -> bool:
    if not on_terminal():
        note(f"stopping mesh {mesh.name}")
        return ended(timeout)
    from rich.console import Console

    with Console(stderr=True).status(f"Stopping mesh {mesh.name}: endpoints out, requests finish, applications end"):
        return ended(timeout)


@contextlib.contextmanager
def _ending(pid: int) -> Iterator[Callable[[float], bool]]:
    """Gives a function that waits some seconds for a process's end and says whether it came.

    The process is looked at before it is told to end, so that another with the same number is never waited for.
    """
    if sys.platform == "linux":
        descriptor = os.pidfd_open(pid)
        try:
            yield lambda seconds: bool(select.select([descriptor], [], [], seconds)[0])
        finally:
            os.close(descriptor)
    else:
        queue = select.kqueue()
        event = select.kevent(pid, select.KQ_FILTER_PROC, select.KQ_EV_ADD, select.KQ_NOTE_EXIT)
        try:
            queue.control([event], 0)
            yield lambda seconds: bool(queue.control(None, 1, seconds))
        finally:
            queue.close()
