"""Options that many commands share: which mesh, which namespace, whether to wait, in which form to answer."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click
from click.core import ParameterSource

from mizzen.cli.choosing import Choice, all_running, running, unsaid
from mizzen.cli.output import note, on_terminal

if TYPE_CHECKING:
    from mizzen.cli.client import Client

F = TypeVar("F", bound=Callable[..., Any])

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)")


class Duration(click.ParamType[float]):
    """A length of time as in Kubernetes and Go (``90s``, ``1h30m``, ``250ms``), as seconds; a bare number is seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, int | float):
            return float(value)
        parts = _DURATION.findall(value)
        if "".join(number + unit for number, unit in parts) == value and parts:
            return sum(float(number) * _UNITS[unit] for number, unit in parts)
        if re.fullmatch(r"\d+(\.\d+)?", value):
            return float(value)
        return self.fail(f"{value!r} is not a duration; write for example 30s, 5m or 1h30m.", param, ctx)


DURATION = Duration()


class WorkloadName(click.ParamType[str]):
    """The name of a workload or of one of its instances, also in kubectl's form (``workload/reviews-v1``)."""

    name = "workload"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        from mizzen.cli import kinds

        del param, ctx
        return kinds.workload(value)


WORKLOAD = WorkloadName()


def mesh_selection(long_name: str = "--name", *, envvars: bool = False) -> Callable[[F], F]:
    """Adds ``--name`` and ``--state-dir``; :func:`choice_of` reads them."""

    def decorate(function: F) -> F:
        function = click.option(
            "--state-dir",
            "mesh_state_dir",
            type=click.Path(file_okay=False, path_type=Path),
            envvar="MIZZEN_STATE_DIR" if envvars else None,
            help="The mesh whose state is in this directory.",
        )(function)
        return click.option(
            "-m",
            long_name,
            "mesh_name",
            envvar="MIZZEN_NAME" if envvars else None,
            shell_complete=_complete_mesh,
            help="The mesh of this name.",
        )(function)

    return decorate


def _complete_mesh(context: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    del context, param
    return [mesh.name for mesh in all_running() if mesh.name.startswith(incomplete)]


def mesh_options(function: F) -> F:
    """Adds the options that choose a mesh; the command receives ``choice``."""
    return mesh_selection()(_with_choice(function))


def mesh_options_beside_name(function: F) -> F:
    """The same for a command whose own ``--name`` means something else: the mesh is chosen with ``--mesh``."""
    return mesh_selection("--mesh")(_with_choice(function))


def _with_choice(function: F) -> F:
    @functools.wraps(function)
    def command(*args: Any, mesh_name: str | None, mesh_state_dir: Path | None, **kwargs: Any) -> Any:
        del mesh_name, mesh_state_dir  # Those of the root count too.
        return function(*args, choice=choice_of(click.get_current_context()), **kwargs)

    return cast("F", command)


def choice_of(context: click.Context) -> Choice:
    """Reads which mesh is meant: from the command's options, then the root's, then the environment.

    A name on the command line is stronger than a state directory in the environment.
    """
    name, name_source = _option(context, "mesh_name")
    state_dir, state_dir_source = _option(context, "mesh_state_dir")
    said = name is not None and name_source is ParameterSource.COMMANDLINE
    if said and state_dir_source is ParameterSource.ENVIRONMENT and context.info_name != "up":
        state_dir = None
    return Choice(name or "", state_dir)


def _option(context: click.Context, option: str) -> tuple[Any, ParameterSource | None]:
    place: click.Context | None = context
    while place is not None:
        if place.params.get(option) is not None:
            return place.params[option], place.get_parameter_source(option)
        place = place.parent
    return None, None


def connect(choice: Choice) -> Client:
    """Opens the API of the running mesh that is meant."""
    from mizzen.cli.client import Client

    return Client(running(choice))


def connect_to_change(choice: Choice) -> Client:
    """As :func:`connect`, and says on stderr which mesh that is, where nobody said it and another may be meant."""
    client = connect(choice)
    if which := unsaid(choice, client.mesh):
        note(which)
    return client


def namespace_option(function: F) -> F:
    return click.option("-n", "--namespace", default="default", help="The namespace (default: default).")(function)


def unnamed_option(function: F) -> F:
    """An option for what is read: in which namespace that is of which nothing says it."""
    help_text = "The namespace of resources that name none."
    return click.option("-n", "--namespace", default="default", help=help_text)(function)


def output_option(*formats: str) -> Callable[[F], F]:
    return click.option("-o", "--output", type=click.Choice(formats), default=None, help="The form of the answer.")


@dataclass(frozen=True)
class Wait:
    """Whether to wait until a change is live, and how many seconds at most."""

    wanted: bool
    timeout: float


def wait_options(function: F) -> F:
    """Adds ``--wait/--no-wait`` and ``--timeout``; the command receives ``wait``."""

    @functools.wraps(function)
    def command(*args: Any, wait: bool | None, timeout: float, **kwargs: Any) -> Any:
        wanted = on_terminal() if wait is None else wait
        return function(*args, wait=Wait(wanted, timeout), **kwargs)

    decorated = click.option(
        "--timeout", type=DURATION, default="30s", show_default=True, help="The longest time to wait."
    )(command)
    decorated = click.option(
        "--wait/--no-wait",
        default=None,
        help="Wait until every live proxy concerned has acknowledged the change (default: on a terminal).",
    )(decorated)
    return cast("F", decorated)
