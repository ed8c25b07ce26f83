"""``containers``: the containers of this host's engine, how each stands to the mesh, and what keeps it from being in it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from mizzen.cli import kinds
from mizzen.cli.choosing import Choice
from mizzen.cli.completing import complete_container
from mizzen.cli.options import connect, mesh_options, output_option
from mizzen.cli.output import as_json, as_yaml, note, print_problems, table
from mizzen.cli.proxies import proxies_of

if TYPE_CHECKING:
    from mizzen.cli.answers import Problem
    from mizzen.registry.reports import ContainerState, Instance

_COLORS = {"Refused": "red", "Attaching": "yellow", "Detaching": "yellow"}
_SERVICE_LABEL = "service.mizzen.dev/"  # see mizzen.registry.container_labels


@click.command(short_help="Show containers, and which are in the mesh.")
@click.argument("targets", metavar="[CONTAINER|PROJECT]...", nargs=-1, shell_complete=complete_container)
@output_option("wide", "yaml", "json", "name")
@mesh_options
def containers(choice: Choice, targets: tuple[str, ...], output: str | None) -> None:
    """Show the containers that run on this host, and how each stands to the mesh.

    Attached: a member; READY when its health check passes. Attaching, Detaching: under way. Outside: nobody has attached
    it, or its label keeps it outside; the mesh's members call it in plaintext, as they did before. Refused: it cannot be
    a member; REASON says why, and what to do. What is attached and is called by no container is named below. Also: mizzen
    get containers.
    """
    show(choice, targets, output)


def show(choice: Choice, targets: Sequence[str], output: str | None) -> None:
    """Prints those that are meant, or all; ends the command with 1 where a target means none."""
    with connect(choice) as client:
        found = client.containers([kinds.container(target) for target in targets], look=True)
        instances = {(one.namespace, one.name): one for one in client.instances()}
    shown = sorted(found.items, key=lambda one: (one.project, one.name))
    rows = [(one, instances.get((one.namespace, one.instance))) for one in shown]
    if output in ("json", "yaml"):
        facts = [_facts(*row) for row in rows]
        click.echo(as_json(facts) if output == "json" else as_yaml(facts))
    elif output == "name":
        click.echo("".join(f"container/{one.name}\n" for one in shown), nl=False)
    elif rows:
        click.echo(_table(rows, wide=output == "wide"))
    elif not targets and not found.problems:
        note("No container runs on this host.")
    if found.waiting and not targets:
        note(f"attached, but nothing is called so: {', '.join(found.waiting)} (mizzen detach NAME forgets it)")
    print_problems([*node_problems(found.problems, shown), *_not_found(found.unmatched)])
    if found.unmatched:
        raise click.exceptions.Exit(1)


def node_problems(problems: Iterable[str], shown: Iterable[ContainerState]) -> list[Problem]:
    """Returns what is wrong on the node, but for what containers that are shown say themselves."""
    from mizzen.cli.answers import Problem

    told = [one.reason for one in shown if one.reason]
    return [
        Problem(text, level="warning")
        for text in problems
        if not any(reason in text or text in reason for reason in told)
    ]


def warnings_of(states: Iterable[ContainerState]) -> list[Problem]:
    """Returns what containers do not agree about, each once."""
    from mizzen.cli.answers import Problem

    return [Problem(text, level="warning") for text in dict.fromkeys(text for one in states for text in one.warnings)]


def troubled(states: Iterable[ContainerState]) -> list[ContainerState]:
    """Returns those that are not what they should be: refused, or on the way."""
    return [one for one in states if one.state in _COLORS]


def short_table(states: Iterable[ContainerState]) -> str:
    """Draws containers with no more than what they are and why."""
    rows = [(one.name, one.project or "-", _colored(one.state), one.reason or "-") for one in states]
    return table(("CONTAINER", "PROJECT", "STATE", "REASON"), rows)


def proxy_kind(instance: Instance) -> str:
    """Says what serves an instance: ``sidecar``, ``node``, both while it changes, or "" where it is outside the mesh."""
    own = f"{instance.name}.{instance.namespace}"
    return ",".join("sidecar" if proxy == own else "node" for proxy in proxies_of(instance))


def _not_found(targets: Iterable[str]) -> list[Problem]:
    from mizzen.cli.answers import Problem

    return [Problem(f"no container or project {target} runs", code="NotFound") for target in targets]


def _table(rows: Sequence[tuple[ContainerState, Instance | None]], *, wide: bool) -> str:
    more = ("INSTANCE", "SERVICES", "ADDRESS", "ID") if wide else ()
    headers = ("NAME", "PROJECT", "STATE", "PROXY", "READY", "PORTS", *more, "REASON")
    return table(headers, (_row(one, instance, wide=wide) for one, instance in rows))


def _row(one: ContainerState, instance: Instance | None, *, wide: bool) -> tuple[str, ...]:
    facts = _facts(one, instance)
    ready = {True: "yes", False: "no", None: "-"}[facts["ready"]]
    cells = [one.name, one.project, _colored(one.state), facts["proxy"], ready, ",".join(facts["ports"])]
    if wide:
        own = f"{one.instance}.{one.namespace}" if one.instance else ""
        cells += [own, ",".join(facts["services"]), facts["address"], one.id[:12]]
    return tuple(cell or "-" for cell in [*cells, facts["reason"]])


def _facts(one: ContainerState, instance: Instance | None) -> dict[str, Any]:
    """Returns all that is known of a container, as it is shown as JSON."""
    labels: Mapping[str, str] = instance.labels if instance else {}
    return {
        "name": one.name,
        "id": one.id,
        "project": one.project,
        "state": one.state,
        "reason": "; ".join(filter(None, (one.reason or (instance.message if instance else ""), *one.warnings))),
        "instance": one.instance,
        "namespace": one.namespace,
        "proxy": proxy_kind(instance) if instance else "",
        "ready": instance.ready if instance else None,
        "address": instance.address if instance else "",
        "ports": [f"{port.number}/{port.app_protocol or 'tcp'}" for port in instance.ports] if instance else [],
        "services": [name.removeprefix(_SERVICE_LABEL) for name in labels if name.startswith(_SERVICE_LABEL)],
    }


def _colored(state: str) -> str:
    return click.style(state, fg=_COLORS[state]) if state in _COLORS else state
