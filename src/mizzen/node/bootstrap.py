"""The bootstrap of a proxy: the little that Envoy must know before it can ask for the rest. Pure.

All that is policy comes over ADS. What stands here is who the proxy is (Istio's node id and metadata, so that Istio's
tools and habits work), where the control plane and the node's SDS are (Unix sockets), and limits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from google.protobuf import json_format
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct

from mizzen.compile.names import PROXY_DNS_PORT, SDS_CLUSTER, UID_METADATA
from mizzen.envoy_api.merging import merge
from mizzen.mesh.localities import UNPLACED, Locality
from mizzen.mesh.proxy_kind import ProxyKind
from mizzen.registry.proxy_settings import ProxySettings
from mizzen.resources.hosts import DEFAULT_DOMAIN
from mizzen.stubs.envoy.config.bootstrap.v3 import bootstrap_pb2
from mizzen.stubs.envoy.config.cluster.v3 import cluster_pb2
from mizzen.stubs.envoy.config.core.v3 import (
    address_pb2,
    base_pb2,
    config_source_pb2,
    grpc_service_pb2,
    protocol_pb2,
)
from mizzen.stubs.envoy.config.core.v3.backoff_pb2 import BackoffStrategy
from mizzen.stubs.envoy.config.core.v3.extension_pb2 import TypedExtensionConfig
from mizzen.stubs.envoy.config.endpoint.v3 import endpoint_components_pb2, endpoint_pb2
from mizzen.stubs.envoy.config.overload.v3 import overload_pb2
from mizzen.stubs.envoy.extensions.bootstrap.internal_listener.v3.internal_listener_pb2 import InternalListener
from mizzen.stubs.envoy.extensions.network.dns_resolver.cares.v3.cares_dns_resolver_pb2 import CaresDnsResolverConfig
from mizzen.stubs.envoy.extensions.resource_monitors.downstream_connections.v3 import downstream_connections_pb2
from mizzen.stubs.envoy.extensions.upstreams.http.v3 import http_protocol_options_pb2

XDS_CLUSTER = "xds-grpc"

# Without a limit one caller can exhaust the file descriptors of the proxy; with it Envoy refuses the next connection.
_MAX_CONNECTIONS = 20_000
# As Istio has it: what it accepts in a regex or a path must not be refused here. Envoy's own limit of a regex is 100.
_RUNTIME = {
    "re2.max_program_size.error_level": 32768,
    "envoy.reloadable_features.http_reject_path_with_fragment": False,
}
_HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


@dataclass(frozen=True)
class BootstrapView:
    """What a bootstrap depends on.

    ``service_account`` and ``trust_domain`` make the workload's identity; a node proxy has none of its own, and its
    ``instance`` is its host. ``settings`` are what users say of it.
    """

    instance: str
    namespace: str
    workload: str
    service_account: str
    address: str
    capture: str
    version: str
    trust_domain: str
    mesh: str
    admin_socket: Path
    xds_socket: Path
    sds_socket: Path
    labels: Mapping[str, str] = field(default_factory=dict)
    uid: str = ""
    kind: ProxyKind = ProxyKind.SIDECAR
    locality: Locality = UNPLACED
    settings: ProxySettings = field(default_factory=ProxySettings)


def node_id(proxy: BootstrapView) -> str:
    """Returns Istio's node id: ``sidecar~<address>~<instance>.<namespace>~<namespace>.svc.<domain>``."""
    name = f"{proxy.instance}.{proxy.namespace}"
    return f"{proxy.kind}~{proxy.address}~{name}~{proxy.namespace}.svc.{DEFAULT_DOMAIN}"


def bootstrap_json(proxy: BootstrapView) -> str:
    """Returns the bootstrap as the JSON that Envoy reads."""
    return json_format.MessageToJson(bootstrap(proxy), preserving_proto_field_name=True)


def bootstrap(proxy: BootstrapView) -> bootstrap_pb2.Bootstrap:
    made = bootstrap_pb2.Bootstrap(
        node=_node(proxy),
        admin=bootstrap_pb2.Admin(address=_pipe(proxy.admin_socket)),
        static_resources=bootstrap_pb2.Bootstrap.StaticResources(
            clusters=[
                _grpc_cluster(XDS_CLUSTER, proxy.xds_socket),
                _grpc_cluster(SDS_CLUSTER, proxy.sds_socket),
            ]
        ),
        dynamic_resources=bootstrap_pb2.Bootstrap.DynamicResources(
            ads_config=_ads(), cds_config=_over_ads(), lds_config=_over_ads()
        ),
        overload_manager=_limits(),
        layered_runtime=_runtime(),
        bootstrap_extensions=_extensions(),
        typed_dns_resolver_config=_dns(proxy),
    )
    for patch in proxy.settings.bootstrap:
        merge(made, patch.value, replace_lists=patch.replace_lists)
    return made


def _dns(proxy: BootstrapView) -> TypedExtensionConfig | None:
    """Says where a captured proxy looks names up: not where its application does, to whom a name may mean the proxy."""
    if proxy.capture != "transparent" or proxy.kind is not ProxyKind.SIDECAR:
        return None
    resolver = CaresDnsResolverConfig()
    address = resolver.resolvers.add().socket_address
    address.address, address.port_value = "127.0.0.1", PROXY_DNS_PORT
    return TypedExtensionConfig(name="envoy.network.dns_resolver.cares", typed_config=_pack(resolver))


def _extensions() -> list[TypedExtensionConfig]:
    # TLS that is routed by its server name, and calls between two instances of a node proxy, go through listeners that have
    # no socket.
    return [TypedExtensionConfig(name="envoy.bootstrap.internal_listener", typed_config=_pack(InternalListener()))]


def _node(proxy: BootstrapView) -> base_pb2.Node:
    labels = Struct()
    labels.update(dict(proxy.labels))
    metadata = Struct()
    metadata.update(
        proxy.settings.metadata
        | {
            "NAME": proxy.instance,
            "NAMESPACE": proxy.namespace,
            "WORKLOAD_NAME": proxy.workload,
            "SERVICE_ACCOUNT": proxy.service_account,
            "MESH_ID": proxy.mesh,
            "TRUST_DOMAIN": proxy.trust_domain,
            "INSTANCE_IPS": proxy.address,
            "INTERCEPTION_MODE": "REDIRECT" if proxy.capture == "transparent" else "NONE",
            "MIZZEN_VERSION": proxy.version,
        }
        | ({UID_METADATA: proxy.uid} if proxy.uid else {})
    )
    metadata.fields["LABELS"].struct_value.CopyFrom(labels)
    region, zone, subzone = proxy.locality
    return base_pb2.Node(
        id=node_id(proxy),
        cluster=f"{proxy.workload}.{proxy.namespace}",
        metadata=metadata,
        locality=base_pb2.Locality(region=region, zone=zone, sub_zone=subzone) if any(proxy.locality) else None,
    )


def _ads() -> config_source_pb2.ApiConfigSource:
    grpc = grpc_service_pb2.GrpcService(
        envoy_grpc=grpc_service_pb2.GrpcService.EnvoyGrpc(
            cluster_name=XDS_CLUSTER,
            # Envoy waits 0.5 to 30 s before it connects again; the control plane is on this machine and back at once.
            retry_policy=base_pb2.RetryPolicy(
                retry_back_off=BackoffStrategy(
                    base_interval=Duration(nanos=100_000_000), max_interval=Duration(seconds=1)
                )
            ),
        )
    )
    return config_source_pb2.ApiConfigSource(
        api_type=config_source_pb2.ApiConfigSource.DELTA_GRPC,
        transport_api_version=config_source_pb2.V3,
        grpc_services=[grpc],
        set_node_on_first_message_only=True,
    )


def _over_ads() -> config_source_pb2.ConfigSource:
    """Over ADS, and without a limit to the first wait (0): a proxy without its configuration must never call itself
    ready, as it does 15 s after the start by default.
    """
    return config_source_pb2.ConfigSource(
        ads=config_source_pb2.AggregatedConfigSource(),
        resource_api_version=config_source_pb2.V3,
        initial_fetch_timeout=Duration(),
    )


def _grpc_cluster(name: str, socket: Path) -> cluster_pb2.Cluster:
    endpoint = endpoint_components_pb2.LbEndpoint(
        endpoint=endpoint_components_pb2.Endpoint(address=_pipe(socket)),
    )
    options = http_protocol_options_pb2.HttpProtocolOptions(
        explicit_http_config=http_protocol_options_pb2.HttpProtocolOptions.ExplicitHttpConfig(
            http2_protocol_options=protocol_pb2.Http2ProtocolOptions()
        )
    )
    return cluster_pb2.Cluster(
        name=name,
        type=cluster_pb2.Cluster.STATIC,
        connect_timeout=Duration(seconds=1),
        load_assignment=endpoint_pb2.ClusterLoadAssignment(
            cluster_name=name, endpoints=[endpoint_components_pb2.LocalityLbEndpoints(lb_endpoints=[endpoint])]
        ),
        typed_extension_protocol_options={_HTTP_OPTIONS: _pack(options)},
    )


def _runtime() -> bootstrap_pb2.LayeredRuntime:
    values = Struct()
    values.update(_RUNTIME)
    return bootstrap_pb2.LayeredRuntime(layers=[bootstrap_pb2.RuntimeLayer(name="global config", static_layer=values)])


def _limits() -> overload_pb2.OverloadManager:
    monitor = downstream_connections_pb2.DownstreamConnectionsConfig(max_active_downstream_connections=_MAX_CONNECTIONS)
    return overload_pb2.OverloadManager(
        resource_monitors=[
            overload_pb2.ResourceMonitor(
                name="envoy.resource_monitors.global_downstream_max_connections", typed_config=_pack(monitor)
            )
        ]
    )


def _pipe(path: Path) -> address_pb2.Address:
    return address_pb2.Address(pipe=address_pb2.Pipe(path=str(path)))


def _pack(message: Message) -> AnyMessage:
    packed = AnyMessage()
    packed.Pack(message, deterministic=True)
    return packed
