"""Looks at all containers of the mesh together: which services they make, and whose names clash. Pure.

A service is everything that is called by one name in one namespace. Containers that do not run count, so that a service
and the identities behind it stay while a container is away. What clashes is settled the same way in whatever order
containers come, and told in words.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from mizzen.registry.container_labels import SERVICE_PREFIX
from mizzen.registry.containers import Container, Described, Excluded, describe, dns_label, is_selectable
from mizzen.registry.reports import FoundPort, FoundService

ServiceKey: TypeAlias = tuple[str, str]
"""The namespace and the name of a service."""


@dataclass(frozen=True)
class Clash:
    """What ``containers``, by id, do not agree about, in words."""

    text: str
    containers: frozenset[str]


@dataclass(frozen=True)
class Found:
    """Services, and ``aliases``: names beside its own by which applications call a service (`my_db` for `my-db`)."""

    services: tuple[FoundService, ...]
    aliases: Mapping[ServiceKey, tuple[str, ...]]
    clashes: tuple[Clash, ...] = ()

    def clashes_of(self, container: str) -> tuple[str, ...]:
        """Returns what a container does not agree about with others, in words."""
        return tuple(clash.text for clash in self.clashes if container in clash.containers)


@dataclass(frozen=True)
class Survey:
    """How each container stands, by id, and what they make together; ``problems`` are all that there are, in words."""

    containers: Mapping[str, Described | Excluded]
    found: Found
    problems: tuple[str, ...] = ()


def survey(containers: Iterable[Container], members: Collection[str] = ()) -> Survey:
    """Describes containers, stopped ones too, and settles what clashes among them.

    ``members`` are the ids of those that somebody has asked to be in the mesh: they have a name before all others.
    """
    ordered = sorted(containers, key=lambda one: (one.id not in members, *_precedence(one)))
    stands = {container.id: describe(container) for container in ordered}
    stands |= _strangers(_described(stands))
    stands |= _namesakes(_described(stands))
    found = found_services(_described(stands))
    problems = [problem for stand in stands.values() if isinstance(stand, Excluded) for problem in stand.problems]
    return Survey(stands, found, (*problems, *(clash.text for clash in found.clashes)))


def found_services(described: Iterable[Described]) -> Found:
    """Returns the services of containers, in order, their ports and identities united."""
    members: defaultdict[ServiceKey, defaultdict[str, list[Described]]] = defaultdict(lambda: defaultdict(list))
    for one in described:
        for name in one.services:
            if is_selectable(name):
                members[one.namespace, dns_label(name)][name].append(one)
    services: list[FoundService] = []
    aliases: dict[ServiceKey, tuple[str, ...]] = {}
    clashes: list[Clash] = []
    for key, by_name in sorted(members.items()):
        chosen, also, disputed = _names(key[1], by_name)
        ports, disagreements = _ports(key[1], by_name[chosen])
        clashes += [*disputed, *disagreements]
        if ports:
            services.append(_service(key, chosen, ports, by_name[chosen]))
            aliases |= {key: also} if also else {}
    return Found(tuple(services), aliases, tuple(clashes))


def _precedence(container: Container) -> tuple[bool, float, str]:
    """Whoever runs has a name before one that does not; then the oldest has it."""
    return not container.alive, container.created, container.id


def _described(stands: Mapping[str, Described | Excluded]) -> list[Described]:
    return [stand for stand in stands.values() if isinstance(stand, Described)]


def _excluded(one: Described, reason: str) -> Excluded:
    # What clashes and does not run does no harm, and would be told for ever.
    problems = (f"container {one.container.name} stays outside the mesh: {reason}",) if one.container.alive else ()
    return Excluded(one.container, reason, problems)


def _namesakes(described: Iterable[Described]) -> dict[str, Excluded]:
    """Returns the containers whose name as an instance another has already."""
    owners: dict[ServiceKey, Container] = {}
    excluded = {}
    for one in described:
        owner = owners.setdefault((one.namespace, one.name), one.container)
        if owner is not one.container:
            reason = f"its name in the mesh would be {one.name}, which is that of container {owner.name}; rename one"
            excluded[one.container.id] = _excluded(one, reason)
    return excluded


def _strangers(described: Iterable[Described]) -> dict[str, Excluded]:
    """Returns the containers that are called by a name which means something else in the mesh already.

    Two Compose projects may each have a `db`, on networks of their own where neither answers for the other; in one
    namespace of the mesh one would. The later project then stays outside as a whole: whoever in it calls `db` means its
    own. Containers with a network in common share a name on purpose, and so does one whose label gives it the name.
    """
    projects: defaultdict[str, list[Described]] = defaultdict(list)
    for one in described:
        projects[one.container.project or one.container.id].append(one)
    holders: defaultdict[ServiceKey, list[Described]] = defaultdict(list)
    excluded: dict[str, Excluded] = {}
    for members in projects.values():
        called = _by_name(members)
        if reason := next((why for key in called if (why := _why_stranger(key, called[key], holders[key]))), ""):
            excluded |= {one.container.id: _excluded(one, reason) for one in members}
            continue
        for key, those in called.items():
            holders[key] += those
    return excluded


def _by_name(members: Iterable[Described]) -> dict[ServiceKey, list[Described]]:
    called: defaultdict[ServiceKey, list[Described]] = defaultdict(list)
    for one in members:
        for name in one.services:
            called[one.namespace, name].append(one)
    return called


def _why_stranger(key: ServiceKey, ours: Iterable[Described], theirs: list[Described]) -> str:
    """Returns why those who are called by a name must not join those who are in the mesh by it, or ""."""
    namespace, name = key
    implicit = [one for one in ours if not (one.is_named and one.services[0] == name)]
    if not implicit or not theirs or _networks(implicit) & _networks(theirs):
        return ""
    project = implicit[0].container.project
    who = f"project {project} has" if project else "it is"
    return (
        f"{who} a {name} on networks of its own, and in namespace {namespace} that name is container"
        f" {theirs[0].container.name}'s; give one of them the label mizzen.dev/namespace, or attach only one"
    )


def _networks(members: Iterable[Described]) -> set[str]:
    return {network.name for one in members for network in one.container.networks}


def _names(label: str, by_name: Mapping[str, list[Described]]) -> tuple[str, tuple[str, ...], list[Clash]]:
    """Chooses among names that are the same in the mesh: returns the one that has it, its other names in DNS, and what
    is wrong with those that belong to other containers.
    """
    chosen = label if label in by_name else min(by_name)
    ids = {one.container.id for one in by_name[chosen]}
    same = {name for name, those in by_name.items() if {one.container.id for one in those} == ids}
    clashes = [
        Clash(
            f"container {by_name[name][0].container.name}: the mesh does not know it as {name}, since in the mesh that"
            f" would be {label}, which is container {by_name[chosen][0].container.name}; rename one",
            frozenset(one.container.id for one in by_name[name]),
        )
        for name in sorted(by_name.keys() - same)
    ]
    return chosen, tuple(sorted(same - {label})), clashes


def _ports(service: str, members: Sequence[Described]) -> tuple[tuple[FoundPort, ...], list[Clash]]:
    """Unites the ports of containers; where they disagree on a protocol, bytes are passed, which suits every protocol."""
    speaking: defaultdict[int, dict[str, str]] = defaultdict(dict)
    for one in members:
        for port in one.ports:
            speaking[port.number].setdefault(port.app_protocol, one.container.name)
    ports, clashes = [], []
    for number, speakers in sorted(speaking.items()):
        protocol = next(iter(speakers)) if len(speakers) == 1 else "tcp"
        ports.append(FoundPort(number=number, name=f"{protocol}-{number}", app_protocol=protocol))
        if len(speakers) > 1:
            said = " and ".join(f"{said} in container {container}" for said, container in sorted(speakers.items()))
            text = f"service {service}: port {number} is {said}; it is tcp until their labels agree"
            those = (one.container.id for one in members if any(port.number == number for port in one.ports))
            clashes.append(Clash(text, frozenset(those)))
    return tuple(ports), clashes


def _service(
    key: ServiceKey, selected: str, ports: tuple[FoundPort, ...], members: Iterable[Described]
) -> FoundService:
    namespace, name = key
    return FoundService(
        name=name,
        namespace=namespace,
        ports=ports,
        selector={SERVICE_PREFIX + selected: "true"},
        accounts=tuple(sorted({one.service_account for one in members})),
    )
