"""Small makers of the messages that every Envoy concept uses: durations, addresses, wrapped numbers, config sources."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from google.protobuf.duration_pb2 import Duration
from google.protobuf.struct_pb2 import Struct
from google.protobuf.wrappers_pb2 import UInt32Value, UInt64Value

from mizzen.compile.names import SDS_CLUSTER
from mizzen.resources.key import Key
from mizzen.stubs.envoy.config.core.v3.address_pb2 import Address, SocketAddress
from mizzen.stubs.envoy.config.core.v3.base_pb2 import Metadata
from mizzen.stubs.envoy.config.core.v3.config_source_pb2 import (
    AggregatedConfigSource,
    ApiConfigSource,
    ApiVersion,
    ConfigSource,
)
from mizzen.stubs.envoy.config.core.v3.grpc_service_pb2 import GrpcService
from mizzen.stubs.envoy.extensions.transport_sockets.tls.v3.secret_pb2 import SdsSecretConfig
from mizzen.stubs.envoy.type.v3.percent_pb2 import FractionalPercent

_NANOS = 1_000_000_000
# In one per cent.
_MILLIONTHS = 10_000


def duration(seconds: float) -> Duration:
    nanos = round(seconds * _NANOS)
    return Duration(seconds=nanos // _NANOS, nanos=nanos % _NANOS)


def uint32(value: int) -> UInt32Value:
    return UInt32Value(value=value)


def uint64(value: int) -> UInt64Value:
    return UInt64Value(value=value)


def millionths(percent: float) -> FractionalPercent:
    """Returns a percentage as Envoy has it, exact to Istio's smallest step of 0.0001."""
    return FractionalPercent(numerator=round(percent * _MILLIONTHS), denominator=FractionalPercent.MILLION)


def socket_address(address: str, port: int) -> Address:
    return Address(socket_address=SocketAddress(address=address, port_value=port))


def ads() -> ConfigSource:
    """Says that a resource comes over the proxy's one ADS stream; the proxy waits for it as long as it takes."""
    return ConfigSource(
        ads=AggregatedConfigSource(), resource_api_version=ApiVersion.V3, initial_fetch_timeout=duration(0)
    )


def sds_secret(name: str, longest_wait: float = 0) -> SdsSecretConfig:
    """Says that a secret comes from the node, where keys are made.

    What needs it waits for it ``longest_wait`` seconds and then goes without; 0 is as long as it takes.
    """
    source = ConfigSource(
        api_config_source=ApiConfigSource(
            api_type=ApiConfigSource.DELTA_GRPC,
            transport_api_version=ApiVersion.V3,
            grpc_services=[GrpcService(envoy_grpc=GrpcService.EnvoyGrpc(cluster_name=SDS_CLUSTER))],
            set_node_on_first_message_only=True,
        ),
        resource_api_version=ApiVersion.V3,
        initial_fetch_timeout=duration(longest_wait),
    )
    return SdsSecretConfig(name=name, sds_config=source)


def metadata(**filters: Mapping[str, Any]) -> Metadata:
    """Makes metadata under one name each (``istio={"config": ...}``)."""
    made = Metadata()
    for name, fields in filters.items():
        struct = Struct()
        struct.update(dict(fields))
        made.filter_metadata[name].CopyFrom(struct)
    return made


def config_path(key: Key, plural: str) -> str:
    """Istio's way to name the resource behind a route or cluster; its tools print it."""
    return f"/apis/networking.istio.io/v1/namespaces/{key.namespace}/{plural}/{key.name}"
