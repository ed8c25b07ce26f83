"""Which containers are members of the mesh: what users attached, applied to what there is. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from mizzen.registry.container_services import Survey, survey
from mizzen.registry.containers import Container, Described, has_opted_in, matches
from mizzen.registry.reports import Attachment

EVERYTHING = "*"
"""The target that means all containers of a node's engine."""
OUTSIDE = "none"
"""The proxy of those that stay outside."""

Run: TypeAlias = tuple[str, int]
"""A run of a container: its id and its first process. When it starts again it has others, and another network namespace."""


@dataclass(frozen=True)
class Membership:
    """What follows from the containers that there are and what is attached; ``proxies`` are by container."""

    containers: Mapping[str, Container]
    attachments: tuple[Attachment, ...]
    proxies: Mapping[str, str]
    survey: Survey

    @classmethod
    def of(cls, containers: Mapping[str, Container], attachments: tuple[Attachment, ...]) -> Membership:
        proxies = {one.id: choose_proxy(attachments, one) for one in containers.values()}
        asked = frozenset(id_ for id_, proxy in proxies.items() if proxy != OUTSIDE)
        return cls(containers, attachments, proxies, survey(containers.values(), asked))

    def is_outside(self, container: Container) -> bool:
        return self.proxies[container.id] == OUTSIDE

    def proxy_of(self, described: Described) -> str:
        """Returns what kind of proxy serves a member, "" for what the mesh prefers."""
        return self.proxies[described.container.id] or described.proxy

    def wanted(self) -> dict[Run, Described]:
        """Returns those that run and are to be members."""
        return {
            run_of(stand.container): stand
            for stand in self.survey.containers.values()
            if isinstance(stand, Described) and stand.container.pid and not self.is_outside(stand.container)
        }


def choose_proxy(attachments: Iterable[Attachment], container: Container) -> str:
    """Returns what the most exact attachment says that means a container (see :class:`Attachment`)."""
    exact: dict[int, str] = {}
    for one in attachments:
        if matches(one.target, container):
            rank = 0 if one.target == EVERYTHING else 1 if one.target == container.project else 2
            exact[rank] = one.proxy
    if exact:
        return exact[max(exact)]
    return "" if has_opted_in(container) else OUTSIDE


def run_of(container: Container) -> Run:
    return (container.id, container.pid)
