"""Completion of words in the shell: the script for it, and the names that the running mesh knows.

A completion must never disturb: where no mesh runs, or the question cannot be answered at once, there is nothing to
offer and nothing is said.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, TypeAlias

import click
from click.shell_completion import CompletionItem, get_completion_class

from mizzen.cli.choosing import running
from mizzen.cli.options import choice_of
from mizzen.cli.output import Complaint

if TYPE_CHECKING:
    from mizzen.cli.client import Client

Items: TypeAlias = list[CompletionItem]

_PATIENCE = 1.0  # seconds; a person waits for the word


@click.command(short_help="Print the script for completion in a shell.")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the script that makes a shell complete mizzen's words.

    \b
    bash: source <(mizzen completion bash)      in ~/.bashrc
    zsh:  source <(mizzen completion zsh)       in ~/.zshrc
    fish: mizzen completion fish > ~/.config/fish/completions/mizzen.fish
    """  # noqa: D301 - the backspace is click's sign for lines that stay as they are
    known = get_completion_class(shell)
    if known is None:
        raise Complaint(f"completion for {shell} is not available")
    click.echo(known(context.find_root().command, {}, "mizzen", "_MIZZEN_COMPLETE").source())


def complete_kind(context: click.Context, param: click.Parameter, incomplete: str) -> Items:
    """Offers kinds; after a comma the next one."""
    from mizzen.cli import kinds

    del context, param
    before, comma, word = incomplete.rpartition(",")
    names = [*kinds.names(), *(() if comma else ((name, "containers") for name in kinds.CONTAINERS[:1]))]
    offered = [CompletionItem(f"{before}{comma}{name}", help=kind) for name, kind in names]
    return [item for item in offered if item.value.startswith(f"{before}{comma}{word.lower()}")]


def complete_resource(context: click.Context, param: click.Parameter, incomplete: str) -> Items:
    """Offers the resources of the kind that stands before."""
    del param

    def ask(client: Client) -> Iterable[str]:
        from mizzen.cli import kinds

        if context.params.get("kind") in kinds.CONTAINERS:
            return (one.name for one in client.containers().items)
        wanted = kinds.kind(str(context.params.get("kind") or ""))
        listing = client.resources(wanted.kind, str(context.params.get("namespace") or ""))
        return (item["metadata"]["name"] for item in listing.items)

    return _offer(context, incomplete, ask)


def complete_workload(context: click.Context, param: click.Parameter, incomplete: str) -> Items:
    """Offers workloads and their instances."""
    del param

    def ask(client: Client) -> Iterable[str]:
        namespace = str(context.params.get("namespace") or "default")
        here = [instance for instance in client.instances() if instance.namespace == namespace]
        return [*(instance.workload for instance in here), *(instance.name for instance in here)]

    return _offer(context, incomplete, ask)


def complete_proxy(context: click.Context, param: click.Parameter, incomplete: str) -> Items:
    """Offers instances by the name that ``mizzen status`` shows, and the proxies of nodes."""
    del param

    def ask(client: Client) -> Iterable[str]:
        from mizzen.cli.proxies import proxies_of

        instances = [f"{each.name}.{each.namespace}" for each in client.instances() if proxies_of(each)]
        return [*instances, *(proxy.id for proxy in client.proxies())]

    return _offer(context, incomplete, ask)


def complete_container(context: click.Context, param: click.Parameter, incomplete: str) -> Items:
    """Offers containers and Compose projects."""
    del param

    def ask(client: Client) -> Iterable[str]:
        return [name for one in client.containers(look=True).items for name in (one.name, one.project) if name]

    return _offer(context, incomplete, ask)


def _offer(context: click.Context, incomplete: str, ask: Callable[[Client], Iterable[str]]) -> Items:
    from mizzen.cli.client import Client

    with contextlib.suppress(Complaint, OSError):
        mesh = running(choice_of(context))
        with Client(mesh, patience=_PATIENCE) as client:
            return [CompletionItem(name) for name in sorted(set(ask(client))) if name.startswith(incomplete)]
    return []
