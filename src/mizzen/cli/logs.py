"""``logs``: what a workload's application printed, or its proxy."""

from __future__ import annotations

import sys

import click

from mizzen.cli.choosing import Choice
from mizzen.cli.completing import complete_workload
from mizzen.cli.options import WORKLOAD, connect, mesh_options, namespace_option


@click.command(short_help="Print the log of an application or proxy.")
@click.argument("name", metavar="WORKLOAD|INSTANCE|PROXY", type=WORKLOAD, shell_complete=complete_workload)
@click.option("-f", "--follow", is_flag=True, help="Go on with what is printed from now on; ends with Ctrl-C.")
@click.option("--tail", type=click.IntRange(min=0), default=None, metavar="N", help="Only the last N lines.")
@click.option("--proxy", is_flag=True, help="The proxy's log instead of the application's.")
@namespace_option
@mesh_options
def logs(choice: Choice, name: str, follow: bool, tail: int | None, proxy: bool, namespace: str) -> None:
    """Print the log of a workload or of one instance; of a proxy (reviews-v1-0.default) that proxy's.

    Where a workload has several instances, each line begins with the instance's name. Instances without a sidecar have
    the log of the node proxy, with --proxy. What a container's application prints is in the log of its engine.
    """
    options = {"follow": str(follow).lower(), "proxy": str(proxy).lower()}
    if tail is not None:
        options["tail"] = str(tail)
    with connect(choice) as client:
        if "." in name:
            # Names of workloads and instances have no dot; that of a proxy ends in its namespace, after perhaps a host.
            name, _, namespace = name.rpartition(".")
            options["proxy"] = "true"
        with client.logs(namespace, name, **options) as chunks:
            for chunk in chunks:
                sys.stdout.buffer.write(chunk)
                sys.stdout.buffer.flush()
