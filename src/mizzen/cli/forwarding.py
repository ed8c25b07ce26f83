"""``port-forward``: opens a local port that leads to an application, past its sidecar, as kubectl's does to a pod."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from mizzen.cli.choosing import Choice
from mizzen.cli.completing import complete_workload
from mizzen.cli.executing import check_may_enter
from mizzen.cli.options import WORKLOAD, connect, mesh_options, namespace_option
from mizzen.cli.output import Complaint
from mizzen.registry.calling import called, excluded

if TYPE_CHECKING:
    from mizzen.cli.client import Client
    from mizzen.registry.reports import Instance, InstancePort


class PortPair(click.ParamType[tuple[int, str]]):
    """``[LOCAL:]PORT``: LOCAL is a number, empty or 0 for any free port; PORT a declared number or name."""

    name = "[LOCAL:]PORT"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, str]:
        if isinstance(value, tuple):
            return value
        local, colon, remote = value.rpartition(":")
        if not colon:
            local = remote if remote.isdigit() else "0"
        if not re.fullmatch(r"\d{0,5}", local) or int(local or 0) > 65535 or not remote:
            self.fail(f"{value!r} is not [LOCAL:]PORT, such as 8080:9080, 9080 or :9080.", param, ctx)
        return int(local or 0), remote


@dataclass(frozen=True)
class Target:
    """Where an application listens: on loopback, in its network namespace if it has one (path, or "")."""

    port: int
    netns: str = ""


@click.command("port-forward", short_help="Open local ports to an application.")
@click.argument("workload", type=WORKLOAD, shell_complete=complete_workload)
@click.argument("ports", metavar="[LOCAL:]PORT...", nargs=-1, required=True, type=PortPair())
@click.option("--address", default="127.0.0.1", show_default=True, help="The local address to listen on.")
@namespace_option
@mesh_options
def port_forward(
    choice: Choice, workload: str, ports: tuple[tuple[int, str], ...], address: str, namespace: str
) -> None:
    """Open local ports that lead to the application of a workload, or of one of its instances.

    The requests go to the application itself, not through its sidecar. Ends with Ctrl-C.
    """
    with connect(choice) as client:
        instance = _instance(client, namespace, workload)
        netns = client.exec_context(instance.namespace, instance.name).netns
    check_may_enter(instance.name, netns)
    found = [(local, _port(instance, remote)) for local, remote in ports]
    import asyncio

    asyncio.run(_forward(address, [(local, port.number, Target(port.application, netns)) for local, port in found]))


def _instance(client: Client, namespace: str, name: str) -> Instance:
    """Returns the instance that a name means (see :mod:`mizzen.registry.calling`); of several the first ready one."""
    instances, containers = client.instances(), client.containers().items
    mine = called(name, namespace, instances, containers)
    if not mine:
        if container := excluded(name, containers):
            raise Complaint(f"container {name} is not in the mesh: {container.reason}", hint="See: mizzen containers")
        known = ", ".join(sorted({each.workload for each in instances if each.namespace == namespace})) or "none"
        raise Complaint(f"there is no workload {name} in namespace {namespace}", hint=f"Workloads: {known}.")
    return next((each for each in mine if each.ready), mine[0])


def _port(instance: Instance, wanted: str) -> InstancePort:
    for port in instance.ports:
        if wanted in (str(port.number), port.name):
            return port
    known = ", ".join(f"{port.number} {port.name}".rstrip() for port in instance.ports) or "none"
    raise Complaint(f"{instance.name} has no port {wanted}", hint=f"Its ports: {known}.")


async def _forward(address: str, ports: list[tuple[int, int, Target]]) -> None:
    """Listens until it is cancelled; all ports are open, or none."""
    import asyncio

    from mizzen.cli.tunnel import Tunnel

    servers: list[asyncio.Server] = []
    try:
        for local, _, target in ports:
            try:
                servers.append(await asyncio.start_server(Tunnel(target).serve, address, local))
            except OSError as error:
                raise Complaint(
                    f"cannot listen on {address}:{local}: {os.strerror(error.errno or 0)}",
                    hint="Choose another port, or any free one with :PORT.",
                ) from error
        for server, (_, number, target) in zip(servers, ports, strict=True):
            own = server.sockets[0].getsockname()[1]
            click.echo(f"Forwarding http://{address}:{own} -> {number} (the application's port {target.port})")
        async with asyncio.TaskGroup() as group:
            for server in servers:
                group.create_task(server.serve_forever())
    finally:
        for server in servers:
            server.close()
