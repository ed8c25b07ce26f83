"""The incremental variant of the protocol (delta xDS), which Envoy speaks: requests and responses say what changes."""

from __future__ import annotations

from mizzen.stubs.envoy.service.discovery.v3 import discovery_pb2
from mizzen.xds.ordering import Response
from mizzen.xds.subscription import Subscription
from mizzen.xds.wire import Encoder


class Delta:
    """How delta xDS reads and writes; see :class:`mizzen.xds.session.Dialect`."""

    one_at_a_time = False

    def parse(self, data: bytes) -> discovery_pb2.DeltaDiscoveryRequest:
        return discovery_pb2.DeltaDiscoveryRequest.FromString(data)

    def resumes(self, request: discovery_pb2.DeltaDiscoveryRequest) -> bool:
        return bool(request.initial_resource_versions)

    def subscribe(self, subscription: Subscription, request: discovery_pb2.DeltaDiscoveryRequest) -> None:
        subscription.request(
            request.resource_names_subscribe, request.resource_names_unsubscribe, request.initial_resource_versions
        )

    def encode(self, encoder: Encoder, subscription: Subscription, response: Response, version: str) -> bytes:
        batch = response.batch
        return encoder.delta(subscription.type_url, str(response.number), version, batch.updates, batch.removed)
