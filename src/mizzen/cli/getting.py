"""``get`` and ``history``: shows the mesh's resources as kubectl does, and how one came to be what it is."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from mizzen.cli import containers, kinds, listing
from mizzen.cli.choosing import Choice
from mizzen.cli.completing import complete_kind, complete_resource
from mizzen.cli.options import connect, mesh_options, namespace_option, output_option
from mizzen.cli.output import Complaint, as_json, as_yaml, duration, note, print_problems, shown, table

if TYPE_CHECKING:
    from mizzen.cli.answers import Key
    from mizzen.cli.client import Client


# What stands around that which a resource says: its spec, or the data of a Secret.
_AROUND = frozenset({"apiVersion", "kind", "metadata", "status", "source"})


@click.command(short_help="Show resources.")
@click.argument("kind", shell_complete=complete_kind)
@click.argument("names", metavar="[NAME]...", nargs=-1, shell_complete=complete_resource)
@namespace_option
@click.option("-A", "--all-namespaces", is_flag=True, help="Those of every namespace.")
@output_option("wide", "yaml", "json", "name")
@mesh_options
def get(
    choice: Choice, kind: str, names: tuple[str, ...], namespace: str, all_namespaces: bool, output: str | None
) -> None:
    """Show resources: KIND is for example vs, virtualservices or vs,dr, or all; KIND/NAME is allowed too.

    With -o yaml and -o json the answer can be applied again. Services that nobody wrote, but were found among containers,
    are shown, too; their SOURCE (-o wide) is the container engine. For "containers" see mizzen containers.
    """
    if kind.partition("/")[0] in kinds.CONTAINERS:
        containers.show(choice, (kind, *names) if "/" in kind else names, output)
        return
    if all_namespaces and names:
        raise click.UsageError("A resource is not asked for by name in all namespaces; use -n.")
    wanted = _wanted(kind, names)
    with connect(choice) as client:
        found, missing = _fetch(client, wanted, "" if all_namespaces else namespace)
        if output in ("yaml", "json", "name"):
            _print_documents(found, output, single=len(found) == 1 and any(name for _, name in wanted))
        elif found:
            instances = client.instances() if any(item["kind"] == "Workload" for item in found) else ()
            wide = output == "wide"
            mixed = len({each.kind for each, _ in wanted}) > 1
            click.echo(listing.render(found, instances, wide=wide, namespaces=all_namespaces, mixed=mixed))
    if not found and not missing:
        note("No resources found" if all_namespaces else f"No resources found in {namespace} namespace.")
    print_problems(missing)
    if missing:
        raise click.exceptions.Exit(1)


@click.command(short_help="Show the changes of a resource.")
@click.argument("kind", shell_complete=complete_kind)
@click.argument("name", shell_complete=complete_resource)
@namespace_option
@click.option("--revision", type=int, default=None, help="Print the resource as it was in this version.")
@output_option("json")
@mesh_options
def history(choice: Choice, kind: str, name: str, namespace: str, revision: int | None, output: str | None) -> None:
    """Show the changes of one resource, the oldest first."""
    from mizzen.cli.answers import Key

    key = Key(kinds.kind(kind).kind, namespace, name)
    with connect(choice) as client:
        events = client.history(key).items
    if revision is not None:
        click.echo(_text_of(events, revision, key).removesuffix("\n"))
    elif output == "json":
        import msgspec

        click.echo(as_json(msgspec.to_builtins(events)))
    elif not events:
        raise Complaint(f"{key} has no history", hint=f"See: mizzen get {kind} -n {namespace}")
    else:
        now = time.time()
        rows = [
            (str(event.version), event.action, duration(now - event.time), f"{shown(event.file)}:{event.line}")
            for event in reversed(events)
        ]
        click.echo(table(("REVISION", "ACTION", "AGE", "SOURCE"), rows))


def _text_of(events: tuple[Any, ...], revision: int, key: Key) -> str:
    for event in events:
        if event.version == revision:
            return str(event.text)
    known = ", ".join(str(event.version) for event in events)
    raise Complaint(f"{key} has no revision {revision}", hint=f"Known: {known}" if known else "")


def _wanted(kind: str, names: tuple[str, ...]) -> list[tuple[kinds.KindName, str]]:
    """Returns pairs of a kind and a name; the name is "" where all of the kind are wanted."""
    if "/" in kind:
        pairs = [pair.partition("/") for pair in (kind, *names)]
        if not all(separator and name for _, separator, name in pairs):
            raise click.UsageError("After KIND/NAME, give only more of that form.")
        return [(found, name) for each, _, name in pairs for found in kinds.kinds(each)]
    return [(found, name) for found in kinds.kinds(kind) for name in (names or ("",))]


def _fetch(
    client: Client, wanted: list[tuple[kinds.KindName, str]], namespace: str
) -> tuple[list[dict[str, Any]], list[Any]]:
    """Returns the resources, and a problem for each name that does not exist."""
    from mizzen.cli.answers import Key, Problem

    found: list[dict[str, Any]] = []
    missing = []
    for kind, name in wanted:
        items = client.resources(kind.kind, namespace, name).items
        found.extend(sorted(items, key=lambda item: (item["metadata"]["namespace"], item["metadata"]["name"])))
        if name and not items:
            key = Key(kind.kind, namespace, name)
            missing.append(Problem("not found", code="NotFound", resource=key))
    return found, missing


def _print_documents(items: list[dict[str, Any]], output: str, *, single: bool) -> None:
    if output == "name":
        for item in items:
            click.echo(f"{kinds.kind(item['kind']).qualified}/{item['metadata']['name']}")
    elif output == "yaml":
        if items:
            click.echo("\n---\n".join(as_yaml(_document(item)) for item in items))
    elif single:
        click.echo(as_json(_document(items[0])))
    else:
        click.echo(as_json({"apiVersion": "v1", "kind": "List", "items": [_document(item) for item in items]}))


def _document(item: dict[str, Any]) -> dict[str, Any]:
    """Returns a resource as a document that can be applied again, with its status for people to read."""
    metadata = {key: value for key, value in item["metadata"].items() if value and key != "creationOrder"}
    said = {key: value for key, value in item.items() if key not in _AROUND}
    document = {"apiVersion": item["apiVersion"], "kind": item["kind"], "metadata": metadata, **said}
    return document | ({"status": item["status"]} if item.get("status") else {})
