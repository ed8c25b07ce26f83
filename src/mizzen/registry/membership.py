"""Which containers are members of the mesh: what users attached, applied to what there is. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from mizzen.registry.container_services import Survey, survey
from mizzen.registry.containers import Container, Described, exact_names, has_opted_in, matches
from mizzen.registry.reports import Attachment

EVERYTHING = "*"
"""The target that means all containers of a node's engine."""
OUTSIDE = "none"
"""The proxy of those that stay outside."""

Run: TypeAlias = tuple[str, int]
"""A run of a container: its id and its first process. When it starts again it has others, and another network namespace."""


@dataclass(frozen=True)
class Decision:
    """What attachments say of a container: its ``proxy`` (see :class:`Attachment`), and by which target it is decided
    whether it is a member; "" where only its label does.
    """

    proxy: str
    target: str = ""


@dataclass(frozen=True)
class Membership:
    """What follows from the containers that there are and what is attached; ``decisions`` are by container."""

    containers: Mapping[str, Container]
    attachments: tuple[Attachment, ...]
    decisions: Mapping[str, Decision]
    survey: Survey

    @classmethod
    def of(cls, containers: Mapping[str, Container], attachments: tuple[Attachment, ...]) -> Membership:
        exact = exact_names(containers.values())
        decisions = {one.id: decide(attachments, one, exact) for one in containers.values()}
        asked = frozenset(id_ for id_, decision in decisions.items() if decision.proxy != OUTSIDE)
        return cls(containers, attachments, decisions, survey(containers.values(), asked))

    def is_outside(self, container: Container) -> bool:
        return self.decisions[container.id].proxy == OUTSIDE

    def proxy_of(self, described: Described) -> str:
        """Returns what kind of proxy serves a member, "" for what the mesh prefers."""
        return self.decisions[described.container.id].proxy or described.proxy

    def wanted(self) -> dict[Run, Described]:
        """Returns those that run and are to be members."""
        return {
            run_of(stand.container): stand
            for stand in self.survey.containers.values()
            if isinstance(stand, Described) and stand.container.pid and not self.is_outside(stand.container)
        }


def decide(attachments: Iterable[Attachment], container: Container, exact: Collection[str] = ()) -> Decision:
    """Returns what the most exact attachment says that means a container (see :class:`Attachment`, and :func:`matches`
    for the ``exact`` names).
    """
    meant = [one for one in attachments if matches(one.target, container, exact)]
    if not meant:
        return Decision("" if has_opted_in(container) else OUTSIDE)
    # Of those that are equally exact the latest counts, and that is the last.
    *others, decisive = sorted(meant, key=lambda one: _exactness(one.target, container))
    if decisive.proxy == OUTSIDE:
        return Decision(OUTSIDE, decisive.target)
    chosen = [one.proxy for one in (*others, decisive) if one.proxy not in ("", OUTSIDE)]
    return Decision(chosen[-1] if chosen else "", decisive.target)


def _exactness(target: str, container: Container) -> int:
    return 0 if target == EVERYTHING else 1 if target == container.project else 2


def run_of(container: Container) -> Run:
    return (container.id, container.pid)
