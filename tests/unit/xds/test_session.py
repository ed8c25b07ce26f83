"""One proxy on one stream: its status, its rejections, how far it is."""

from __future__ import annotations

from typing import Any

import pytest
from tests.feature.xds.harness import KEY, NODE_ID, Source, cluster, endpoints, group, routes

from mizzen.compile.resource import CLUSTER, ENDPOINTS, ROUTES, SECRET, TypeUrl, XdsResource
from mizzen.resources.key import Key
from mizzen.stubs.envoy.config.core.v3 import base_pb2
from mizzen.stubs.envoy.service.discovery.v3 import discovery_pb2
from mizzen.xds.delta import Delta
from mizzen.xds.facts import AssignmentNames
from mizzen.xds.session import ProtocolError, Session, Shared, short_name
from mizzen.xds.status import Fleet, Rejection, State
from mizzen.xds.wire import Encoder

Request = discovery_pb2.DeltaDiscoveryRequest
Response = discovery_pb2.DeltaDiscoveryResponse
OTHER = Key("DestinationRule", "default", "other")


class Talk:
    def __init__(self, source: Source, only: TypeUrl | None = None) -> None:
        self.rejections: list[Rejection] = []
        self.now = 100.0
        self.fleet = Fleet()
        shared = Shared(
            source, self.fleet, Encoder(), AssignmentNames(), self.rejections.append, 5.0, wall=lambda: self.now
        )
        self.session = Session(shared, Delta(), only)

    def take(self) -> list[Response]:
        return [Response.FromString(data) for data in self.session.take(0.0)]

    def say(self, **fields: Any) -> list[Response]:
        self.now += 1
        self.session.receive(Request(**fields))
        return self.take()

    def ack(self, response: Response) -> list[Response]:
        return self.say(type_url=response.type_url, response_nonce=response.nonce)

    def nack(self, response: Response) -> list[Response]:
        request = Request(type_url=response.type_url, response_nonce=response.nonce)
        request.error_detail.message = "no good"
        self.session.receive(request)
        return self.take()

    def refresh(self) -> list[Response]:
        self.session.refresh()
        return self.take()


NODE = base_pb2.Node(id=NODE_ID)


@pytest.fixture
def source() -> Source:
    source = Source()
    source.set(group(ROUTES, routes("r", origins=[OTHER])))
    return source


def state(talk: Talk, short: str) -> State:
    return talk.session.status().types[short].state


def test_status_of_a_type_from_never_asked_for_to_synced(source: Source) -> None:
    talk = Talk(source)
    (clusters,) = talk.say(node=NODE, type_url=CLUSTER)
    assert state(talk, "RDS") is State.IGNORED
    (response,) = talk.say(type_url=ROUTES, resource_names_subscribe=["r"])
    assert state(talk, "RDS") is State.STALE
    assert talk.session.status().version is None
    talk.ack(response)
    talk.ack(clusters)
    status = talk.session.status()
    assert status.connected_since == 100.0
    assert (status.types["RDS"].state, status.types["RDS"].resources) == (State.SYNCED, 1)
    assert (status.types["RDS"].sent, status.types["RDS"].acked) == (102.0, 103.0)
    assert status.version == source.version


def test_type_that_needed_nothing_is_not_sent() -> None:
    talk = Talk(Source({}))
    talk.say(node=NODE, type_url=SECRET, resource_names_subscribe=["default"])
    assert state(talk, "SDS") is State.NOT_SENT


def test_version_without_a_change_for_the_proxy_is_had_at_once(source: Source) -> None:
    talk = Talk(source)
    talk.ack(talk.say(node=NODE, type_url=ROUTES, resource_names_subscribe=["r"])[0])
    version = source.touch()
    assert talk.refresh() == []
    assert talk.session.status().version == version


def test_rejection_is_reported_with_its_origins_and_stands_until_fixed(source: Source) -> None:
    talk = Talk(source)
    talk.ack(talk.say(node=NODE, type_url=ROUTES, resource_names_subscribe=["r"])[0])
    acknowledged = source.version
    source.set(group(ROUTES, routes("r", ("a", 1), origins=[OTHER, KEY])))
    talk.nack(talk.refresh()[0])
    (rejection,) = talk.rejections
    assert (rejection.proxy, rejection.type_url, rejection.resource) == ("reviews-v1-0.default", ROUTES, "r")
    assert (rejection.message, rejection.snapshot) == ("no good", source.version)
    assert set(rejection.origins) - set(rejection.accepted_origins) == {KEY}
    status = talk.session.status()
    assert (status.types["RDS"].state, status.types["RDS"].error) == (State.ERROR, "no good")
    assert (status.version, status.rejections) == (acknowledged, (rejection,))
    progress = talk.fleet.progress(source.version)
    assert progress.rejected == {"reviews-v1-0.default": (rejection,)}
    assert not progress.pending
    source.set(group(ROUTES, routes("r", ("a", 2))))
    talk.ack(talk.refresh()[0])
    assert talk.fleet.progress(source.version).synced == ("reviews-v1-0.default",)
    assert talk.session.status().rejections == ()


def test_response_with_several_resources_is_reported_once_the_culprit_is_known() -> None:
    source = Source()
    source.set(group(ROUTES, routes("r1"), routes("r2")))
    talk = Talk(source)
    (response,) = talk.say(node=NODE, type_url=ROUTES, resource_names_subscribe=["r1", "r2"])
    first, second = talk.nack(response)
    assert talk.rejections == []
    talk.nack(first)
    talk.ack(second)
    assert [rejection.resource for rejection in talk.rejections] == [first.resources[0].name]


def test_unknown_proxy_waits_and_is_not_waited_for() -> None:
    source = Source()
    talk = Talk(source)
    assert talk.say(node=NODE, type_url=CLUSTER) == []
    assert talk.fleet.progress(1) == talk.fleet.progress(1).__class__(1)
    source.set(group(CLUSTER, cluster("a")))
    assert [resource.name for resource in talk.refresh()[0].resources] == ["a"]


def test_proxy_that_is_forgotten_keeps_what_it_has(source: Source) -> None:
    talk = Talk(source)
    talk.ack(talk.say(node=NODE, type_url=ROUTES, resource_names_subscribe=["r"])[0])
    source.resources = None
    assert talk.refresh() == []
    assert state(talk, "RDS") is State.SYNCED


def test_older_version_is_pending_until_the_session_has_seen_the_newer(source: Source) -> None:
    talk = Talk(source)
    talk.ack(talk.say(node=NODE, type_url=ROUTES, resource_names_subscribe=["r"])[0])
    version = source.touch()
    assert talk.fleet.progress(version).pending == {"reviews-v1-0.default": ()}
    talk.refresh()
    assert talk.fleet.progress(version).synced == ("reviews-v1-0.default",)


def test_version_is_had_although_newer_ones_are_on_the_way(source: Source) -> None:
    """In a busy mesh there always is one, and who waits for a version must not wait until none is."""
    talk = Talk(source)
    talk.ack(talk.say(node=NODE, type_url=ROUTES, resource_names_subscribe=["r"])[0])
    first = source.set(group(ROUTES, routes("r", ("a", 1))))
    (sent,) = talk.refresh()
    second = source.set(group(ROUTES, routes("r", ("a", 2))))
    third = source.set(group(ROUTES, routes("r", ("a", 3))))
    assert talk.refresh() == []
    assert talk.fleet.progress(first).pending == {"reviews-v1-0.default": ("RDS",)}
    (newest,) = talk.ack(sent)
    assert talk.fleet.progress(first).synced == ("reviews-v1-0.default",)
    assert talk.session.status().version == first
    assert talk.fleet.progress(second).pending == {"reviews-v1-0.default": ("RDS",)}
    talk.ack(newest)
    assert talk.fleet.progress(third).synced == ("reviews-v1-0.default",)


def test_version_from_before_a_proxy_came_does_not_wait_for_it(source: Source) -> None:
    before, version = source.version, source.touch()
    talk = Talk(source)
    talk.say(node=NODE, type_url=ROUTES, resource_names_subscribe=["r"])
    assert talk.fleet.progress(before).synced == ("reviews-v1-0.default",)
    assert talk.fleet.progress(version).pending == {"reviews-v1-0.default": ("RDS",)}
    assert talk.session.status().version is None


def test_service_of_one_type_needs_no_type_url_and_serves_no_other() -> None:
    source = Source()
    source.set(group(SECRET, XdsResource("default", "1", b"x")))
    talk = Talk(source, only=SECRET)
    (response,) = talk.say(node=NODE, resource_names_subscribe=["default"])
    assert response.type_url == SECRET
    with pytest.raises(ProtocolError, match="Secret only"):
        talk.say(type_url=CLUSTER)
    assert talk.session.status().types.keys() == {"SDS"}


@pytest.mark.parametrize(("fields", "text"), [({"type_url": CLUSTER}, "node"), ({"node": NODE}, "type_url")])
def test_broken_requests_are_told_what_is_wrong(fields: dict[str, Any], text: str) -> None:
    with pytest.raises(ProtocolError, match=text):
        Talk(Source({})).say(**fields)


def test_nonce_of_another_stream_is_ignored(source: Source) -> None:
    talk = Talk(source)
    talk.say(node=NODE, type_url=ROUTES, resource_names_subscribe=["r"], response_nonce="not ours")
    assert state(talk, "RDS") is State.STALE


def test_closed_session_leaves_the_fleet(source: Source) -> None:
    talk = Talk(source)
    talk.session.close()
    talk.say(node=NODE, type_url=CLUSTER)
    assert len(talk.fleet.proxies()) == 1
    talk.session.close()
    assert talk.fleet.proxies() == []


def test_short_names() -> None:
    assert short_name(ENDPOINTS) == "EDS"
    assert short_name("type.googleapis.com/envoy.service.runtime.v3.Runtime") == "Runtime"


def test_pending_names_the_types(source: Source) -> None:
    talk = Talk(source)
    source.set(group(CLUSTER, cluster("a")), group(ENDPOINTS, endpoints("a", 1)))
    talk.say(node=NODE, type_url=CLUSTER)
    assert talk.fleet.progress(source.version).pending == {"reviews-v1-0.default": ("CDS", "EDS")}
