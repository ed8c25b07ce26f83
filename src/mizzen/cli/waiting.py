"""Waits until a change is live: until every live proxy concerned has acknowledged its version."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from mizzen.cli.output import Complaint, count, note, on_terminal, shown

if TYPE_CHECKING:
    from mizzen.cli.answers import Rejected, Synced
    from mizzen.cli.client import Client

# How often the display says how far it is. Each question is answered at once when the wait is over.
_GLANCE = 0.5


def wait(client: Client, version: int, timeout: float) -> None:
    """Returns when the version is live; raises :class:`Complaint` for who has not acknowledged or has refused it."""
    started = time.monotonic()
    answer = _watched(client, version, started + timeout) if on_terminal() else client.synced(version, timeout)
    report(answer, timeout, time.monotonic() - started)


def _watched(client: Client, version: int, deadline: float) -> Synced:
    from rich.console import Console

    with Console(stderr=True).status("Waiting for the proxies") as display:
        while True:
            left = max(deadline - time.monotonic(), 0)
            answer = client.synced(version, min(left, _GLANCE))
            if not answer.pending or left == 0:
                return answer
            done = len(answer.synced)
            display.update(f"Waiting for the proxies: {done} of {done + len(answer.pending)} have acknowledged")


def report(answer: Synced, timeout: float, took: float) -> None:
    """Says how a wait ended; a refusal or a proxy that has not answered is a :class:`Complaint`."""
    if not answer.pending and not answer.rejected:
        if answer.synced:
            note(f"live on {count(len(answer.synced), 'proxy')} after {_spoken(took)}")
        else:
            note("accepted; no proxy is connected that it concerns")
        return
    for line in rejections(answer.rejected):
        click.echo(line, err=True)
    for pending in answer.pending:
        what = f" ({', '.join(pending.types)})" if pending.types else ""
        click.echo(f"{click.style('waiting:', fg='yellow', bold=True)} {pending.proxy}{what}", err=True)
    raise Complaint(_summary(answer, timeout), hint="See: mizzen status")


def _spoken(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"


def _summary(answer: Synced, timeout: float) -> str:
    parts = []
    if answer.rejected:
        parts.append("Envoy refused the change; what was in force before stays in force")
    if answer.pending:
        total = len(answer.synced) + len(answer.pending)
        parts.append(f"{len(answer.pending)} of {count(total, 'proxy')} did not acknowledge within {timeout:g} s")
    return "; ".join(parts)


def rejections(rejected: tuple[Rejected, ...]) -> list[str]:
    """Says what Envoy refused, once for all the proxies that say the same: where it is written, and Envoy's words."""
    proxies: dict[tuple[str, str, str, str], list[str]] = {}
    for each in rejected:
        proxies.setdefault((each.position, each.resource, each.type, each.message), []).append(each.proxy)
    return [
        f"{f'{click.style(shown(position), bold=True)}: ' if position else ''}{click.style('error:', fg='red', bold=True)}"
        f" {f'{resource}: ' if resource else ''}Envoy refused it ({type_}, {_few(names)}): {message}"
        for (position, resource, type_, message), names in proxies.items()
    ]


def _few(names: list[str]) -> str:
    return ", ".join(names) if len(names) <= 3 else f"{', '.join(names[:2])} and {len(names) - 2} more"
