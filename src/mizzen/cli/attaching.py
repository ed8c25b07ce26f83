"""``attach`` and ``detach``: makes containers members of the mesh while they run, and leaves them as they were."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from mizzen.cli import kinds
from mizzen.cli.choosing import Choice
from mizzen.cli.completing import complete_container
from mizzen.cli.containers import node_problems, warnings_of
from mizzen.cli.options import DURATION, Wait, connect, mesh_options
from mizzen.cli.output import Complaint, count, note, on_terminal, print_problems

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar

    from mizzen.cli.answers import Containers
    from mizzen.cli.client import Client
    from mizzen.registry.reports import ContainerState

    F = TypeVar("F", bound=Callable[..., Any])

_ALL = "*"
_NOT_BEGUN = "the node has not begun yet"
_PROXIES = {"sidecar": "sidecar", "node": "node proxy"}


@dataclass(frozen=True)
class _Aim:
    """``state`` is what containers should come to; the rest are words for it, and for what those that run later do.

    ``missing`` says why one has not come to it, by its state, where it does not say so itself.
    """

    state: str
    done: str
    doing: str
    later: str
    missing: dict[str, str]


_ATTACHED = _Aim(
    "Attached",
    "attached",
    "attaching",
    "; what is called so is attached when it starts",
    {
        "Attaching": "its proxy is not ready yet",
        "Detaching": "it is still being detached, and is attached after that",
    },
)
_DETACHED = _Aim(
    "Outside",
    "detached",
    "detaching",
    "",
    {
        "Detaching": "the requests that are on their way to it are ending",
    },
)


def _target_options(function: F) -> F:
    function = click.argument("targets", metavar="[TARGET]...", nargs=-1, shell_complete=complete_container)(function)
    function = click.option(
        "--wait/--no-wait", "wanted", default=True, show_default=True, help="Wait until it is done."
    )(function)
    return click.option("--timeout", type=DURATION, default="30s", show_default=True, help="The longest time to wait.")(
        function
    )


@click.command(short_help="Make containers members of the mesh.")
@_target_options
@click.option(
    "--all",
    "everything",
    is_flag=True,
    help="All containers of this host (as does '*'), but for those that were detached by name or project.",
)
@click.option(
    "--proxy",
    type=click.Choice(["sidecar", "node"]),
    default=None,
    help="What serves them: an Envoy each, or one for all of this host (default: what was chosen for them before, then"
    " the label mizzen.dev/proxy, then what the mesh was started with).",
)
@click.option("--future", is_flag=True, help="Also what does not exist yet: what will be called TARGET is attached.")
@mesh_options
def attach(
    choice: Choice,
    targets: tuple[str, ...],
    everything: bool,
    wanted: bool,
    timeout: float,
    proxy: str | None,
    future: bool,
) -> None:
    """Make containers members of the mesh, while they run: TARGET is a container (its name, or the beginning of its id)
    or a Compose project.

    Containers that come later and are meant by a TARGET are attached when they start: all of an attached project, and one
    that is removed and made again. A TARGET of which nothing exists is an error, without --future. Attached again with another
    --proxy, a container changes to that; it goes on running, and its connections with it.
    """
    _ask(choice, _ATTACHED, _meant(targets, everything), proxy or "", Wait(wanted, timeout), existing=not future)


@click.command(short_help="Take containers out of the mesh.")
@_target_options
@click.option(
    "--all",
    "everything",
    is_flag=True,
    help="All containers of this host (as does '*'), however they were attached: by name, by project, by --all, or by"
    " mizzen up --containers.",
)
@mesh_options
def detach(choice: Choice, targets: tuple[str, ...], everything: bool, wanted: bool, timeout: float) -> None:
    """Take containers out of the mesh, and leave each as it was before: TARGET is a container (its name, or the beginning
    of its id) or a Compose project.

    They go on running, and others call them in plaintext. Requests that are on their way end first.
    """
    _ask(choice, _DETACHED, _meant(targets, everything), "none", Wait(wanted, timeout), existing=True)


def _meant(targets: tuple[str, ...], everything: bool) -> tuple[str, ...]:
    if everything and targets:
        raise click.UsageError("Give either TARGETs or --all, not both.")
    if not everything and not all(targets or [""]):
        raise click.UsageError("Name containers or Compose projects, or use --all.")
    return (_ALL,) if everything else tuple(map(kinds.container, targets))


def _ask(choice: Choice, aim: _Aim, targets: tuple[str, ...], proxy: str, wait: Wait, *, existing: bool) -> None:
    with connect(choice) as client:
        with _watched(f"{aim.doing.capitalize()} {'all containers' if _ALL in targets else ', '.join(targets)}", wait):
            answer = client.attach(targets, proxy, wait.timeout if wait.wanted else 0.0, existing=existing)
        failed = [one for one in answer.items if not _told(one, aim, targets, answer, wait)]
        if aim is _ATTACHED and answer.taken:
            _tell_of_other_proxies(answer.items, targets, proxy)
        print_problems([*node_problems(answer.problems, answer.items), *warnings_of(answer.items)])
        if not answer.taken:
            _not_taken(wait)
        else:
            _tell_of_none(client, answer, aim, targets)
    if failed:
        raise Complaint(
            f"{len(failed)} of {count(len(answer.items), 'container')} not {aim.done}", hint="See: mizzen containers"
        )


@contextlib.contextmanager
def _watched(title: str, wait: Wait) -> Iterator[None]:
    if not wait.wanted or not on_terminal():
        yield
        return
    from rich.console import Console

    with Console(stderr=True).status(title):
        yield


def _told(one: ContainerState, aim: _Aim, targets: Sequence[str], answer: Containers, wait: Wait) -> bool:
    """Says what became of a container; returns whether it is as it should be, or is on the way and nobody waits."""
    if one.state == aim.state:
        click.echo(f"container/{one.name} {aim.done}")
        return True
    # Until the node knows what is asked for, only what containers say themselves stands in the way.
    open_ = one.state in ("Attaching", "Detaching") or (not answer.taken and not one.reason)
    if open_ and not wait.wanted:
        click.echo(f"container/{one.name} {aim.doing}")
        return True
    color = "red" if one.state == "Refused" else "yellow"
    reason = (_contrary(one, aim) if answer.taken else "") or one.reason or aim.missing.get(one.state, _NOT_BEGUN)
    click.echo(f"{click.style(f'{one.state.lower()}:', fg=color, bold=True)} {one.name}: {reason}", err=True)
    # Who means a whole project does not mean those in it that are to stay outside.
    return one.state == "Outside" and not {_ALL, one.project}.isdisjoint(targets)


def _contrary(one: ContainerState, aim: _Aim) -> str:
    """Says which name that is more exact wants something else of a container, and what to do; "" where none does."""
    if aim is _DETACHED and one.state in ("Attached", "Attaching", "Refused"):
        return f"it is attached by {_decisive(one)} too, which is more exact; mizzen detach {one.by or one.name}"
    if aim is _ATTACHED and one.state == "Outside" and one.by:
        return f"it was detached by {_decisive(one)}, which is more exact; mizzen attach {one.by}"
    return ""


def _tell_of_other_proxies(items: Sequence[ContainerState], targets: Sequence[str], proxy: str) -> None:
    """Says which containers keep another proxy than was asked for, because a name that is more exact has chosen it."""
    for one in items:
        if proxy and one.proxy and one.proxy != proxy:
            note(
                f"{one.name} keeps its {_PROXIES[one.proxy]}: it is attached by {_decisive(one)} too, which is more exact"
                f" than {', '.join(targets)}; to change it: mizzen attach {one.by} --proxy {proxy}"
            )


def _decisive(one: ContainerState) -> str:
    """Says what makes a container a member, or keeps it outside."""
    if one.by in (_ALL, one.project):
        return f"its project {one.project}" if one.by == one.project else "--all"
    return "its own name" if one.by else "its label mizzen.dev/mesh"


def _not_taken(wait: Wait) -> None:
    if wait.wanted:
        raise Complaint(
            f"the node has not done what is asked within {wait.timeout:g} s; it goes on",
            hint="See: mizzen containers; mizzen status",
        )
    note("asked for; mizzen containers shows what becomes of it")


def _tell_of_none(client: Client, answer: Containers, aim: _Aim, targets: Sequence[str]) -> None:
    """Says which targets mean nothing that runs; where no container is known at all, nothing can be attached."""
    if answer.items and not answer.unmatched:
        return
    known = client.containers()
    if aim is _ATTACHED and known.problems and not known.items:
        raise Complaint("no container can be attached before that is mended")
    for target in answer.unmatched:
        note(f"{target} {aim.done}: no container or project of that name runs{aim.later}")
    if _ALL in targets and not answer.items:
        note(f"no container runs{'; all are attached when they start' if aim is _ATTACHED else ''}")
