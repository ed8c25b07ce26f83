"""What the order of a push needs to know about encoded resources: who names whom.

References are found in the encoded bytes, by the length-prefixed name, rather than by taking messages apart: a route
configuration may name clusters in a dozen places, and Envoy adds new ones every year. A false find merely delays.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import Final

from mizzen.compile.resource import CLUSTER, ENDPOINTS, FILTERS, LISTENER, ROUTES, XdsResource
from mizzen.stubs.envoy.config.cluster.v3 import cluster_pb2
from mizzen.xds.wire import varint

PARENTS: Final = {ENDPOINTS: CLUSTER, ROUTES: LISTENER, FILTERS: LISTENER}
"""The types that Envoy asks for by name, and the types whose resources make it ask."""

_REMEMBERED = 1 << 16


def needle(name: str) -> bytes:
    """Returns the bytes of a protobuf string field that holds ``name``: its length, then the name."""
    value = name.encode()
    return varint(len(value)) + value


class Mentions:
    """Knows which names stand in some encoded resources. They are searched as one text, which takes a twentieth of the time
    that it takes one by one, and for each name once.
    """

    def __init__(self, resources: Iterable[XdsResource]) -> None:
        self._text = b"".join(resource.body for resource in resources)
        self._found: dict[object, bool] = {}

    def __contains__(self, name: object) -> bool:
        if name not in self._found:
            self._found[name] = needle(str(name)) in self._text
        return self._found[name]


def address_taken(message: str) -> bool:
    """Tells whether Envoy refused a listener because of the machine that it is on, not because of what it was sent.

    Somebody else has the port: nobody's resource is to blame, and it may be free again at any time.
    """
    return "cannot bind '" in message


class AssignmentNames:
    """Knows the ClusterLoadAssignment that a cluster waits for, once for all proxies."""

    def __init__(self) -> None:
        self._names: OrderedDict[tuple[str, str], str | None] = OrderedDict()

    def of(self, cluster: XdsResource) -> str | None:
        """Returns the name under which Envoy asks for this cluster's endpoints; None if it does not ask."""
        key = (cluster.name, cluster.version)
        if key not in self._names:
            self._names[key] = _assignment_name(cluster)
            if len(self._names) > _REMEMBERED:
                self._names.popitem(last=False)
        return self._names[key]


def _assignment_name(cluster: XdsResource) -> str | None:
    message = cluster_pb2.Cluster.FromString(cluster.body)
    if message.type != cluster_pb2.Cluster.EDS:
        return None
    return message.eds_cluster_config.service_name or message.name
