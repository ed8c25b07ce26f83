"""The mesh's own idea of the world: services, workloads, endpoints, proxies, and one frozen view of them all.

The registry and the stores are turned into a :class:`Snapshot` by ``control``; ``mesh.scope`` answers which policy
applies to what in it; ``compile`` says the answer in Envoy's words. Everything here is immutable and compares by value,
because what the compiler builds is cached by the values that it was built from. What there is most of, endpoints and
loopback ports, are tuples: they compare ten times faster.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple, TypeAlias

from mizzen.mesh.localities import UNPLACED, Locality
from mizzen.mesh.proxy_kind import ProxyKind
from mizzen.mesh.spiffe import SpiffeId
from mizzen.resources.delegates import with_delegates
from mizzen.resources.destination_rule import DestinationRuleSpec
from mizzen.resources.envoy_filter import EnvoyFilterSpec
from mizzen.resources.gateway import GatewaySpec
from mizzen.resources.key import Key
from mizzen.resources.mesh_config import DEFAULT_ROOT_NAMESPACE, MeshConfigSpec
from mizzen.resources.protocols import Protocol
from mizzen.resources.proxy_config import ProxyConfigSpec
from mizzen.resources.rate_limit import RateLimitSpec
from mizzen.resources.resource import Resource
from mizzen.resources.sidecar import SidecarSpec
from mizzen.resources.virtual_service import VirtualServiceSpec
from mizzen.resources.visibility import service_id

Host: TypeAlias = str
ServiceId: TypeAlias = str
Labels: TypeAlias = tuple[tuple[str, str], ...]
VirtualService: TypeAlias = Resource[VirtualServiceSpec]
DestinationRule: TypeAlias = Resource[DestinationRuleSpec]
Gateway: TypeAlias = Resource[GatewaySpec]
MeshConfig: TypeAlias = Resource[MeshConfigSpec]
Sidecar: TypeAlias = Resource[SidecarSpec]
EnvoyFilter: TypeAlias = Resource[EnvoyFilterSpec]
ProxyConfig: TypeAlias = Resource[ProxyConfigSpec]
RateLimit: TypeAlias = Resource[RateLimitSpec]


def labels_of(labels: Mapping[str, str]) -> Labels:
    """Returns labels in a form that compares and hashes by value."""
    return tuple(sorted(labels.items()))


def selects(selector: Labels, labels: Labels) -> bool:
    """Tells whether a selector (every one of its labels must be there) matches; an empty one matches everything."""
    return set(selector) <= set(labels)


@dataclass(frozen=True)
class ServicePort:
    """One port of a service: the port that clients call and its protocol; ``target`` is the servers' where proxies look up
    what clients ask for, else 0.
    """

    number: int
    protocol: Protocol
    name: str = ""
    target: int = 0


class Resolution(enum.StrEnum):
    """Where a proxy finds the endpoints of a service: it is told them, looks all addresses of names up, or one of a name
    for each connection, takes the address that the client dialled, or looks up the name that the client asks for.
    """

    TOLD = "told"
    DNS = "dns"
    DNS_ROUND_ROBIN = "dns round robin"
    DIALLED = "dialled"
    ASKED = "asked"


class Endpoint(NamedTuple):
    """One ready address of a workload behind a service port; ``tls`` says that a proxy stands before it.

    ``instance`` is the id of the instance that listens there, ``identity`` what that presents as its own. The address is a
    name where proxies look it up. ``published`` says that it takes plaintext from callers of its host, as an engine of
    containers has promised.
    """

    address: str
    port: int
    namespace: str = ""
    workload: str = ""
    labels: Labels = ()
    tls: bool = True
    instance: str = ""
    identity: str = ""
    weight: int = 1
    published: bool = False
    locality: Locality = UNPLACED


@dataclass(frozen=True)
class Service:
    """What clients call: a host and its ports.

    ``address`` is its virtual address, where capture is transparent, and ``addresses`` are all that it has if users wrote
    some, which may be subnets. ``identities`` are those of all workloads that stand behind it, whether or not they are
    ready: a client accepts a server with one of them (Istio 2.11), and a replica that comes or goes must not change a
    cluster. ``aliases`` are other names by which its namespace calls it.

    ``entry`` says that it is a ServiceEntry's, and called by its host alone, which may be a wildcard. What is ``external``
    does not speak the mesh's TLS. ``named`` are the endpoints that proxies look up, by service port. ``sans`` are further
    names that its servers prove; ``export_to`` the namespaces that see it, () for all.
    """

    host: Host
    name: str
    namespace: str
    ports: tuple[ServicePort, ...]
    address: str = ""
    addresses: tuple[str, ...] = ()
    identities: tuple[SpiffeId, ...] = ()
    aliases: tuple[str, ...] = ()
    origin: Key = field(default=Key("", "", ""), compare=False)
    entry: bool = False
    external: bool = False
    resolution: Resolution = Resolution.TOLD
    named: tuple[tuple[int, Endpoint], ...] = ()
    sans: tuple[str, ...] = ()
    export_to: tuple[str, ...] = ()

    @property
    def id(self) -> ServiceId:
        """What tells it from all others: two may have one host if one of them is a namespace's own."""
        return service_id(self.host, self.namespace, self.export_to) if self.export_to else self.host

    @property
    def callable_by_name(self) -> bool:
        """Whether applications may look its host up in the mesh."""
        return not self.entry or bool(self.address)

    @property
    def called_at(self) -> tuple[str, ...]:
        """All addresses at which clients call it, which may be subnets."""
        return self.addresses or ((self.address,) if self.address else ())

    def port(self, number: int) -> ServicePort | None:
        return next((port for port in self.ports if port.number == number), None)


class Capture(enum.StrEnum):
    """How a workload's traffic gets into its proxy."""

    EXPLICIT = "explicit"
    TRANSPARENT = "transparent"


@dataclass(frozen=True)
class InboundPort:
    """A port of a workload as its proxy serves it.

    ``number`` is the declared port, ``listen`` where the proxy takes connections, ``application`` where the
    application listens, on 127.0.0.1 or at ``endpoint``, which may be the path of a socket. ``host`` names the service whose
    connection pool applies, if there is one. ``published`` says that callers from outside the instance's networks may call it,
    in plaintext; ``bind`` is an address at which the proxy opens the declared port itself, too.
    """

    number: int
    listen: int
    application: int
    protocol: Protocol
    host: Host = ""
    service_port: int = 0
    published: bool = False
    endpoint: str = ""
    bind: str = ""


class OutboundPort(NamedTuple):
    """A loopback port of a sidecar that leads to one port of one service (explicit capture)."""

    host: Host
    port: int
    local: int


class GatewaySocket(NamedTuple):
    """Where a gateway takes connections for a port of Gateways: ``bind`` is theirs, ``local`` the port that it has got."""

    bind: str
    number: int
    local: int


class Surroundings(NamedTuple):
    """The subnets that an instance shares with other members of the mesh, and addresses in them that are outsiders'."""

    networks: tuple[str, ...] = ()
    gateways: tuple[str, ...] = ()


NOWHERE = Surroundings()


@dataclass(frozen=True)
class Instance:
    """One replica of a workload, as its proxy serves it. ``id`` is ``<instance>.<namespace>``; ``uid`` tells it from one
    that had this id before.

    ``netns`` is the path of its network namespace where its proxy is outside it, else "". ``closing`` says that another
    proxy serves it now: this one takes nothing new, and finishes what it has. ``sockets`` are those of a gateway, which
    members of the mesh call at ``mesh_address``.
    """

    id: str
    namespace: str
    labels: Labels = ()
    identity: str = ""
    address: str = "127.0.0.1"
    capture: Capture = Capture.EXPLICIT
    inbound: tuple[InboundPort, ...] = ()
    outbound: tuple[OutboundPort, ...] = ()
    http_proxy: int = 0
    netns: str = ""
    around: Surroundings = NOWHERE
    closing: bool = False
    uid: str = ""
    sockets: tuple[GatewaySocket, ...] = ()
    locality: Locality = UNPLACED
    mesh_address: str = ""
    origin: Key = field(default=Key("", "", ""), compare=False)


@dataclass(frozen=True)
class Proxy:
    """One proxy and the instances that it serves: a sidecar or a gateway one, whose id is its own; a node proxy any number.

    Their order is that of their ids. ``namespace`` is what a proxyless client, which serves none, calls from.
    """

    id: str
    namespace: str
    kind: ProxyKind = ProxyKind.SIDECAR
    instances: tuple[Instance, ...] = ()


@dataclass(frozen=True)
class Snapshot:
    """One frozen, indexed view of the world.

    ``services`` are by id, sorted by host, and of those with one host the first that a namespace sees is meant there;
    ``endpoints`` are by service and port; policy is sorted by age. ``registry_only`` says that nothing may be called but
    services. ``mesh_config`` is what holds where no other policy says anything.
    """

    version: int
    trust_domain: str
    services: Mapping[ServiceId, Service] = field(default_factory=dict)
    endpoints: Mapping[tuple[ServiceId, int], tuple[Endpoint, ...]] = field(default_factory=dict)
    virtual_services: tuple[VirtualService, ...] = ()
    destination_rules: tuple[DestinationRule, ...] = ()
    gateways: tuple[Gateway, ...] = ()
    sidecars: tuple[Sidecar, ...] = ()
    envoy_filters: tuple[EnvoyFilter, ...] = ()
    proxy_configs: tuple[ProxyConfig, ...] = ()
    rate_limits: tuple[RateLimit, ...] = ()
    proxies: Mapping[str, Proxy] = field(default_factory=dict)
    registry_only: bool = False
    mesh_config: MeshConfig | None = None

    @cached_property
    def routing(self) -> Sequence[VirtualService]:
        """The VirtualServices that route something, each with the routes of its delegates, in the same order."""
        return with_delegates(self.virtual_services)

    @cached_property
    def by_origin(self) -> Mapping[Key, Sequence[Service]]:
        """The services by the resource that they are made from."""
        found: dict[Key, list[Service]] = {}
        for service in self.services.values():
            found.setdefault(service.origin, []).append(service)
        return found

    @property
    def root_namespace(self) -> str:
        """The namespace whose policies are for all."""
        return root_namespace(self.mesh_config)


def root_namespace(mesh: MeshConfig | None) -> str:
    return mesh.spec.root_namespace if mesh else DEFAULT_ROOT_NAMESPACE
