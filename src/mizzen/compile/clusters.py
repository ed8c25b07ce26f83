"""Clusters: one for each port of each service and subset, and one for each inbound port.

The defaults are Istio's (2.9): least request, no hidden limits, ten seconds to connect. On purpose not Istio's: a sidecar
reaches its application on 127.0.0.1 and not on the workload's address (Istio's inboundTrafficPolicy LOCALHOST), so that
applications that listen on loopback alone work, and nothing on the network can go around the sidecar.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from mizzen.compile import (
    load_balancers,
    localities,
    locations,
    names,
    origination,
    outliers,
    pools,
    proxy_protocol,
    serving,
    tls,
)
from mizzen.compile.localities import Spread
from mizzen.compile.protos import config_path, duration, metadata, socket_address
from mizzen.compile.resource import XdsResource, encode
from mizzen.compile.seats import ALONE, Seat
from mizzen.mesh.destination_rules import effective_policy, merged_policy, merged_subsets, with_mesh_defaults
from mizzen.mesh.model import (
    DestinationRule,
    Endpoint,
    InboundPort,
    Labels,
    MeshConfig,
    Resolution,
    ServicePort,
    Sidecar,
    labels_of,
    selects,
)
from mizzen.mesh.scope import ScopedService
from mizzen.mesh.spiffe import SpiffeId
from mizzen.resources.credentials import is_for_sidecars
from mizzen.resources.destination_rule import DestinationRuleSpec, LoadBalancerSettings, TrafficPolicy, levels
from mizzen.resources.key import Key
from mizzen.resources.mesh_config import MeshConfigSpec
from mizzen.stubs.envoy.config.cluster.v3.cluster_pb2 import Cluster
from mizzen.stubs.envoy.config.endpoint.v3.endpoint_components_pb2 import LbEndpoint, LocalityLbEndpoints
from mizzen.stubs.envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment

NO_MESH_CONFIG = MeshConfigSpec()


@dataclass(frozen=True)
class ClusterView:
    """Everything that an outbound cluster depends on. ``subset`` is empty for the whole service.

    ``resolution`` and ``named`` say where its endpoints are found, ``external`` and ``sans`` who they are (see
    :class:`mizzen.mesh.model.Service`). ``forwarded`` says that nobody dials an address that could be taken, ``at_gateway``
    that it is a gateway's; ``spread`` is what the caller prefers of the ``named``.
    """

    host: str
    name: str
    namespace: str
    port: ServicePort
    subset: str
    rules: tuple[DestinationRule, ...]
    identities: tuple[SpiffeId, ...]
    origin: Key
    seat: Seat = ALONE
    resolution: Resolution = Resolution.TOLD
    named: tuple[Endpoint, ...] = ()
    external: bool = False
    sans: tuple[str, ...] = ()
    forwarded: bool = False
    mesh_config: MeshConfig | None = None
    spread: Spread | None = None
    at_gateway: bool = False

    @property
    def cluster(self) -> str:
        return self.seat.named(names.outbound_cluster(self.port.number, self.subset, self.host))

    @property
    def mesh(self) -> MeshConfigSpec:
        return self.mesh_config.spec if self.mesh_config else NO_MESH_CONFIG

    @property
    def has_secrets(self) -> bool:
        """Whether the caller may have the Secrets that its rules name; those that select callers are merged with no others."""
        return self.at_gateway or any(is_for_sidecars(rule.spec) for rule in self.rules)

    @property
    def leads_inside(self) -> bool:
        """Whether it leads to a listener inside the proxy, and a cluster behind that dials (server_names.py)."""
        return self.resolution is Resolution.ASKED and self.port.protocol.is_tls


def cluster_views(
    scoped: ScopedService, seat: Seat = ALONE, mesh: MeshConfig | None = None
) -> Iterator[tuple[ClusterView, Labels]]:
    """Yields the clusters of a service, each with the labels of its endpoints: the whole service, then the subsets."""
    service, rules = scoped.service, scoped.destination_rules
    subsets = [("", ()), *((subset.name, labels_of(subset.labels)) for subset in merged_subsets(rules))]
    for port in service.ports:
        for subset, labels in subsets:
            view = ClusterView(
                host=service.host,
                name=service.name,
                namespace=service.namespace,
                port=port,
                subset=subset,
                rules=rules,
                identities=service.identities,
                origin=service.origin,
                seat=seat,
                resolution=service.resolution,
                named=tuple(
                    one for number, one in service.named if number == port.number and selects(labels, one.labels)
                ),
                external=service.external,
                sans=service.sans,
                mesh_config=mesh,
            )
            yield view, labels


def balancers(scoped: ScopedService, seat: Seat = ALONE) -> Iterator[tuple[str, LoadBalancerSettings]]:
    """Yields those clusters of a service of which a rule says how they choose endpoints, each with what it says."""
    if any(_balances(rule.spec) for rule in scoped.destination_rules):
        for view, _ in cluster_views(scoped, seat):
            policy = policy_for(view.rules, view.subset, view.port.number)
            if policy and policy.load_balancer:
                yield view.cluster, policy.load_balancer


def _balances(spec: DestinationRuleSpec) -> bool:
    """Tells whether a rule says anything of load balancers: most say nothing, and need not be looked through."""
    return any(level.load_balancer for _, level in levels(spec))


def policy_for(
    rules: Sequence[DestinationRule], name: str, port: int, mesh: MeshConfig | None = None
) -> TrafficPolicy | None:
    """Returns the traffic policy of a subset's port: the merged rules', over it the subset's own, below it the mesh's."""
    subset = next((subset for subset in merged_subsets(rules) if subset.name == name), None)
    policy = effective_policy(merged_policy(rules), subset.traffic_policy if subset else None, port)
    return with_mesh_defaults(policy, mesh.spec if mesh else None)


def policy_of(view: ClusterView) -> TrafficPolicy | None:
    return policy_for(view.rules, view.subset, view.port.number, view.mesh_config)


def build_cluster(view: ClusterView) -> XdsResource:
    """Builds an outbound cluster; the view says where its endpoints are found."""
    policy = policy_of(view)
    cluster = _defaults(view.cluster)
    # An endpoint that is withdrawn goes at once: it is withdrawn before it stops.
    cluster.ignore_health_on_host_removal = True
    balancer = policy.load_balancer if policy else None
    _locate(cluster, view, balancer)
    if (setting := localities.locality_setting(balancer, view.mesh_config)) and setting.distribute:
        cluster.common_lb_config.locality_weighted_lb_config.SetInParent()
    _set_metadata(cluster, view)
    dialled = None if view.leads_inside else policy
    detection = dialled.outlier_detection if dialled else None
    outliers.apply(cluster, detection)
    pool = dialled.connection_pool if dialled else None
    mesh = NO_MESH_CONFIG if view.leads_inside else view.mesh
    codec = pools.outbound_codec(pool, view.port.protocol, mesh)
    pools.apply_mesh(cluster, mesh)
    pools.apply(
        cluster,
        pool,
        codec,
        telling_caller=view.seat.shared,
        hashed=balancer.consistent_hash if balancer else None,
        budget=pools.budget_of(dialled),
        failures=outliers.failures(detection),
    )
    _set_tls(cluster, view, policy, codec)
    proxy_protocol.apply(cluster, dialled.proxy_protocol if dialled else None)
    view.seat.open_inside(cluster)
    return encode(view.cluster, cluster, origins_of(view.origin, view.rules, view.mesh_config))


def _locate(cluster: Cluster, view: ClusterView, balancer: LoadBalancerSettings | None) -> None:
    """Sets where a cluster finds its endpoints, and which of them it chooses."""
    if view.forwarded:
        locations.forward(cluster, insecure=True)  # origination.py says what is checked
    elif view.leads_inside:
        locations.lead_inside(
            cluster, view.seat.named(names.server_name_listener(view.port.number, view.subset, view.host))
        )
    elif view.resolution is Resolution.ASKED:
        locations.forward(cluster, insecure=True)
    elif view.resolution is Resolution.DIALLED:
        load_balancers.apply(cluster, load_balancers.AS_DIALLED, http=False)
    else:
        load_balancers.apply(cluster, balancer, http=view.port.protocol.is_http)
        if load_balancers.passes_through(balancer):
            return
        if view.resolution is Resolution.TOLD:
            locations.tell(cluster)
        else:
            one = view.resolution is Resolution.DNS_ROUND_ROBIN
            refresh = view.mesh.dns_refresh_rate
            locations.look_up(cluster, view.named, view.spread, one_at_a_time=one, refresh=refresh)


def _set_tls(cluster: Cluster, view: ClusterView, policy: TrafficPolicy | None, codec: pools.Codec) -> None:
    given = policy.tls if policy else None
    if given and given.mode != "ISTIO_MUTUAL":
        if given.credential_name and not view.has_secrets:
            origination.refuse(cluster)
        elif given.mode in origination.MODES:
            fixed = not view.port.protocol.is_http
            origination.apply(cluster, given, view.host, view.sans, codec, fixed=fixed, seat=view.seat)
        return
    if not given and (view.external or view.resolution is Resolution.DIALLED):
        return
    sni = (given and given.sni) or names.sni(view.port.number, view.subset, view.host)
    accepted = (given and given.subject_alt_names) or (*view.sans, *map(str, view.identities))
    mutual = tls.upstream(accepted, sni, codec, view.seat.secret)
    if view.seat.shared:
        # What never leaves the proxy needs no encryption.
        inside = cluster.transport_socket_matches.add(name=tls.NEIGHBOUR, transport_socket=tls.plaintext())
        inside.match.update({"tlsMode": "neighbour"})
    # Where Envoy makes the endpoints nothing says what each of them speaks.
    if policy and (given or load_balancers.passes_through(policy.load_balancer)):
        cluster.transport_socket.CopyFrom(mutual)
        return
    # Automatic mutual TLS: for each endpoint that has a sidecar, and plaintext for the others (2.11).
    match = cluster.transport_socket_matches.add(name="tlsMode-istio", transport_socket=mutual)
    match.match.update({"tlsMode": "istio"})
    cluster.transport_socket_matches.add(name="tlsMode-disabled", transport_socket=tls.plaintext()).match.SetInParent()


def _defaults(name: str) -> Cluster:
    cluster = Cluster(name=name, connect_timeout=duration(pools.CONNECT_TIMEOUT), lb_policy=Cluster.LEAST_REQUEST)
    # Only ready endpoints are sent, so Envoy has no reason to spread load over ones that it thinks are ill (2.9).
    cluster.common_lb_config.healthy_panic_threshold.value = 0
    return cluster


def _set_metadata(cluster: Cluster, view: ClusterView) -> None:
    fields: dict[str, Any] = {
        "services": [{"host": view.host, "name": view.name, "namespace": view.namespace}],
    }
    if view.rules:
        fields["config"] = config_path(view.rules[0].key, "destination-rule")
    if view.subset:
        fields["subset"] = view.subset
    cluster.metadata.CopyFrom(metadata(istio=fields))


@dataclass(frozen=True)
class InboundClusterView:
    """Everything that an inbound cluster depends on; ``rules`` are those on the workload's own service, and ``sidecar`` is
    what it obeys, if that says anything of how it is served.
    """

    port: InboundPort
    rules: tuple[DestinationRule, ...]
    origin: Key
    seat: Seat = ALONE
    sidecar: Sidecar | None = None
    mesh_config: MeshConfig | None = None


def build_inbound_cluster(view: InboundClusterView) -> XdsResource:
    """Builds the cluster that leads from a sidecar to its application, with the pool of its service's own rule."""
    name = view.seat.named(names.inbound_cluster(view.port.number))
    policy = policy_for(view.rules, "", view.port.service_port, view.mesh_config)
    cluster = _defaults(name)
    if view.mesh_config:
        pools.apply_connect_timeout(cluster, view.mesh_config.spec)
    cluster.type = Cluster.STATIC
    address = view.port.endpoint or "127.0.0.1"
    cluster.load_assignment.CopyFrom(_one_endpoint(name, address, view.port.application))
    pool = serving.pool_of(view.port, policy, view.sidecar)
    pools.apply(cluster, pool, pools.inbound_codec(pool, view.port.protocol))
    if not serving.is_socket(address):
        view.seat.open_inside(cluster, "::1" if ":" in address else "127.0.0.1")
    sidecars = [view.sidecar.key] if view.sidecar else []
    return encode(name, cluster, [*origins_of(view.origin, view.rules, view.mesh_config), *sidecars])


def origins_of(origin: Key, rules: Iterable[DestinationRule], mesh: MeshConfig | None) -> list[Key]:
    """Returns what users wrote that shapes a cluster, whose service or workload ``origin`` is."""
    return [origin, *(rule.key for rule in rules), *([mesh.key] if mesh else [])]


def _one_endpoint(name: str, address: str, port: int) -> ClusterLoadAssignment:
    endpoint = LbEndpoint()
    if serving.is_socket(address):
        endpoint.endpoint.address.pipe.path = address
    else:
        endpoint.endpoint.address.CopyFrom(socket_address(address, port))
    return ClusterLoadAssignment(cluster_name=name, endpoints=[LocalityLbEndpoints(lb_endpoints=[endpoint])])
