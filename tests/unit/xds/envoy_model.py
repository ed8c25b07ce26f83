"""A model of an Envoy that speaks delta xDS, as far as Envoy 1.40 was seen to behave. Messages wait in two queues.

- Clusters warm until their assignment arrives after them; the ACK of a CDS response is withheld until all are warm. An
  updated cluster serves in its old form meanwhile. Assignments are asked for by name, for a new cluster only.
- CDS and LDS apply what is good in a response that they reject; EDS, RDS and ECDS nothing.
- A removed listener drains, and lets go of its routes only then.
- A reconnect loses what is on the way, tells all names and versions, and (as after ``initial_fetch_timeout``) gives up
  waiting for assignments.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from mizzen.compile.names import BLACK_HOLE
from mizzen.compile.resource import CLUSTER, ENDPOINTS, FILTERS, LISTENER, ROUTES, TypeUrl, XdsResource
from mizzen.stubs.envoy.config.core.v3 import extension_pb2
from mizzen.stubs.envoy.config.listener.v3 import listener_pb2
from mizzen.stubs.envoy.config.route.v3 import route_pb2
from mizzen.stubs.envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm
from mizzen.stubs.envoy.extensions.filters.network.tcp_proxy.v3.tcp_proxy_pb2 import TcpProxy
from mizzen.xds.facts import AssignmentNames
from mizzen.xds.ordering import Ordering, Response

TYPES = (CLUSTER, ENDPOINTS, LISTENER, ROUTES, FILTERS)
POISON = b"poison"
"""What this Envoy rejects holds these bytes."""


@dataclass(frozen=True)
class Request:
    type_url: TypeUrl
    subscribe: tuple[str, ...] = ()
    unsubscribe: tuple[str, ...] = ()
    versions: dict[str, str] = field(default_factory=dict)
    number: int = 0
    error: str | None = None

    def apply(self, ordering: Ordering) -> None:
        if self.number:
            ordering.reply(self.type_url, self.number, self.error)
        ordering.subscription(self.type_url).request(self.subscribe, self.unsubscribe, self.versions)


class EnvoyModel:
    def __init__(self) -> None:
        self.inbox: deque[Response] = deque()
        self.outbox: deque[Request] = deque()
        self.known: dict[TypeUrl, dict[str, XdsResource]] = {type_url: {} for type_url in TYPES}
        self.usable: set[str] = set()
        self.warming: dict[str, str] = {}
        self.draining: dict[str, tuple[TypeUrl, str]] = {}
        self.received = 0
        self._names = AssignmentNames()
        self._withheld: list[Request] = []
        self._asked: dict[TypeUrl, set[str]] = {ENDPOINTS: set(), ROUTES: set(), FILTERS: set()}
        self.connect()

    def connect(self) -> None:
        self.inbox.clear()
        self.outbox.clear()
        self._withheld.clear()
        self.usable |= self.warming.keys()
        self.warming.clear()
        for type_url in TYPES:
            asked = sorted(self._asked.get(type_url, ()))
            if asked or type_url in (CLUSTER, LISTENER):
                versions = {name: resource.version for name, resource in self.known[type_url].items()}
                self.outbox.append(Request(type_url, tuple(asked), versions=versions))

    def receive(self) -> None:
        """Takes one response."""
        response = self.inbox.popleft()
        self.received += len(response.batch.updates) + len(response.batch.removed)
        bad = [resource.name for resource in response.batch.updates if POISON in resource.body]
        known = self.known[response.type_url]
        partial = response.type_url in (CLUSTER, LISTENER)
        good = [resource for resource in response.batch.updates if resource.name not in bad]
        if not bad or partial:
            self._apply(response.type_url, good, response.batch.removed)
            asked = self._asked.get(response.type_url)
            known.update({resource.name: resource for resource in good if asked is None or resource.name in asked})
            for name in response.batch.removed:
                known.pop(name, None)
        self._ask()
        reply = Request(response.type_url, number=response.number, error=f"bad: {bad}" if bad else None)
        (self._withheld if response.type_url == CLUSTER else self.outbox).append(reply)
        self._release()

    def _apply(self, type_url: TypeUrl, good: Iterable[XdsResource], removed: Iterable[str]) -> None:
        if type_url == CLUSTER:
            for resource in good:
                old = self.known[CLUSTER].get(resource.name)
                if old is None or old.version != resource.version:
                    self.warming[resource.name] = self._names.of(resource) or ""
            for name in removed:
                self.usable.discard(name)
                self.warming.pop(name, None)
        elif type_url == ENDPOINTS:
            arrived = {resource.name for resource in good} & self._asked[ENDPOINTS]
            done = {name for name, assignment in self.warming.items() if assignment in arrived}
            self.usable |= done
            self.warming = {name: a for name, a in self.warming.items() if name not in done}
        elif type_url == LISTENER:
            for name in removed:
                if name in self.known[LISTENER]:
                    self.draining[name] = route_of(self.known[LISTENER][name])

    def drained(self) -> None:
        self.draining.clear()
        self._ask()

    def _ask(self) -> None:
        clusters = self.known[CLUSTER].values()
        self._change(ENDPOINTS, {name for c in clusters if (name := self._names.of(c))})
        routes = {*map(route_of, self.known[LISTENER].values()), *self.draining.values()}
        for type_url in (ROUTES, FILTERS):
            self._change(type_url, {name for wanted, name in routes if wanted == type_url})

    def _change(self, type_url: TypeUrl, wanted: set[str]) -> None:
        asked = self._asked[type_url]
        if wanted != asked:
            self.outbox.append(Request(type_url, tuple(sorted(wanted - asked)), tuple(sorted(asked - wanted))))
            for name in asked - wanted:
                self.known[type_url].pop(name, None)
            self._asked[type_url] = wanted

    def _release(self) -> None:
        if not self.warming:
            self.outbox.extend(self._withheld)
            self._withheld.clear()

    def unusable(self) -> set[str]:
        """Returns the clusters that a route or draining route names and that would be answered with 503 NC."""
        named: set[str] = set()
        for resource in self.known[ROUTES].values():
            message = route_pb2.RouteConfiguration.FromString(resource.body)
            named |= {
                c.name for h in message.virtual_hosts for r in h.routes for c in r.route.weighted_clusters.clusters
            }
        for resource in self.known[FILTERS].values():
            proxy = TcpProxy.FromString(extension_pb2.TypedExtensionConfig.FromString(resource.body).typed_config.value)
            named |= {proxy.cluster} | {one.name for one in proxy.weighted_clusters.clusters}
        return named - self.usable - {"", BLACK_HOLE}


def route_of(listener: XdsResource) -> tuple[TypeUrl, str]:
    """Returns the type and the name of the route for which a listener asks."""
    message = listener_pb2.Listener.FromString(listener.body)
    taker = message.filter_chains[0].filters[0]
    if taker.HasField("config_discovery"):
        return FILTERS, taker.name
    return ROUTES, hcm.HttpConnectionManager.FromString(taker.typed_config.value).rds.route_config_name
