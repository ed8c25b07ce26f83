"""``proxy``: looks into one Envoy, as ``istioctl proxy-config`` does.

What is shown comes from the Envoy itself, through the control plane's API: what it uses, not what it should use. Of a
proxy that serves several instances it is what one of them has there, or all (``proxies.py``).
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from mizzen.cli import envoy_dump
from mizzen.cli.choosing import Choice
from mizzen.cli.completing import complete_proxy
from mizzen.cli.options import connect, mesh_options, mesh_options_beside_name, output_option
from mizzen.cli.output import as_json, as_yaml, note
from mizzen.cli.proxies import Shown, find

if TYPE_CHECKING:
    from mizzen.cli.client import Client

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")

_ALIASES: Mapping[str, str] = {
    **dict.fromkeys(("cluster", "c"), "clusters"),
    **dict.fromkeys(("endpoint", "ep"), "endpoints"),
    **dict.fromkeys(("listener", "l"), "listeners"),
    **dict.fromkeys(("route", "r"), "routes"),
    **dict.fromkeys(("secret", "s"), "secrets"),
    "all": "config",
}


_STATS_FORMS: Mapping[str, Mapping[str, str]] = {"short": {}, "json": {"format": "json"}, "yaml": {"format": "json"}}


class _Group(click.Group):
    """Takes istioctl's words for its commands too: ``cluster``, ``c``, ``ep``, ..."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return super().get_command(ctx, _ALIASES.get(cmd_name, cmd_name))


@click.group(cls=_Group, short_help="Show clusters, endpoints, listeners, routes, secrets, statistics of a proxy.")
def proxy() -> None:
    """Show what a proxy uses, as istioctl proxy-config does.

    PROXY is a name from mizzen status (reviews-v1-0.default), an instance (reviews-v1-0), a container, or a workload
    (reviews-v1), for which its first instance is shown. Of an instance that a node proxy serves, what it has there is
    shown, as of a
    sidecar; of the node proxy itself (HOST.mizzen-system) everything, under the names of its instances.
    """


@dataclass(frozen=True)
class _Named:
    """A proxy as it was typed: by a name, and by the namespace that was given with it, or "" for any."""

    name: str
    namespace: str

    def find(self, client: Client) -> Shown:
        return find(client, self.name, self.namespace)


def _named(function: F) -> F:
    """Adds PROXY and ``--namespace``; the command receives ``proxy``."""

    @functools.wraps(function)
    def command(*args: Any, proxy: str, namespace: str, **kwargs: Any) -> Any:
        return function(*args, proxy=_Named(proxy, namespace), **kwargs)

    help_text = "The namespace of PROXY. [default: any, of several default]"
    decorated = click.option("-n", "--namespace", default="", help=help_text)(command)
    return cast("F", click.argument("proxy", shell_complete=complete_proxy)(decorated))


def _proxy_argument(function: F) -> F:
    return output_option("short", "json", "yaml")(_named(function))


def _proxy_command(function: F) -> F:
    return mesh_options(_proxy_argument(function))


@proxy.command()
@_proxy_command
@click.option("--fqdn", default="", help="Only clusters of services with this in their names.")
@click.option("--port", type=int, default=None, help="Only clusters of this service port.")
@click.option("--direction", type=click.Choice(["inbound", "outbound"]), default=None)
@click.option("--subset", default="", help="Only clusters of this subset.")
def clusters(
    choice: Choice,
    proxy: _Named,
    output: str | None,
    fqdn: str,
    port: int | None,
    direction: str | None,
    subset: str,
) -> None:
    """Clusters: the services and subsets that the proxy can reach."""
    from mizzen.cli import envoy_tables

    def wanted(cluster: envoy_dump.Message) -> bool:
        name = envoy_dump.ClusterName.of(cluster["name"])
        return (
            fqdn in name.fqdn
            and (port is None or name.port == str(port))
            and direction in (None, name.direction)
            and subset in ("", name.subset)
        )

    every = envoy_dump.clusters(_ask(choice, proxy, "config_dump"))
    found = _filtered(every, wanted, "cluster", lambda cluster: str(cluster["name"]))
    _print(found, output, envoy_tables.clusters)


@proxy.command()
@_proxy_command
@click.option("--cluster", default="", help="Only endpoints of this cluster.")
@click.option("--status", default="", help="Only endpoints of this status, such as healthy.")
@click.option("--port", type=int, default=None, help="Only endpoints with this port.")
@click.option("--address", default="", help="Only endpoints with this address.")
def endpoints(
    choice: Choice,
    proxy: _Named,
    output: str | None,
    cluster: str,
    status: str,
    port: int | None,
    address: str,
) -> None:
    """Endpoints: the addresses behind each cluster, and how they are."""
    from mizzen.cli import envoy_tables

    def wanted(entry: tuple[str, envoy_dump.Message]) -> bool:
        name, host = entry
        own_address, own_port = envoy_dump.address_of(host.get("address", {}))
        return (
            cluster in ("", name)
            and status.upper() in ("", envoy_tables.health(host))
            and port in (None, own_port)
            and address in ("", own_address)
        )

    every = list(envoy_dump.hosts(_ask(choice, proxy, "clusters", {"format": "json"})))
    found = _filtered(every, wanted, "endpoint", lambda entry: f"{envoy_tables.endpoint(entry[1])} of {entry[0]}")
    if output in ("json", "yaml"):
        _print([{"cluster": name, **host} for name, host in found], output, str)
    else:
        click.echo(envoy_tables.endpoints(found))


@proxy.command()
@_proxy_command
@click.option("--port", type=int, default=None, help="Only listeners on this port.")
@click.option("--address", default="", help="Only listeners on this address.")
def listeners(choice: Choice, proxy: _Named, output: str | None, port: int | None, address: str) -> None:
    """Listeners: where the proxy takes connections, and where it sends them."""
    from mizzen.cli import envoy_tables

    def wanted(listener: envoy_dump.Message) -> bool:
        own_address, own_port = envoy_dump.listens_on(listener)
        return port in (None, own_port) and address in ("", own_address)

    every = envoy_dump.listeners(_ask(choice, proxy, "config_dump"))
    found = _filtered(every, wanted, "listener", envoy_tables.listener)
    _print(found, output, envoy_tables.listeners)


@proxy.command()
@mesh_options_beside_name
@_proxy_argument
@click.option("--name", "route_name", default="", help="Only the route configuration of this name.")
def routes(choice: Choice, proxy: _Named, output: str | None, route_name: str) -> None:
    """Routes: which requests go where, and which VirtualService says so."""
    from mizzen.cli import envoy_tables

    every = envoy_dump.routes(_ask(choice, proxy, "config_dump"))
    found = _filtered(
        every, lambda route: route_name in ("", route.get("name", "")), "route", lambda route: route.get("name", "-")
    )
    _print(found, output, envoy_tables.routes)


@proxy.command()
@_proxy_command
def secrets(choice: Choice, proxy: _Named, output: str | None) -> None:
    """Secrets: the certificates of the proxy and the roots that it trusts. Private keys are never shown."""
    import datetime as dt

    from mizzen.cli import envoy_tables

    found = envoy_dump.secrets(_ask(choice, proxy, "config_dump"))
    if output in ("json", "yaml"):
        _print([{"name": each.name, "state": each.state, "secret": each.secret} for each in found], output, str)
    else:
        click.echo(envoy_tables.secrets(found, dt.datetime.now(dt.UTC)))


@proxy.command()
@_proxy_command
def config(choice: Choice, proxy: _Named, output: str | None) -> None:
    """Everything: Envoy's whole config_dump, with its endpoints."""
    dump = _ask(choice, proxy, "config_dump", {"include_eds": "true"})
    click.echo(as_yaml(dump) if output == "yaml" else as_json(dump))


@proxy.command()
@mesh_options
@_named
@click.option("--filter", "wanted", metavar="REGEX", default="", help="Only statistics with this in their names (RE2).")
@click.option(
    "-o",
    "--output",
    type=click.Choice(("short", "json", "yaml", "prom")),
    default="short",
    help="The form of the answer.",
)
def stats(choice: Choice, proxy: _Named, output: str, wanted: str) -> None:
    """Statistics: what Envoy counts, as it says it itself; -o prom in the form of Prometheus."""
    path, query = ("stats/prometheus", {}) if output == "prom" else ("stats", _STATS_FORMS[output])
    with connect(choice) as client:
        found = proxy.find(client).stats(client, wanted, path, query)
    if output in ("json", "yaml"):
        told = json.loads(found)
        found = as_yaml(told) if output == "yaml" else as_json(told)
    elif not found.strip():
        note("no statistic matches" if wanted else "there are no statistics")
    click.echo(found.rstrip("\n"))


def _filtered(every: list[T], wanted: Callable[[T], bool], noun: str, name: Callable[[T], str]) -> list[T]:
    """Returns those that are wanted; where that is none, says which there are."""
    found = [each for each in every if wanted(each)]
    if every and not found:
        note(f"no {noun} matches; there are: {', '.join(dict.fromkeys(map(name, every)))}")
    return found


def _print(found: Iterable[Any], output: str | None, draw: Callable[[Iterable[Any]], str]) -> None:
    if output == "json":
        click.echo(as_json(list(found)))
    elif output == "yaml":
        click.echo(as_yaml(list(found)))
    else:
        click.echo(draw(found))


def _ask(choice: Choice, proxy: _Named, path: str, query: Mapping[str, str] | None = None) -> dict[str, Any]:
    with connect(choice) as client:
        return proxy.find(client).ask(client, path, query)
