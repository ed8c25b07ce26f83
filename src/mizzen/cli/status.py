"""``status``: the whole mesh on one page: its proxies and what they have acknowledged, its workloads, its problems."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from mizzen.cli import containers
from mizzen.cli.choosing import Choice
from mizzen.cli.options import connect, mesh_options, output_option
from mizzen.cli.output import as_json, count, duration, print_problems, table
from mizzen.cli.proxies import proxies_of

if TYPE_CHECKING:
    from mizzen.cli.answers import Problem, Proxy, TypeState, Version
    from mizzen.registry.reports import ContainerState, Instance

_TYPES = ("CDS", "LDS", "EDS", "RDS")
_COLORS = {"ERROR": "red", "STALE": "yellow", "NOT SENT": "yellow"}


@dataclass(frozen=True)
class _Facts:
    """All that the page shows, fetched once."""

    about: Version
    proxies: Sequence[Proxy]
    instances: Sequence[Instance]
    containers: Sequence[ContainerState]
    problems: Sequence[Problem]

    @property
    def members(self) -> Sequence[Instance]:
        """The instances in the mesh: not the containers that were seen beside it."""
        return [instance for instance in self.instances if proxies_of(instance)]


@click.command(short_help="Show proxies, workloads and problems.")
@output_option("json")
@mesh_options
def status(choice: Choice, output: str | None) -> None:
    """Show each proxy's configuration state, each workload's instances, and what is wrong.

    SYNCED: acknowledged. STALE: sent, not acknowledged yet. NOT SENT: nothing to send. ERROR: refused by Envoy, which
    keeps what it had; its words stand below. IGNORED: never asked for. Containers are shown that should be in the mesh and
    are not; mizzen containers shows all.
    """
    with connect(choice) as client:
        about, found = client.version(), client.containers()
        troubled = containers.troubled(found.items)
        members = [one for one in found.items if one.state != "Outside"]
        problems = (
            *client.resources().problems,
            *containers.node_problems(found.problems, troubled),
            *containers.warnings_of(members),
        )
        facts = _Facts(about, client.proxies(), client.instances(), found.items, problems)
    if output == "json":
        import msgspec

        click.echo(
            as_json(
                msgspec.to_builtins({field.name: getattr(facts, field.name) for field in dataclasses.fields(facts)})
            )
        )
        return
    now = time.time()
    blocks = [
        _summary(facts),
        _proxies(facts.proxies, now),
        *_refusals(facts.proxies),
        _workloads(facts.members, now),
        _gateways(facts.members),
        containers.short_table(troubled) if troubled else "",
    ]
    click.echo("\n\n".join(block for block in blocks if block))
    if facts.problems:
        click.echo(err=True)
        print_problems(facts.problems)


def _summary(facts: _Facts) -> str:
    about = facts.about
    behind = [proxy for proxy in facts.proxies if not proxy.connected or any(map(_open, proxy.types.values()))]
    proxies = count(len(facts.proxies), "proxy")
    state = f"{len(behind)} of {proxies} not in sync" if behind else f"{proxies} in sync"
    ready = sum(instance.ready for instance in facts.members)
    return (
        f"mesh {about.mesh} ({about.capture} capture, trust domain {about.trust_domain}): version {about.snapshot},"
        f" {state}, {ready} of {count(len(facts.members), 'instance')} ready"
    )


def _open(state: TypeState) -> bool:
    return state.state in ("STALE", "ERROR")


def _proxies(proxies: Sequence[Proxy], now: float) -> str:
    rows = []
    for proxy in sorted(proxies, key=lambda proxy: proxy.id):
        unknown = "IGNORED" if proxy.connected else "-"
        states = [proxy.types[type_].state if type_ in proxy.types else unknown for type_ in _TYPES]
        since = duration(now - proxy.connected_since) if proxy.connected_since else "yes"
        connected = since if proxy.connected else click.style("no", fg="red")
        version = "-" if proxy.version is None else str(proxy.version)
        rows.append((proxy.id, *map(_colored, states), version, connected))
    return table(("NAME", *_TYPES, "VERSION", "CONNECTED"), rows) if rows else "No proxy has connected yet."


def _colored(state: str) -> str:
    return click.style(state, fg=_COLORS[state]) if state in _COLORS else state


def _refusals(proxies: Sequence[Proxy]) -> list[str]:
    """Returns Envoy's words, once for all the proxies that say the same."""
    said: dict[tuple[str, str], list[str]] = {}
    for proxy in sorted(proxies, key=lambda proxy: proxy.id):
        for type_, state in proxy.types.items():
            if state.error:
                said.setdefault((type_, state.error), []).append(proxy.id)
    lines = [
        f"{click.style('refused:', fg='red', bold=True)} {type_} by {', '.join(ids)}: {error}"
        for (type_, error), ids in said.items()
    ]
    return ["\n".join(lines)] if lines else []


def _workloads(instances: Sequence[Instance], now: float) -> str:
    if not instances:
        return "No workload runs."
    rows = [
        (
            f"{instance.name}.{instance.namespace}",
            instance.phase if instance.phase != "Backoff" else click.style(instance.phase, fg="red"),
            "yes" if instance.ready else "no",
            f"{instance.restarts}/{instance.proxy_restarts}",
            duration(now - instance.started) if instance.started else "-",
            instance.message or "-",
        )
        for instance in sorted(instances, key=lambda instance: (instance.namespace, instance.name))
    ]
    return table(("INSTANCE", "PHASE", "READY", "RESTARTS (APP/PROXY)", "AGE", "MESSAGE"), rows)


def _gateways(instances: Sequence[Instance]) -> str:
    """Returns where gateways are called, if there are any."""
    from mizzen.registry.gateway_urls import url

    rows = [
        (f"{one.name}.{one.namespace}", str(socket.number), url(socket, one.address) or "no port is free")
        for one in sorted(instances, key=lambda one: (one.namespace, one.name))
        for socket in one.sockets
    ]
    return table(("GATEWAY", "PORT", "URL"), rows) if rows else ""
