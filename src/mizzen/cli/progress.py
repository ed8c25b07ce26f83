"""What ``up`` shows while a mesh starts, runs and stops: the node's events, as they come.

On a terminal the start is one small picture that changes; elsewhere, and for all that happens later, each event is a
line. Events are dictionaries here (``Event.to_dict``), so that those of a detached node, which come through a pipe as
JSON, look the same.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import click

from mizzen.cli.output import note, on_terminal, shown

if TYPE_CHECKING:
    from rich.console import RenderableType

Event: TypeAlias = Mapping[str, Any]
Show: TypeAlias = Callable[[Event], None]

# What is a line of its own also beside the picture.
_LINES = ("AppliedEarlier", "ComposeRuns", "ComposeSaid")
# The words for how far an instance is.
_STEPS: Mapping[str, str] = {
    "InstanceStarting": "proxy is starting",
    "ProxyReady": "application is starting",
    "InstanceReady": "ready",
    "ProxyCrashed": "proxy failed",
    "InstanceCrashed": "failed",
    "InstanceNotReady": "not ready",
}


@contextlib.contextmanager
def showing() -> Iterator[Show]:
    """Gives the function that shows an event."""
    if not on_terminal():
        yield print_line
        return
    picture = Picture()
    try:
        yield picture.show
    finally:
        picture.close()


def print_line(event: Event) -> None:
    """Prints an event as a line on stderr. A failure is not printed: it ends the command, which says why."""
    if event["event"] == "Failed":
        return
    line = str(event["line"])
    if event["event"] == "ResourceProblem":
        line = shown(line)  # It begins with a file, and says itself how bad it is.
    elif event["level"] != "info":
        line = f"{click.style('warning:', fg='yellow', bold=True)} {line}"
    note(line)


def _who(event: Event) -> str:
    name, namespace = str(event["instance"]), event["namespace"]
    return name if namespace == "default" else f"{name}.{namespace}"


class Picture:
    """The instances of a mesh that starts, with how far each is; gone when the mesh is ready or fails."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.live import Live

        self._states: dict[str, str] = {}
        self._title = "The mesh is starting"
        self._live: Live | None = Live(
            console=Console(stderr=True), get_renderable=self._draw, transient=True, refresh_per_second=8
        )
        self._live.start()

    def show(self, event: Event) -> None:
        kind = event["event"]
        if kind == "MeshStarting":
            self._title = str(event["line"])
        if kind in _STEPS:
            self._states[_who(event)] = _STEPS[kind]
        if kind in ("MeshReady", "Failed", "Stopping"):
            self.close()
        if self._live is None or event["level"] != "info" or kind in _LINES:
            print_line(event)

    def close(self) -> None:
        if self._live is not None:
            live, self._live = self._live, None
            live.stop()

    def _draw(self) -> RenderableType:
        from rich.console import Group
        from rich.spinner import Spinner
        from rich.table import Table
        from rich.text import Text

        rows = Table.grid(padding=(0, 2))
        for instance, state in sorted(self._states.items()):
            style = {"ready": "green", "failed": "red", "proxy failed": "red", "not ready": "yellow"}.get(state, "dim")
            rows.add_row(Text(f"  {instance}"), Text(state, style=style))
        return Group(Spinner("dots", Text(self._title)), rows)
