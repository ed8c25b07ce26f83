"""Says how a container of Podman or Docker stands in the mesh: as an instance with ports and services, or outside. Pure.

``node/engine`` brings the containers, ``container_labels.py`` reads their `mizzen.dev/*` labels, and
``container_services.py`` looks at all of them together: the services that they make, and names that clash.

Names. Engines allow capitals, underscores and dots where the mesh needs DNS labels (RFC 1123), so an instance `web_1` is
`web-1` in the mesh. A service keeps the name by which applications call it, `my_db`, as one more name in DNS beside its
own, `my-db`.
"""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Interface

from mizzen.registry.container_labels import SERVICE_PREFIX, Written, membership, read_labels
from mizzen.registry.reports import ContainerState, InstancePort
from mizzen.resources.validation.names import is_dns_label, labels

COMPOSE_SERVICE = "com.docker.compose.service"
COMPOSE_PROJECT = "com.docker.compose.project"

_PODMAN_COMPOSE_PROJECT = "io.podman.compose.project"
_INFRA = re.compile(r"[0-9a-f]{12}-infra", re.ASCII)  # how libpod names the container that holds a pod's network
_ID = re.compile(r"[0-9a-f]{4,64}", re.ASCII)
# All containers are looked at whenever one has changed, and with 200 of them that would take 50 ms instead of 5.
_REMEMBERED = 4096
_ALIVE = frozenset({"running", "paused", "restarting"})


@dataclass(frozen=True)
class ContainerNetwork:
    """A container in one network of its engine; ``address`` and ``gateway`` are "" while it does not run.

    ``aliases`` are the names that the engine's DNS gives it there, as far as the engine tells them.
    """

    name: str
    address: str = ""
    gateway: str = ""
    prefix_length: int = 0
    aliases: tuple[str, ...] = ()

    def left(self) -> ContainerNetwork:
        """Returns what is left of it when the container does not run."""
        return ContainerNetwork(self.name, aliases=self.aliases)


@dataclass(frozen=True)
class Container:
    """A container as its engine describes it.

    ``state`` is created, running, paused, restarting, removing, exited, dead, or another word of the engine's;
    ``health`` is "" without a health check, else starting, healthy or unhealthy. ``created`` and ``started_at`` are Unix
    times in seconds, 0 for never. ``exposed`` and ``published`` are the container's TCP ports. ``netns`` is the path of
    its network namespace while ``pid``, its first process, runs.
    """

    id: str
    name: str
    image: str = ""
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)
    state: str = "running"
    pid: int = 0
    created: float = 0.0
    started_at: float = 0.0
    health: str = ""
    networks: tuple[ContainerNetwork, ...] = ()
    exposed: tuple[int, ...] = ()
    published: tuple[int, ...] = ()
    netns: str = ""
    network_mode: str = ""
    resolv_conf: str = ""
    hostname: str = ""

    @property
    def alive(self) -> bool:
        """Whether it runs, or is about to again."""
        return self.state in _ALIVE

    @property
    def project(self) -> str:
        """Its Compose project, or ""."""
        return self.labels.get(COMPOSE_PROJECT) or self.labels.get(_PODMAN_COMPOSE_PROJECT, "")


@dataclass(frozen=True)
class Described:
    """A container as an instance of the mesh; the names of most fields are those of :class:`reports.Instance`.

    ``services`` are the names by which it is called, its own first, in lower case and otherwise as the engine has them;
    ``is_named`` says that its own was given by a label. ``address`` is "" while it does not run. ``reason`` says why it
    is not ready. ``proxy`` is what its label wants: ``sidecar``, ``node`` or "".
    """

    container: Container
    name: str
    namespace: str
    workload: str
    service_account: str
    services: tuple[str, ...]
    labels: Mapping[str, str]
    ports: tuple[InstancePort, ...]
    address: str
    networks: tuple[str, ...]
    gateways: tuple[str, ...]
    ready: bool
    reason: str = ""
    proxy: str = ""
    is_named: bool = False


@dataclass(frozen=True)
class Excluded:
    """A container that cannot be in the mesh, or shall not; ``problems`` are mistakes in its labels, in words."""

    container: Container
    reason: str
    problems: tuple[str, ...] = ()


@functools.lru_cache(maxsize=_REMEMBERED)
def describe(container: Container) -> Described | Excluded:
    """Says how a container stands in the mesh, as far as it alone tells; see ``container_services.survey`` for all."""
    written = read_labels(container.name, container.labels)
    if reason := _why_excluded(container, written):
        return Excluded(container, reason, written.problems)
    own = (written.service or container.labels.get(COMPOSE_SERVICE) or container.name).lower()
    services = tuple(dict.fromkeys([own, container.name.lower(), *_aliases(container)]))
    addressed = [network for network in container.networks if network.address]
    reason = _why_not_ready(container)
    return Described(
        container=container,
        name=dns_label(container.name),
        namespace=written.namespace or "default",
        workload=dns_label(own),
        service_account=written.service_account or dns_label(own),
        services=services,
        labels=_labels(container, written, services),
        ports=tuple(_ports(container, written)),
        address=addressed[0].address if addressed else "",
        networks=tuple(_subnet(network) for network in addressed),
        gateways=tuple(network.gateway for network in addressed if network.gateway),
        ready=not reason,
        reason=reason,
        proxy=written.proxy,
        is_named=bool(written.service),
    )


def state_of(stand: Described | Excluded, state: str, reason: str) -> ContainerState:
    """Returns how a container stands, for people: in which state of :class:`ContainerState`, and why, or ""."""
    container = stand.container
    described = stand if isinstance(stand, Described) else None
    return ContainerState(
        id=container.id,
        name=container.name,
        project=container.project,
        state=state,
        reason=reason,
        instance=described.name if described else "",
        namespace=described.namespace if described else "",
    )


def matches(target: str, container: Container, exact: Collection[str] = ()) -> bool:
    """Says whether ``target`` means a container: "*" for all, a Compose project, its name, or, unless that is one of the
    ``exact`` names of containers and projects, its name in the mesh or a prefix of its id (at least four digits).

    Nothing means one that has opted out, not even its name: its label is part of how it was deployed, and stays when
    whoever typed a command has gone.
    """
    is_meant = target in {"*", container.name} or (target != "" and target == container.project)
    if not is_meant and target not in exact:
        is_id = container.id.startswith(target) and _ID.fullmatch(target) is not None
        is_meant = is_id or target == dns_label(container.name)
    return is_meant and membership(container.labels) is not False


def exact_names(containers: Iterable[Container]) -> frozenset[str]:
    """Returns the names of containers and of their projects, see :func:`matches`."""
    return frozenset(name for one in containers for name in (one.name, one.project) if name)


def has_opted_in(container: Container) -> bool:
    """Says whether a container shall be in the mesh though no target means it."""
    return membership(container.labels) is True


@functools.lru_cache(maxsize=_REMEMBERED)
def dns_label(name: str) -> str:
    """Returns the name in the mesh of a container or of a service that an engine calls ``name``.

    Whatever is no letter or digit becomes a dash; what then is too long, or nothing, ends in a hash of the whole.
    """
    plain = re.sub(r"[^a-z0-9-]", "-", name.lower()).strip("-")
    if is_dns_label(plain):
        return plain
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{plain[:54].strip('-')}-{digest}".strip("-")


def _why_excluded(container: Container, written: Written) -> str:
    """Returns why a container is outside the mesh, or ""; in the order in which users can do something about it."""
    mode = container.network_mode
    if written.mesh is False:
        return "its label mizzen.dev/mesh is false"
    if written.problems:
        return f"its labels have a mistake; create it again with the right ones: {'; '.join(written.problems)}"
    if mode == "host":
        return "it is in the host's network, where its traffic cannot be told from the host's; give it a network"
    if mode.startswith("container:"):
        owner = mode.removeprefix("container:")[:12]
        return f"it shares the network of container {owner}, and has no address or identity that is its own"
    if _INFRA.fullmatch(container.name):
        return "it holds the network of a pod, whose containers cannot be told apart; run them without the pod"
    if mode == "none":
        return "it has no network"
    if container.alive and container.state != "restarting" and not any(one.address for one in container.networks):
        return f"it has no IPv4 address that others reach (its network mode is {mode or 'unknown'}); give it a network"
    return ""


def _why_not_ready(container: Container) -> str:
    if container.state != "running":
        return f"it is {container.state}" if container.state == "paused" else f"it does not run ({container.state})"
    if container.health not in {"", "healthy"}:
        return f"its health check has not passed ({container.health})"
    return ""


def _aliases(container: Container) -> Iterator[str]:
    """Yields its aliases on all networks, without the id that engines put among them."""
    for alias in sorted({alias.lower() for network in container.networks for alias in network.aliases}):
        if alias and not (len(alias) >= 12 and container.id.startswith(alias)):
            yield alias


def _labels(container: Container, written: Written, services: tuple[str, ...]) -> dict[str, str]:
    """Returns its own labels, as far as a selector could name them, with `app`, `version`, and one for each service."""
    app, version = _app_and_version(services[0], services[1:])
    derived = {"app": dns_label(app)} | ({"version": version} if version else {})
    own = {key: value for key, value in container.labels.items() if not any(labels("", {key: value}))}
    told = {"version": written.version} if written.version else {}
    return derived | own | told | {SERVICE_PREFIX + service: "true" for service in services if is_selectable(service)}


@functools.lru_cache(maxsize=_REMEMBERED)
def is_selectable(service: str) -> bool:
    """Says whether a label can name a service; engines' DNS has no name that is longer, either."""
    return not any(labels("", {SERVICE_PREFIX + service: "true"}))


def _app_and_version(own: str, others: tuple[str, ...]) -> tuple[str, str]:
    """Returns the app and the version of a service: `reviews-v2` is v2 of `reviews` if it is called that, too."""
    for name in sorted(others, key=len, reverse=True):
        version = own[len(name) + 1 :]
        if own.startswith((f"{name}-", f"{name}_")) and version and not any(labels("", {"version": version})):
            return name, version
    return own, ""


def _ports(container: Container, written: Written) -> Iterator[InstancePort]:
    """Yields its ports: those of its label, else those that it exposes, and in any case those that are published."""
    numbers = {number for number, _ in written.ports} or set(container.exposed)
    for number in sorted(numbers | set(container.published)):
        protocol = written.protocol_of(number)
        yield InstancePort(
            number=number,
            application=number,
            inbound=number,
            name=f"{protocol}-{number}",
            app_protocol=protocol,
            published=number in container.published,
        )


def _subnet(network: ContainerNetwork) -> str:
    return str(IPv4Interface((IPv4Address(network.address), network.prefix_length)).network)
