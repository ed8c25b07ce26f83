"""The state-of-the-world variant of the protocol, which gRPC's own clients speak: each message says everything.

A request lists all names that the client wants; a response carries all resources that it is to have. What to tell, and
when, is decided as for delta clients; a response here shows what the client has once that is applied. A request counts
as a reply to a response only while its nonce is that of one that is not answered yet, so a change of names that crosses
a response on its way does not pass for an answer to it.
"""

from __future__ import annotations

from mizzen.stubs.envoy.service.discovery.v3 import discovery_pb2
from mizzen.xds.ordering import Response
from mizzen.xds.subscription import Subscription
from mizzen.xds.wire import Encoder


class StateOfTheWorld:
    """How state-of-the-world xDS reads and writes; see :class:`mizzen.xds.session.Dialect`."""

    one_at_a_time = True

    def parse(self, data: bytes) -> discovery_pb2.DiscoveryRequest:
        return discovery_pb2.DiscoveryRequest.FromString(data)

    def resumes(self, request: discovery_pb2.DiscoveryRequest) -> bool:
        return bool(request.version_info)

    def subscribe(self, subscription: Subscription, request: discovery_pb2.DiscoveryRequest) -> None:
        subscription.replace(request.resource_names)

    def encode(self, encoder: Encoder, subscription: Subscription, response: Response, version: str) -> bytes:
        view = subscription.view(response.batch)
        return encoder.state(subscription.type_url, str(response.number), version, view.values())
