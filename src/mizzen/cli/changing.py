"""``apply`` and ``delete``: change the mesh's resources as kubectl does, and say when the change is live."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import click

from mizzen.cli import files, kinds
from mizzen.cli.choosing import Choice
from mizzen.cli.completing import complete_kind, complete_resource
from mizzen.cli.options import Wait, connect_to_change, mesh_options, namespace_option, unnamed_option, wait_options
from mizzen.cli.output import Complaint, print_problems

if TYPE_CHECKING:
    from mizzen.cli.answers import Changed, Key
    from mizzen.cli.client import Client


@click.command(short_help="Create or change the resources in files.")
@files.file_option(required=True)
@files.recursive_option
@unnamed_option
@click.option("--dry-run", is_flag=True, help="Check the files against the running mesh, and change nothing.")
@click.option(
    "--force", is_flag=True, help="Apply also what conflicts with other resources, leads nowhere or has no effect."
)
@wait_options
@mesh_options
def apply(
    choice: Choice,
    filenames: tuple[str, ...],
    recursive: bool,
    namespace: str,
    dry_run: bool,
    force: bool,
    wait: Wait,
) -> None:
    """Create or change the resources in files.

    All of them are taken, or none. Two owners of a host, a route to a host or subset that there is not and a rule that no
    request reaches are refused, unless with --force. A change is live when every proxy concerned has acknowledged it;
    --wait returns then, and fails with Envoy's words where a proxy refuses it.
    """
    texts = files.read(filenames, recursive=recursive)
    with connect_to_change(choice) as client:
        changed = client.apply(texts, namespace=namespace, dry_run=dry_run, force=force)
        _finish(client, changed, wait, dry_run=dry_run)


@click.command(short_help="Delete resources by name or by file.")
@click.argument("kind", required=False, shell_complete=complete_kind)
@click.argument("names", nargs=-1, shell_complete=complete_resource)
@files.file_option(required=False)
@files.recursive_option
@namespace_option
@click.option("--ignore-not-found", is_flag=True, help="Do not fail for what does not exist.")
@click.option(
    "--force", is_flag=True, help="Delete also what other resources need, such as a subset that is routed to."
)
@wait_options
@mesh_options
def delete(  # noqa: PLR0913, PLR0917 - its options
    choice: Choice,
    kind: str | None,
    names: tuple[str, ...],
    filenames: tuple[str, ...],
    recursive: bool,
    namespace: str,
    ignore_not_found: bool,
    force: bool,
    wait: Wait,
) -> None:
    """Delete resources, by KIND and NAMES (or KIND/NAME ...) or those in files."""
    keys = _from_arguments(kind, names, filenames, namespace) or _from_files(filenames, recursive, namespace)
    with connect_to_change(choice) as client:
        changed = _delete(client, keys, ignore_not_found=ignore_not_found, force=force)
        if changed is not None:
            _finish(client, changed, wait)


def _finish(client: Client, changed: Changed, wait: Wait, *, dry_run: bool = False) -> None:
    for result in changed.results:
        name = f"{kinds.kind(result.kind).qualified}/{result.name}"
        if result.action == "deleted":
            name = f'{kinds.kind(result.kind).qualified} "{result.name}"'
        click.echo(f"{name} {result.action}{' (dry run)' if dry_run else ''}")
    print_problems(changed.warnings)
    if dry_run or not wait.wanted:
        return
    from mizzen.cli import waiting
    from mizzen.cli.client import AwayError

    try:
        waiting.wait(client, changed.version, wait.timeout)
    except AwayError as away:
        raise Complaint(
            f"the change is made; which proxies have it is not known: {away.message}", hint=away.hint
        ) from away


def _delete(client: Client, keys: list[Key], *, ignore_not_found: bool, force: bool) -> Changed | None:
    """Deletes all the keys, or those that exist; None where there is nothing to delete."""
    try:
        return client.delete(keys, force=force)
    except Complaint as complaint:
        missing = {problem.resource for problem in complaint.problems if problem.code == "NotFound"}
        existing = [key for key in keys if key not in missing]
        if missing and not ignore_not_found and len(keys) > 1:
            raise Complaint("nothing was deleted", complaint.problems) from complaint
        if not ignore_not_found or len(existing) == len(keys):
            raise
    return client.delete(existing, force=force) if existing else None


def _from_arguments(kind: str | None, names: tuple[str, ...], filenames: tuple[str, ...], namespace: str) -> list[Key]:
    from mizzen.cli.answers import Key

    if kind is None and not filenames:
        raise click.UsageError("Say what to delete: KIND NAME..., or -f FILE.")
    if kind is None:
        return []
    if filenames:
        raise click.UsageError("Give either KIND and NAMES or -f FILE, not both.")
    if "/" in kind:
        pairs = [pair.partition("/") for pair in (kind, *names)]
        if not all(separator and name for _, separator, name in pairs):
            raise click.UsageError("After KIND/NAME, give only more of that form.")
        return [Key(kinds.kind(each).kind, namespace, name) for each, _, name in pairs]
    if not names:
        raise click.UsageError(f"Say which {kind} to delete by name.")
    return [Key(kinds.kind(kind).kind, namespace, name) for name in names]


def _from_files(filenames: Iterable[str], recursive: bool, namespace: str) -> list[Key]:
    """Reads only what identifies a resource, so that one that is no longer valid can be deleted by its file."""
    from mizzen.cli.problems import displayed
    from mizzen.resources.problems import Problem
    from mizzen.resources.yaml_documents import documents

    keys: dict[Key, None] = {}
    for name, text in files.read(filenames, recursive=recursive).items():
        for document in documents(text, name):
            if isinstance(document, Problem):
                raise Complaint("nothing was deleted", displayed([document]))
            keys[_key(f"{name}:{document.line}", document.value, namespace)] = None
    if not keys:
        raise Complaint("the files hold no resource")
    return list(keys)


def _key(place: str, document: Any, namespace: str) -> Key:
    from mizzen.cli.answers import Key

    metadata = document.get("metadata") if isinstance(document, dict) else None
    if not isinstance(metadata, dict) or not metadata.get("name") or not document.get("kind"):
        raise Complaint(f"{place}: a document has no kind or no metadata.name")
    found = kinds.kind(str(document["kind"]))
    return Key(found.kind, str(metadata.get("namespace") or namespace), str(metadata["name"]))
