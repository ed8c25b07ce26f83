"""For any interleaving of snapshots, deliveries, drains and reconnects: no route without its cluster, and in the end
the proxy has what it should have, and a reconnect sends nothing. It has in full what it is said to have in full."""

from __future__ import annotations

import functools

from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.feature.xds import harness
from tests.unit.xds.envoy_model import POISON, EnvoyModel, route_of

from mizzen.compile.names import BLACK_HOLE
from mizzen.compile.resource import CLUSTER, ENDPOINTS, FILTERS, LISTENER, ROUTES, Resources, XdsResource
from mizzen.xds.facts import AssignmentNames
from mizzen.xds.ordering import Ordering
from mizzen.xds.source import Config

TCP = "l3"
CLUSTERS, LISTENERS = ("a", "b", "d"), ("l1", "l2", TCP)
BAD = 9


def _poisoned(resource: XdsResource) -> XdsResource:
    # Field 2000 of the message: unknown to it, but there.
    return XdsResource(resource.name, resource.version + "x", resource.body + b"\x82\x7d\x06" + POISON)


@functools.cache
def cluster(name: str, variant: int) -> XdsResource:
    resource = harness.cluster(name, connect_timeout=variant, service=f"{name}-endpoints" if name == "d" else "")
    return _poisoned(resource) if variant == BAD else resource


@functools.cache
def endpoints(name: str, variant: int) -> XdsResource:
    resource = harness.endpoints(f"{name}-endpoints" if name == "d" else name, 1000 + variant)
    return _poisoned(resource) if variant == BAD else resource


@functools.cache
def listener(name: str, variant: int) -> XdsResource:
    make = harness.tcp_listener if name == TCP else harness.listener
    resource = make(name, 1000 + variant, f"{name}-routes")
    return _poisoned(resource) if variant == BAD else resource


@functools.cache
def routes(name: str, variant: int, clusters: frozenset[str]) -> XdsResource:
    shares = [(cluster, variant) for cluster in sorted(clusters)]
    if name == TCP:
        resource = harness.tcp_route(f"{name}-routes", *shares)
    else:
        resource = harness.routes(f"{name}-routes", *shares)
    return _poisoned(resource) if variant == BAD else resource


def _has_bad(resources: Resources) -> bool:
    return any(POISON in one.body for named in resources.values() for one in named.values())


variants = st.sampled_from([1, 1, 1, 2, 2, BAD])


@st.composite
def configurations(draw: st.DrawFn) -> Resources:
    chosen = draw(st.dictionaries(st.sampled_from(CLUSTERS), variants))
    assignments = draw(st.sets(st.sampled_from(sorted(chosen)))) if chosen else set()
    listeners = draw(st.dictionaries(st.sampled_from(LISTENERS), variants))
    targets = {
        name: draw(st.frozensets(st.sampled_from(sorted(chosen)), min_size=1)) if chosen else frozenset()
        for name in listeners
    }
    return {
        **harness.group(CLUSTER, *(cluster(name, variant) for name, variant in chosen.items())),
        **harness.group(ENDPOINTS, *(endpoints(name, draw(st.sampled_from([1, 2]))) for name in sorted(assignments))),
        **harness.group(LISTENER, *(listener(name, variant) for name, variant in listeners.items())),
        **{
            type_url: {f"{name}-routes": routes(name, draw(variants), targets[name]) for name in names}
            for type_url, names in (
                (ROUTES, [name for name in targets if name != TCP]),
                (FILTERS, [name for name in targets if name == TCP and targets[name]]),
            )
        },
    }


class Conversation(RuleBasedStateMachine):
    @initialize(resources=configurations())
    def start(self, resources: Resources) -> None:
        self.version = 1
        self.now = 0.0
        self.config = Config(1, resources)
        self.history = {1: resources}
        self.envoy = EnvoyModel()
        self.connect(first=self.version)

    def connect(self, first: int) -> None:
        self.first = first
        self.ordering = Ordering(AssignmentNames(), patience=5.0)
        self.ordering.config = self.config

    def speak(self) -> None:
        self.envoy.inbox.extend(self.ordering.take(self.now))

    @rule(resources=configurations())
    def snapshot(self, resources: Resources) -> None:
        self.version += 1
        self.config = self.ordering.config = Config(self.version, resources)
        self.history[self.version] = resources
        self.speak()

    @precondition(lambda self: self.envoy.outbox)
    @rule()
    def server_receives(self) -> None:
        self.envoy.outbox.popleft().apply(self.ordering)
        self.speak()

    @precondition(lambda self: self.envoy.inbox)
    @rule()
    def envoy_receives(self) -> None:
        self.envoy.receive()

    @rule()
    def drain(self) -> None:
        self.envoy.drained()

    @rule()
    def reconnect(self) -> None:
        self.envoy.connect()
        self.connect(first=1)

    @rule()
    def settle(self) -> None:
        for _ in range(500):
            if self.envoy.inbox:
                self.envoy.receive()
            elif self.envoy.outbox:
                self.server_receives()
            elif self.envoy.draining:
                self.envoy.drained()
            elif (moment := self.ordering.deadline(self.now)) is not None:
                self.now = moment
                self.speak()
            else:
                break
        assert not self.envoy.inbox
        assert not self.envoy.outbox, "the conversation has no end"
        assert self.ordering.behind() == {}
        self.check_outcome()

    def check_outcome(self) -> None:
        refused = {(type_url, name) for type_url, sub in self.ordering.subscriptions.items() for name in sub.refused}
        for type_url, subscription in self.ordering.subscriptions.items():
            sure = {
                name: item for name, item in self.envoy.known[type_url].items() if name not in subscription.doubtful
            }
            held = {item.name: item for item in subscription.present() if item.name not in subscription.doubtful}
            assert sure.keys() == held.keys()
            assert all(sure[name] == item for name, item in held.items() if item.body)
            # Doubt ends with an answer: unless the newest is refused too, or its removal waits for a route that is.
            assert subscription.doubtful.keys() <= subscription.refused.keys() | subscription.todo.keys()
        if refused:
            return
        resources, known = self.config.resources, self.envoy.known
        assert known[CLUSTER] == resources[CLUSTER]
        assert known[LISTENER] == resources[LISTENER]
        asked = {route_of(item) for item in resources[LISTENER].values()}
        assert {(type_url, name) for type_url in (ROUTES, FILTERS) for name in known[type_url]} == asked
        for type_url, name in asked:
            wanted = resources[type_url].get(name)
            assert known[type_url][name] == wanted if wanted else BLACK_HOLE.encode() in known[type_url][name].body
        for name, resource in known[ENDPOINTS].items():
            wanted = resources[ENDPOINTS].get(name)
            assert resource == wanted if wanted else not resource.body.count(b"127.0.0.1")
        self.check_silence()

    def check_silence(self) -> None:
        """After a reconnect nothing is sent again."""
        before = self.envoy.received
        self.reconnect()
        while self.envoy.outbox or self.envoy.inbox:
            if self.envoy.inbox:
                self.envoy.receive()
            else:
                self.server_receives()
        assert self.envoy.received == before

    @invariant()
    def every_route_has_its_clusters(self) -> None:
        if hasattr(self, "envoy"):
            assert self.envoy.unusable() == set()

    @invariant()
    def what_is_said_to_be_had_in_full_is_had(self) -> None:
        if not hasattr(self, "envoy"):
            return
        behind = self.ordering.behind()
        complete = min(behind.values()) - 1 if behind else self.version
        subscriptions = self.ordering.subscriptions.items()
        # What is or was refused, and what is held back because of that, does not count.
        refused = any(one.refused or one.doubtful for _, one in subscriptions)
        if refused or complete < self.first or _has_bad(self.history[complete]):
            return
        since = [self.history[version] for version in range(complete, self.version + 1)]
        for type_url, subscription in subscriptions:
            for name in since[0].get(type_url, {}):
                had = [resources.get(type_url, {}).get(name) for resources in since]
                if None not in had and (subscription.wildcard or name in subscription.names):
                    held = subscription.held.get(name)
                    assert held, (type_url, name)
                    assert held.version in {one.version for one in had if one}, (type_url, name)

    def teardown(self) -> None:
        if hasattr(self, "envoy"):
            self.settle()


Conversation.TestCase.settings = settings(
    max_examples=100,
    stateful_step_count=30,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
)
TestConversation = Conversation.TestCase
