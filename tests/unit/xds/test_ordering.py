"""Make before break, case by case; ``test_ordering_model`` tries all interleavings."""

from __future__ import annotations

import pytest
from tests.feature.xds.harness import cluster, endpoints, group, listener, routes, tcp_route

from mizzen.compile.nothing import build_nothing
from mizzen.compile.resource import CLUSTER, ENDPOINTS, FILTERS, LISTENER, ROUTES, SECRET, TypeUrl, XdsResource
from mizzen.xds.facts import AssignmentNames
from mizzen.xds.ordering import Ordering, Response
from mizzen.xds.source import Config

SHORT = {CLUSTER: "CDS", ENDPOINTS: "EDS", LISTENER: "LDS", ROUTES: "RDS", FILTERS: "ECDS", SECRET: "SDS"}
LONG = {short: type_url for type_url, short in SHORT.items()}
PATIENCE = 5.0


class Proxy:
    """The proxy's side of an ordering; each step returns what is sent, as ``CDS +a -b``."""

    def __init__(self, *groups: dict[str, dict[str, XdsResource]], one_at_a_time: bool = False) -> None:
        self.ordering = Ordering(AssignmentNames(), patience=PATIENCE, one_at_a_time=one_at_a_time)
        self.version = 0
        self.now = 0.0
        self.sent: list[Response] = []
        self.config(*groups)

    def config(self, *groups: dict[str, dict[str, XdsResource]]) -> list[str]:
        self.version += 1
        merged: dict[TypeUrl, dict[str, XdsResource]] = {}
        for part in groups:
            for type_url, named in part.items():
                merged.setdefault(type_url, {}).update(named)
        self.ordering.config = Config(self.version, merged)
        return self.take()

    def take(self) -> list[str]:
        responses = self.ordering.take(self.now)
        self.sent += responses
        return [describe(response) for response in responses]

    def ask(
        self, short: str, *names: str, unsubscribe: tuple[str, ...] = (), versions: dict[str, str] | None = None
    ) -> list[str]:
        self.ordering.subscription(LONG[short]).request(names, unsubscribe, versions)
        return self.take()

    def ack(self, short: str, error: str | None = None) -> list[str]:
        """Replies to the oldest response of the type that is not answered."""
        response = next(response for response in self.sent if SHORT[response.type_url] == short)
        self.sent.remove(response)
        self.ordering.reply(response.type_url, response.number, error)
        return self.take()

    def nack(self, short: str) -> list[str]:
        return self.ack(short, "bad")

    def settle(self) -> None:
        while self.sent:
            self.ack(SHORT[self.sent[0].type_url])

    def unfinished(self) -> set[str]:
        return {SHORT[type_url] for type_url in self.ordering.behind()}


def describe(response: Response) -> str:
    words = [SHORT[response.type_url]]
    words += [f"+{resource.name}" for resource in response.batch.updates]
    words += [f"-{name}" for name in response.batch.removed]
    return " ".join(words)


A, B = cluster("a"), cluster("b")
EA, EB = endpoints("a", 1), endpoints("b", 2)
L = group(LISTENER, listener("l", 80, "r"))


def to(*names: str) -> dict[str, dict[str, XdsResource]]:
    return group(ROUTES, routes("r", *((name, 1) for name in names)))


@pytest.fixture
def proxy() -> Proxy:
    """A proxy with cluster a, and a route to it."""
    proxy = Proxy(group(CLUSTER, A), group(ENDPOINTS, EA), L, to("a"))
    for short, names in (("CDS", ()), ("EDS", ("a",)), ("LDS", ()), ("RDS", ("r",))):
        proxy.ask(short, *names)
    proxy.settle()
    assert proxy.unfinished() == set()
    return proxy


def test_new_cluster_goes_before_the_route_to_it(proxy: Proxy) -> None:
    assert proxy.config(group(CLUSTER, A, B), group(ENDPOINTS, EA, EB), L, to("b")) == ["CDS +b"]
    assert proxy.ask("EDS", "b") == ["EDS +b"]
    assert proxy.unfinished() == {"CDS", "EDS", "RDS"}
    assert proxy.ack("EDS") == []
    assert proxy.ack("CDS") == ["RDS +r"]


def test_acknowledged_cluster_waits_for_its_endpoints(proxy: Proxy) -> None:
    """As while Envoy initialises: it acknowledges clusters at once then."""
    proxy.config(group(CLUSTER, A, B), group(ENDPOINTS, EA, EB), L, to("b"))
    assert proxy.ack("CDS") == []
    assert proxy.ask("EDS", "b") == ["EDS +b"]
    assert proxy.ack("EDS") == ["RDS +r"]


def test_updated_cluster_gets_its_endpoints_again(proxy: Proxy) -> None:
    assert proxy.config(group(CLUSTER, cluster("a", 2)), group(ENDPOINTS, EA), L, to("a")) == ["CDS +a", "EDS +a"]


def test_updated_cluster_gets_its_endpoints_under_their_own_name() -> None:
    proxy = Proxy(group(CLUSTER, cluster("a", 1, "other")), group(ENDPOINTS, endpoints("other", 1)))
    proxy.ask("CDS")
    proxy.ask("EDS", "other")
    proxy.settle()
    changed = group(CLUSTER, cluster("a", 2, "other"))
    assert proxy.config(changed, group(ENDPOINTS, endpoints("other", 1))) == ["CDS +a", "EDS +other"]


def test_assignment_sent_before_the_cluster_does_not_warm_it(proxy: Proxy) -> None:
    assert proxy.config(group(CLUSTER, A), group(ENDPOINTS, endpoints("a", 7)), L, to("a")) == ["EDS +a"]
    both = group(CLUSTER, cluster("a", 2)), group(ENDPOINTS, endpoints("a", 7)), L, to("a")
    assert proxy.config(*both) == ["CDS +a"]
    assert proxy.ack("EDS") == ["EDS +a"]
    proxy.ack("CDS")
    assert proxy.unfinished() == {"EDS"}
    proxy.ack("EDS")
    assert proxy.unfinished() == set()


def test_reconnecting_proxy_gets_the_endpoints_of_an_updated_cluster_again() -> None:
    proxy = Proxy(group(CLUSTER, cluster("a", 2)), group(ENDPOINTS, EA))
    assert proxy.ask("CDS", versions={"a": A.version}) == ["CDS +a"]
    assert proxy.ask("EDS", "a", versions={"a": EA.version}) == ["EDS +a"]


def test_route_that_needs_no_new_cluster_does_not_wait(proxy: Proxy) -> None:
    new = group(CLUSTER, A, B), group(ENDPOINTS, EA, EB), L
    assert proxy.config(*new, group(ROUTES, routes("r", ("a", 2)))) == ["CDS +b", "RDS +r"]


def test_listener_waits_for_the_cluster_that_it_names(proxy: Proxy) -> None:
    named = XdsResource("tcp", "1", b"\x0a\x01b")
    listeners = {LISTENER: {**L[LISTENER], "tcp": named}}
    assert proxy.config(group(CLUSTER, A, B), group(ENDPOINTS, EA, EB), listeners, to("a")) == ["CDS +b"]
    proxy.ask("EDS", "b")
    proxy.ack("EDS")
    assert proxy.ack("CDS") == ["LDS +tcp"]


def test_cluster_is_removed_after_the_route_that_used_it(proxy: Proxy) -> None:
    assert proxy.config(group(CLUSTER, B), group(ENDPOINTS, EB), L, to("b")) == ["CDS +b"]
    proxy.ask("EDS", "b")
    proxy.ack("EDS")
    assert proxy.ack("CDS") == ["RDS +r"]
    assert proxy.ack("RDS") == ["CDS -a"]
    assert proxy.unfinished() == {"CDS"}
    assert proxy.ack("CDS") == []
    assert proxy.unfinished() == set()


def test_a_cluster_goes_although_the_newest_route_names_it(proxy: Proxy) -> None:
    """Its service was deleted, and the route stays: as for a proxy that starts now, it leads nowhere."""
    assert proxy.config(group(CLUSTER), group(ENDPOINTS), L, to("a")) == ["CDS -a"]
    proxy.settle()
    assert proxy.unfinished() == set()


def test_a_cluster_waits_for_another_route_to_be_changed_although_the_newest_names_it(proxy: Proxy) -> None:
    two = {ROUTES: {**to("a")[ROUTES], "s": routes("s", ("a", 1))}}
    proxy.config(group(CLUSTER, A), group(ENDPOINTS, EA), L, two)
    proxy.ask("RDS", "s")
    proxy.settle()
    assert proxy.config(
        group(CLUSTER), group(ENDPOINTS), L, {ROUTES: {**to("a")[ROUTES], "s": routes("s", ("b", 2))}}
    ) == ["RDS +s"]
    assert proxy.ack("RDS") == ["CDS -a"]


def test_cluster_is_not_removed_while_a_route_to_it_is_on_its_way(proxy: Proxy) -> None:
    """Neither what the proxy acknowledged names b, nor what it is to have; but it is about to use it."""
    proxy.config(group(CLUSTER, A, B), group(ENDPOINTS, EA, EB), L, to("a"))
    proxy.ask("EDS", "b")
    proxy.settle()
    both = group(CLUSTER, A, B), group(ENDPOINTS, EA, EB), L
    assert proxy.config(*both, to("b")) == ["RDS +r"]
    assert proxy.config(group(CLUSTER, A), group(ENDPOINTS, EA), L, to("a")) == []
    assert proxy.ack("RDS") == ["RDS +r"]
    assert proxy.ack("RDS") == ["CDS -b"]


def test_endpoints_of_a_removed_cluster_are_left_as_they_are(proxy: Proxy) -> None:
    """Emptying them would fail the requests of routes that are still in use."""
    proxy.config(group(CLUSTER, B), group(ENDPOINTS, EB), L, to("b"))
    proxy.ask("EDS", "b")
    assert [describe(response) for response in proxy.sent] == ["CDS +b", "EDS +b"]


def test_endpoints_that_vanish_from_a_cluster_that_stays_are_emptied(proxy: Proxy) -> None:
    assert proxy.config(group(CLUSTER, A), L, to("a")) == ["EDS +a"]
    assert proxy.sent[0].batch.updates == (build_nothing(ENDPOINTS, "a"),)


def test_draining_listener_keeps_its_routes_and_their_clusters(proxy: Proxy) -> None:
    both = group(LISTENER, listener("l", 80, "r"), listener("l2", 81, "r2"))
    proxy.config(group(CLUSTER, A, B), group(ENDPOINTS, EA, EB), both, to("a"), group(ROUTES, routes("r2", ("b", 1))))
    proxy.ask("EDS", "b")
    proxy.ask("RDS", "r2")
    proxy.settle()
    assert proxy.config(group(CLUSTER, A), group(ENDPOINTS, EA), L, to("a")) == ["LDS -l2"]
    assert proxy.ack("LDS") == []
    assert proxy.unfinished() == set(), "nobody waits for a listener to drain"
    assert proxy.ask("RDS", unsubscribe=("r2",)) == ["CDS -b"]


def test_listener_is_removed_after_new_ones_are_acknowledged(proxy: Proxy) -> None:
    other = group(LISTENER, listener("l2", 81, "r"))
    assert proxy.config(group(CLUSTER, A), group(ENDPOINTS, EA), other, to("a")) == ["LDS +l2"]
    assert proxy.ack("LDS") == ["LDS -l"]


def test_refused_listener_is_tried_again_when_another_has_gone(proxy: Proxy) -> None:
    """Its address may have been taken by the one that goes."""
    other = group(LISTENER, listener("l2", 80, "r"))
    proxy.config(group(CLUSTER, A), group(ENDPOINTS, EA), other, to("a"))
    assert proxy.nack("LDS") == ["LDS -l"]
    assert proxy.ack("LDS") == ["LDS +l2"]


BOTH = group(LISTENER, listener("l", 80, "r"), listener("l2", 81, "r"))


def test_listener_whose_address_is_taken_is_tried_again_until_it_is_free(proxy: Proxy) -> None:
    taken = "Error adding/updating listener(s) l2: cannot bind '127.0.0.1:81': Address already in use"
    proxy.config(group(CLUSTER, A), group(ENDPOINTS, EA), BOTH, to("a"))
    proxy.ack("LDS", taken)
    proxy.settle()
    for _ in range(2):
        assert proxy.take() == []
        assert proxy.ordering.deadline(proxy.now) == proxy.now + PATIENCE
        proxy.now += PATIENCE
        assert proxy.take() == ["LDS +l2"]
        proxy.ack("LDS", taken)
    proxy.now += PATIENCE
    assert proxy.take() == ["LDS +l2"]
    proxy.settle()
    assert proxy.ordering.deadline(proxy.now) is None


def test_listener_that_is_refused_for_what_it_is_is_not_tried_again(proxy: Proxy) -> None:
    proxy.config(group(CLUSTER, A), group(ENDPOINTS, EA), BOTH, to("a"))
    proxy.nack("LDS")
    proxy.settle()
    assert proxy.ordering.deadline(proxy.now) is None
    proxy.now += PATIENCE
    assert proxy.take() == []


@pytest.mark.trap(43)
@pytest.mark.parametrize(("short", "type_url"), [("EDS", ENDPOINTS), ("RDS", ROUTES), ("ECDS", FILTERS)])
def test_unknown_endpoints_routes_and_filters_are_answered_with_empty_ones(short: str, type_url: str) -> None:
    proxy = Proxy()
    assert proxy.ask(short, "x") == [f"{short} +x"]
    assert proxy.sent[0].batch.updates == (build_nothing(type_url, "x"),)
    proxy.settle()
    assert proxy.take() == []


def test_unknown_cluster_that_is_asked_for_is_said_to_be_absent() -> None:
    assert Proxy().ask("CDS", "x") == ["CDS -x"]


def test_missing_secret_is_on_its_way() -> None:
    proxy = Proxy()
    assert proxy.ask("SDS", "default") == []
    secret = XdsResource("default", "1", b"x")
    assert proxy.config(group(SECRET, secret)) == ["SDS +default"]
    proxy.settle()
    assert proxy.config() == [], "a proxy keeps the certificate that it has"


def test_first_response_of_a_wildcard_is_sent_even_if_empty() -> None:
    proxy = Proxy()
    assert proxy.ask("CDS") == ["CDS"]
    assert proxy.ask("LDS") == ["LDS"]
    assert proxy.unfinished() == {"CDS", "LDS"}
    proxy.settle()
    assert proxy.take() == []


def test_nothing_is_sent_without_a_configuration() -> None:
    proxy = Proxy()
    proxy.ordering.config = None
    assert proxy.ask("CDS") == []
    assert proxy.unfinished() == set()


class TestReconnect:
    CONFIG = (group(CLUSTER, A), group(ENDPOINTS, EA), L, to("a"))

    def reconnect(self, proxy: Proxy) -> list[str]:
        sent = proxy.ask("CDS", versions={"a": A.version})
        sent += proxy.ask("EDS", "a", versions={"a": EA.version})
        sent += proxy.ask("LDS", versions={"l": L[LISTENER]["l"].version})
        return sent + proxy.ask("RDS", "r", versions={"r": to("a")[ROUTES]["r"].version})

    def test_nothing_is_sent_again(self) -> None:
        proxy = Proxy(*self.CONFIG)
        assert self.reconnect(proxy) == []
        assert proxy.unfinished() == set()

    def test_cluster_is_not_removed_before_its_routes_are_known(self) -> None:
        proxy = Proxy(group(CLUSTER, B), group(ENDPOINTS, EB), L, to("b"))
        assert self.reconnect(proxy) == ["CDS +b"]
        proxy.ask("EDS", "b")
        proxy.ack("EDS")
        assert proxy.ack("CDS") == ["RDS +r"]
        assert proxy.ack("RDS") == ["CDS -a"]

    def test_route_that_is_not_known_may_use_any_cluster(self) -> None:
        proxy = Proxy(group(CLUSTER, B), group(ENDPOINTS, EB), L, to("b"))
        assert self.reconnect(proxy) == ["CDS +b"]
        assert proxy.ack("CDS") == [], "b has no endpoints yet, and the old route may name a"
        assert proxy.ask("EDS", "b") == ["EDS +b"]
        assert proxy.ack("EDS") == ["RDS +r"]

    def test_proxy_without_routes_is_not_waited_for_longer_than_patience(self) -> None:
        proxy = Proxy()
        assert proxy.ask("CDS", versions={"a": A.version}) == []
        assert proxy.ordering.deadline(proxy.now) == PATIENCE
        proxy.now = PATIENCE
        assert proxy.take() == ["CDS -a"]


class TestRejection:
    def test_culprit_is_found_and_the_others_go_out(self, proxy: Proxy) -> None:
        config = group(CLUSTER, A, B, cluster("c")), group(ENDPOINTS, EA, EB), L, to("b")
        assert proxy.config(*config) == ["CDS +b +c"]
        proxy.ask("EDS", "b", "c")
        proxy.ack("EDS")
        assert proxy.nack("CDS") == ["CDS +b", "CDS +c", "EDS +b +c"]
        proxy.ack("EDS")
        assert proxy.ack("CDS") == ["RDS +r"]
        assert proxy.nack("CDS") == []
        assert proxy.ordering.subscription(CLUSTER).refused.keys() == {"c"}
        proxy.ack("RDS")
        assert proxy.unfinished() == set()

    def test_route_to_a_rejected_new_cluster_is_held_back_and_others_are_not(self, proxy: Proxy) -> None:
        more = group(ROUTES, routes("r", ("b", 1)), routes("r2", ("a", 3)))
        proxy.ask("RDS", "r2")
        proxy.settle()
        proxy.config(group(CLUSTER, A, B), group(ENDPOINTS, EA, EB), L, more)
        assert [describe(response) for response in proxy.sent] == ["CDS +b", "RDS +r2"]
        proxy.ack("RDS")
        assert proxy.nack("CDS") == []
        assert proxy.unfinished() == set()
        fixed = cluster("b", 2)
        assert proxy.config(group(CLUSTER, A, fixed), group(ENDPOINTS, EA, EB), L, more) == ["CDS +b"]
        proxy.ask("EDS", "b")
        proxy.ack("EDS")
        assert proxy.ack("CDS") == ["RDS +r"]

    def test_cluster_that_a_held_back_route_still_uses_is_not_removed(self, proxy: Proxy) -> None:
        proxy.config(group(CLUSTER, B), group(ENDPOINTS, EB), L, to("b"))
        assert proxy.nack("CDS") == []
        assert proxy.unfinished() == set()
        assert [resource.name for resource in proxy.ordering.subscription(CLUSTER).present()] == ["a"]

    def test_route_to_a_rejected_update_goes_out(self, proxy: Proxy) -> None:
        proxy.config(group(CLUSTER, cluster("a", 2)), group(ENDPOINTS, EA), L, group(ROUTES, routes("r", ("a", 2))))
        proxy.ack("EDS")
        assert proxy.nack("CDS") == ["RDS +r"]

    def test_removal_that_was_part_of_a_rejected_response_is_told(self, proxy: Proxy) -> None:
        """Envoy applies the good clusters of a response that it rejects."""
        proxy.config(group(CLUSTER, A, B, cluster("c")), group(ENDPOINTS, EA, EB), L, to("a"))
        proxy.config(group(CLUSTER, A), group(ENDPOINTS, EA), L, to("a"))
        assert proxy.nack("CDS") == ["CDS -b", "CDS -c"]

    def test_cluster_of_a_route_that_may_have_been_applied_is_not_removed(self, proxy: Proxy) -> None:
        """The proxy rejected "r", which then named b, together with "r2": it may use b now."""
        proxy.config(group(CLUSTER, A, B), group(ENDPOINTS, EA, EB), L, to("a"))
        proxy.ask("EDS", "b")
        proxy.ask("RDS", "r2")
        proxy.settle()
        both = group(ROUTES, routes("r", ("b", 1)), routes("r2", ("a", 2)))
        assert proxy.config(group(CLUSTER, A, B), group(ENDPOINTS, EA, EB), L, both) == ["RDS +r +r2"]
        later = group(ROUTES, routes("r", ("c", 1)), routes("r2", ("c", 2)))
        assert proxy.config(group(CLUSTER, A, cluster("c")), group(ENDPOINTS, EA), L, later) == ["CDS +c"]
        assert proxy.nack("RDS") == []
        assert proxy.ack("CDS") == [], "c has no endpoints yet, so the routes wait, and b stays"
        assert proxy.ask("EDS", "c") == ["EDS +c"]
        assert proxy.ack("EDS") == ["RDS +r", "RDS +r2"]
        assert proxy.ack("RDS") == []
        assert proxy.ack("RDS") == ["CDS -b"]


class TestBehind:
    """Each version is had when what came with it is, whatever came since."""

    def test_newer_change_of_something_else_does_not_count(self, proxy: Proxy) -> None:
        proxy.config(group(CLUSTER, A), group(ENDPOINTS, endpoints("a", 10)), L, to("a"))
        proxy.config(group(CLUSTER, A), group(ENDPOINTS, endpoints("a", 10)), L, group(ROUTES, routes("r", ("a", 2))))
        assert proxy.ordering.behind() == {ENDPOINTS: 2, ROUTES: 3}
        proxy.ack("EDS")
        assert proxy.ordering.behind() == {ROUTES: 3}

    def test_what_was_replaced_before_it_was_sent_is_had_with_its_successor(self, proxy: Proxy) -> None:
        for port in (10, 11, 12):
            proxy.config(group(CLUSTER, A), group(ENDPOINTS, endpoints("a", port)), L, to("a"))
        assert proxy.ordering.behind() == {ENDPOINTS: 2}
        proxy.ack("EDS")
        assert proxy.ordering.behind() == {ENDPOINTS: 3}
        proxy.ack("EDS")
        assert proxy.ordering.behind() == {}

    def test_what_is_sent_again_because_others_were_refused_with_it_is_as_late_as_before(self, proxy: Proxy) -> None:
        proxy.config(group(CLUSTER, cluster("a", 2), B), group(ENDPOINTS, EA, EB), L, to("a"))
        proxy.config(group(CLUSTER, cluster("a", 2), B), group(ENDPOINTS, EA, EB), L, group(ROUTES, routes("r")))
        assert proxy.nack("CDS") == ["CDS +a", "CDS +b"]
        assert proxy.ordering.behind()[CLUSTER] == 2

    def test_updated_cluster_is_had_with_its_endpoints(self, proxy: Proxy) -> None:
        proxy.config(group(CLUSTER, cluster("a", 2)), group(ENDPOINTS, EA), L, to("a"))
        proxy.config(group(CLUSTER, cluster("a", 2)), group(ENDPOINTS, EA), L, group(ROUTES, routes("r")))
        proxy.ack("CDS")
        assert proxy.ordering.behind() == {ENDPOINTS: 2, ROUTES: 3}

    def test_routes_that_a_listener_asks_for_are_as_late_as_the_listener(self, proxy: Proxy) -> None:
        more = group(LISTENER, listener("l", 80, "r"), listener("m", 81, "s"))
        users = group(ROUTES, routes("r", ("a", 1)), routes("s", ("a", 1)))
        proxy.config(group(CLUSTER, A), group(ENDPOINTS, EA), more, users)
        proxy.config(group(CLUSTER, A), group(ENDPOINTS, EA), more, users)
        proxy.ack("LDS")
        assert proxy.ask("RDS", "s") == ["RDS +s"]
        assert proxy.ordering.behind() == {ROUTES: 2}


class TestBusy:
    """What never rests gets everything in the end, also that something is gone."""

    def test_removed_listener_waits_for_new_ones_of_its_version_and_not_for_newer(self, proxy: Proxy) -> None:
        def listeners(*names: str) -> dict[str, dict[str, XdsResource]]:
            return group(LISTENER, *(listener(name, 80, "r") for name in names))

        rest = group(CLUSTER, A), group(ENDPOINTS, EA), to("a")
        assert proxy.config(*rest, listeners("m")) == ["LDS +m"]
        assert proxy.config(*rest, listeners("m", "n")) == []
        assert proxy.ack("LDS") == ["LDS +n -l"]

    def test_removed_listener_does_not_wait_for_newer_routes(self, proxy: Proxy) -> None:
        rest = group(CLUSTER, A), group(ENDPOINTS, EA)
        both = group(LISTENER, listener("l", 80, "r"), listener("m", 81, "r"))
        proxy.config(*rest, both, to("a"))
        proxy.settle()
        assert proxy.config(*rest, both, group(ROUTES, routes("r", ("a", 2)))) == ["RDS +r"]
        assert proxy.config(*rest, L, group(ROUTES, routes("r", ("a", 3)))) == []
        assert proxy.ack("RDS") == ["RDS +r"]
        assert proxy.config(*rest, L, group(ROUTES, routes("r", ("a", 4)))) == []
        assert proxy.ack("RDS") == ["RDS +r", "LDS -m"]

    def test_removed_cluster_goes_with_newer_ones(self, proxy: Proxy) -> None:
        rest = group(ENDPOINTS, EA, EB), L
        proxy.config(group(CLUSTER, A, B), *rest, to("a"))
        proxy.ask("EDS", "b")
        proxy.settle()
        changed = group(CLUSTER, cluster("a", 2), B)
        assert proxy.config(changed, *rest, to("a")) == ["CDS +a", "EDS +a"]
        assert proxy.config(group(CLUSTER, cluster("a", 3)), *rest, to("a")) == []
        assert proxy.ack("CDS") == ["CDS +a -b"]


class TestPatience:
    def test_latest_snapshot_wins_over_those_that_wait(self, proxy: Proxy) -> None:
        for port in range(10, 15):
            proxy.config(group(CLUSTER, A), group(ENDPOINTS, endpoints("a", port)), L, to("a"))
        assert [describe(response) for response in proxy.sent] == ["EDS +a"]
        proxy.ack("EDS")
        assert proxy.sent[0].batch.updates == (endpoints("a", 14),)
        proxy.ack("EDS")
        assert proxy.unfinished() == set()

    def test_missing_reply_holds_up_its_type_no_longer_than_patience(self, proxy: Proxy) -> None:
        proxy.config(group(CLUSTER, A), group(ENDPOINTS, endpoints("a", 10)), L, to("a"))
        assert proxy.ordering.deadline(proxy.now) is None
        assert proxy.config(group(CLUSTER, A), group(ENDPOINTS, endpoints("a", 11)), L, to("a")) == []
        assert proxy.ordering.deadline(proxy.now) == PATIENCE
        proxy.now = PATIENCE
        assert proxy.take() == ["EDS +a"]
        assert proxy.unfinished() == {"EDS"}

    def test_missing_reply_for_clusters_holds_up_routes_no_longer_than_patience(self, proxy: Proxy) -> None:
        proxy.config(group(CLUSTER, A, B), group(ENDPOINTS, EA, EB), L, to("b"))
        assert proxy.ordering.deadline(proxy.now) == PATIENCE
        proxy.now = PATIENCE
        assert proxy.take() == ["RDS +r"]

    def test_endpoints_never_asked_for_hold_up_routes_no_longer_than_patience(self, proxy: Proxy) -> None:
        proxy.config(group(CLUSTER, A, B), group(ENDPOINTS, EA, EB), L, to("b"))
        proxy.now = 1.0
        proxy.ack("CDS")
        assert proxy.ordering.deadline(proxy.now) == PATIENCE
        assert proxy.unfinished() == {"EDS", "RDS"}
        proxy.now = PATIENCE
        assert proxy.take() == ["RDS +r"]
        proxy.ack("RDS")
        assert proxy.unfinished() == set()
        assert proxy.ordering.deadline(proxy.now) is None

    def test_late_reply_counts(self, proxy: Proxy) -> None:
        proxy.config(group(CLUSTER, A), group(ENDPOINTS, endpoints("a", 10)), L, to("a"))
        proxy.now = 2 * PATIENCE
        assert proxy.take() == []
        proxy.ack("EDS")
        assert proxy.unfinished() == set()


def test_state_of_the_world_looks_for_a_culprit_one_response_at_a_time() -> None:
    proxy = Proxy(group(CLUSTER, A, B), one_at_a_time=True)
    assert proxy.ask("CDS") == ["CDS +a +b"]
    assert proxy.nack("CDS") == ["CDS +a"]
    assert proxy.nack("CDS") == ["CDS +b"]
    assert proxy.ack("CDS") == []


class TestTcpRoutes:
    """Filters that come by themselves are routes like others: after the clusters that they name, and they keep them."""

    def proxy(self) -> Proxy:
        proxy = Proxy(group(CLUSTER, A), group(ENDPOINTS, EA), L, group(FILTERS, tcp_route("r", ("a", 1))))
        proxy.ask("CDS")
        proxy.ask("EDS", "a")
        proxy.ask("LDS")
        proxy.ask("ECDS", "r")
        proxy.settle()
        return proxy

    def test_one_waits_for_its_cluster(self) -> None:
        proxy = self.proxy()
        both = group(CLUSTER, A, B), group(ENDPOINTS, EA, EB)
        assert proxy.config(*both, L, group(FILTERS, tcp_route("r", ("a", 1), ("b", 1)))) == ["CDS +b"]
        assert proxy.ask("EDS", "b") == ["EDS +b"]
        assert proxy.ack("EDS") == []
        assert proxy.ack("CDS") == ["ECDS +r"]

    def test_a_cluster_goes_when_none_names_it(self) -> None:
        proxy = self.proxy()
        proxy.config(
            group(CLUSTER, A, B), group(ENDPOINTS, EA, EB), L, group(FILTERS, tcp_route("r", ("a", 1), ("b", 1)))
        )
        proxy.ask("EDS", "b")
        proxy.settle()
        assert proxy.config(group(CLUSTER, A), group(ENDPOINTS, EA), L, group(FILTERS, tcp_route("r", ("a", 1)))) == [
            "ECDS +r"
        ]
        assert proxy.ack("ECDS") == ["CDS -b"]

    def test_one_that_a_listener_asks_for_in_vain_leads_nowhere(self) -> None:
        proxy = self.proxy()
        assert proxy.config(group(CLUSTER, A), group(ENDPOINTS, EA), L) == ["ECDS +r"]
        assert b"BlackHoleCluster" in proxy.sent[0].batch.updates[0].body

    def test_one_of_a_listener_that_drains_stays(self) -> None:
        proxy = self.proxy()
        assert proxy.config(group(CLUSTER, A), group(ENDPOINTS, EA)) == ["LDS -l"]
        proxy.settle()
        assert proxy.config() == []
        assert proxy.ask("ECDS", unsubscribe=("r",)) == ["CDS -a"]

    def test_a_proxy_that_reconnects_says_first_what_it_has(self) -> None:
        config = group(CLUSTER, A), group(ENDPOINTS, EA), L, group(FILTERS, tcp_route("r", ("a", 1)))
        proxy = Proxy(*config)
        route = tcp_route("r", ("a", 1))
        versions = {name: one.version for part in config for named in part.values() for name, one in named.items()}
        assert proxy.ask("CDS", versions={"a": A.version, "b": B.version}) == []
        assert proxy.ask("LDS", versions={"l": versions["l"]}) == []
        assert proxy.ask("RDS", "x", versions={"x": "1"}) == []
        assert proxy.ask("ECDS", "r", versions={"r": route.version}) == []
        assert proxy.ask("RDS", unsubscribe=("x",)) == ["CDS -b"]
