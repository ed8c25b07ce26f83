"""``restart``: replaces the instances of a workload one after the other, without a failing request."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from mizzen.cli.choosing import Choice
from mizzen.cli.completing import complete_workload
from mizzen.cli.options import DURATION, WORKLOAD, connect, mesh_options, namespace_option
from mizzen.cli.output import Complaint, count, note, on_terminal

if TYPE_CHECKING:
    from collections.abc import Callable

    from mizzen.cli.client import Client
    from mizzen.registry.reports import Instance

# Each step of a restart makes a new version; where one does not, the question is asked again after this time.
_GLANCE = 1.0


@click.command(short_help="Replace the instances of a workload.")
@click.argument("workload", type=WORKLOAD, shell_complete=complete_workload)
@click.option("--wait/--no-wait", default=True, show_default=True, help="Wait until all instances are new and ready.")
@click.option("--timeout", type=DURATION, default="5m", show_default=True, help="The longest time to wait.")
@namespace_option
@mesh_options
def restart(choice: Choice, workload: str, wait: bool, timeout: float, namespace: str) -> None:
    """Replace the instances of a workload, one after the other, and wait until all are ready."""
    with connect(choice) as client:
        before = _instances(client, namespace, workload)
        changed = client.restart(namespace, workload)
        click.echo(f"workload.mizzen.dev/{workload} restarted")
        if wait:
            _wait(client, namespace, workload, before, version=changed.version, timeout=timeout)


def _wait(
    client: Client, namespace: str, workload: str, before: list[Instance], *, version: int, timeout: float
) -> None:
    started = time.monotonic()
    if not on_terminal():
        _until_replaced(client, namespace, workload, before, version, started + timeout, lambda _text: None)
    else:
        from rich.console import Console

        with Console(stderr=True).status(f"Restarting {workload}") as display:
            _until_replaced(client, namespace, workload, before, version, started + timeout, display.update)
    note(f"{count(len(before), 'instance')} replaced after {time.monotonic() - started:.1f} s")


def _until_replaced(
    client: Client,
    namespace: str,
    workload: str,
    before: list[Instance],
    version: int,
    deadline: float,
    show: Callable[[str], None],
) -> None:
    # A gateway has no application, and so no process of its own but a proxy.
    old = {(instance.pid, instance.uid) for instance in before}
    while True:
        now = _instances(client, namespace, workload)
        new = [instance for instance in now if instance.ready and (instance.pid, instance.uid) not in old]
        if len(new) >= len(before) and len(new) == len(now):
            return
        waiting = ", ".join(_state(instance) for instance in now if instance not in new) or "no instance runs"
        show(f"Restarting {workload}: {len(new)} of {len(before)} replaced ({waiting})")
        left = deadline - time.monotonic()
        if left <= 0:
            raise Complaint(
                f"{len(new)} of {count(len(before), 'instance')} of {workload} replaced in time: {waiting}",
                hint=f"It goes on. See: mizzen status; mizzen logs {workload} -n {namespace}",
            )
        client.synced(version, min(left, _GLANCE))
        version = max(version, client.version().snapshot) + 1


def _state(instance: Instance) -> str:
    return f"{instance.name} {instance.phase}{f': {instance.message}' if instance.message else ''}"


def _instances(client: Client, namespace: str, workload: str) -> list[Instance]:
    return [each for each in client.instances() if each.namespace == namespace and each.workload == workload]
