from __future__ import annotations

from typing import Any

import pytest
from tests.support.compiled import Compiled, compiled
from tests.support.written import destination_rule as rule
from tests.support.written import service, subset, to, virtual_service, workload

REVIEWS = "reviews.default.svc.cluster.local"
HOST = f"{REVIEWS}:9080"
CLIENT = workload("client")


def outbound(host: str = REVIEWS, port: int = 9080, subset: str = "") -> str:
    return f"outbound|{port}|{subset}|{host}"


def routed(*texts: str, client: str = CLIENT, **options: Any) -> Compiled:
    return compiled(service("reviews"), client, *texts, **options)


def clusters(*http: dict[str, Any], client: str = CLIENT, **options: Any) -> list[str]:
    made = routed(virtual_service("reviews", *http), client=client, **options)
    return made.cluster_of("9080", HOST)


DEFAULT = [outbound()]
V1, V2 = to("reviews", "v1"), to("reviews", "v2")
SUBSETS = [outbound(subset="v1"), outbound(subset="v2")]


def test_without_a_virtual_service_a_service_has_one_route() -> None:
    (route,) = routed().routes_of("9080", HOST)
    assert route.name == "default"
    assert route.match.prefix == "/"
    assert route.route.retry_policy.num_retries.value == 2
    assert route.decorator.operation == f"{REVIEWS}:9080/*"


@pytest.mark.trap(6)
def test_generation_stops_at_the_first_catch_all() -> None:
    assert clusters(V1, V2) == SUBSETS[:1]
    assert clusters({**V1, "match": [{"uri": {"prefix": "/"}}, {"uri": {"prefix": "/b"}}]}, V2) == SUBSETS[:1]
    assert clusters({**V1, "match": [{"uri": {"prefix": "/a"}}]}, V2) == SUBSETS


def test_every_match_is_a_route() -> None:
    matches = [{"uri": {"prefix": "/a"}}, {"uri": {"prefix": "/b"}}]
    assert clusters({**V1, "match": matches}, V2) == [SUBSETS[0], *SUBSETS]


@pytest.mark.parametrize(
    ("match", "applies"),
    [
        ({"port": 9080}, True),
        ({"port": 9081}, False),
        ({"sourceNamespace": "default"}, True),
        ({"sourceNamespace": "other"}, False),
        ({"sourceLabels": {"app": "client"}}, True),
        ({"sourceLabels": {"app": "client", "version": "v1"}}, False),
        ({"gateways": ["mesh"]}, True),
    ],
)
def test_conditions_on_the_source_are_decided_here(match: dict[str, Any], applies: bool) -> None:
    assert clusters({**V1, "match": [match]}, V2) == (SUBSETS[:1] if applies else SUBSETS[1:])


@pytest.mark.trap(7)
def test_gateways_in_a_match_switch_conditions_on_the_source_off() -> None:
    match = {"gateways": ["mesh"], "sourceLabels": {"app": "nobody"}, "sourceNamespace": "nowhere"}
    assert clusters({**V1, "match": [match]}, V2) == SUBSETS[:1]


def test_a_service_for_which_no_route_is_meant_is_routed_as_without_a_virtual_service() -> None:
    match = {**V1, "match": [{"sourceLabels": {"app": "nobody"}}]}
    assert clusters(match) == DEFAULT
    made = routed(virtual_service("reviews", match))
    assert made.routes_of("9080", HOST) == routed().routes_of("9080", HOST)


def test_of_two_virtual_services_the_first_that_has_a_route_routes() -> None:
    older = virtual_service("b", {**V1, "match": [{"sourceLabels": {"app": "client"}}]}, hosts=["reviews"])
    younger = virtual_service("a", V2, hosts=["reviews"])
    assert routed(older, younger).cluster_of("9080", HOST) == SUBSETS[:1]
    stranger = workload("stranger")
    assert routed(older, younger, stranger, proxy="stranger-0.default").cluster_of("9080", HOST) == SUBSETS[1:]


@pytest.mark.trap(1)
def test_destinations_are_named_from_the_rules_namespace() -> None:
    far = virtual_service("a", to("ratings"), hosts=[REVIEWS], namespace="far")
    assert routed(far).cluster_of("9080", HOST) == [outbound("ratings.far.svc.cluster.local")]
    assert clusters(to("ratings.far")) == [outbound("ratings.far")]


@pytest.mark.parametrize(
    ("destination", "port"),
    [
        ({"host": "one"}, 7000),
        ({"host": "two"}, 9080),
        ({"host": "two", "port": {"number": 7002}}, 7002),
        ({"host": "unknown"}, 9080),
    ],
)
def test_the_port_of_a_destination(destination: dict[str, Any], port: int) -> None:
    one, two = service("one", ("http", 7000)), service("two", ("http", 7001), ("http-b", 7002))
    http = {"route": [{"destination": destination}]}
    host = f"{destination['host']}.default.svc.cluster.local"
    made = routed(one, two, virtual_service("reviews", http))
    assert made.cluster_of("9080", HOST) == [outbound(host, port)]


def test_names_of_routes() -> None:
    http = {**V1, "name": "a", "match": [{"uri": {"prefix": "/a"}, "name": "b"}, {"uri": {"prefix": "/c"}}]}
    made = routed(virtual_service("reviews", http)).routes_of("9080", HOST)
    assert [route.name for route in made] == ["a.b", "a"]


def test_spans_are_named_by_the_destination_or_by_the_rule() -> None:
    several = {"route": [{**V1["route"][0], "weight": 1}, {**V2["route"][0], "weight": 1}]}
    http = [{**to("ratings"), "match": [{"uri": {"prefix": "/a"}}]}, several]
    made = routed(service("ratings", ("http", 81)), virtual_service("own", *http, hosts=["reviews"]))
    operations = [route.decorator.operation for route in made.routes_of("9080", HOST)]
    assert operations == ["ratings.default.svc.cluster.local:81/a*", "own:9080/*"]


def test_clusters_are_not_looked_up_and_large_direct_responses_are_allowed() -> None:
    made = routed().routes["9080"]
    assert made.validate_clusters.value is False
    assert made.max_direct_response_body_size_bytes.value == 1 << 20


# --- virtual hosts


@pytest.mark.trap(34)
def test_names_of_a_service_carry_no_port_and_depend_on_the_caller() -> None:
    near = routed()
    (host,) = [one for one in near.routes["9080"].virtual_hosts if one.name == HOST]
    assert near.routes["9080"].ignore_port_in_host_matching
    names = [REVIEWS, f"{REVIEWS}.", "reviews.default.svc", "reviews.default", "reviews"]
    assert list(host.domains[:-1]) == names
    assert host.domains[-1].startswith("240.240.")
    far = routed(workload("client", namespace="far"), proxy="client-0.far").hosts("9080")[HOST]
    assert list(far.domains[:-1]) == names[:-1]


def test_hosts_that_nobody_knows_go_on_to_where_they_were_going() -> None:
    last = routed().routes["9080"].virtual_hosts[-1]
    assert (last.name, list(last.domains)) == ("allow_any", ["*"])
    assert last.routes[0].route.cluster == "PassthroughCluster"
    assert last.routes[0].route.timeout.ToMilliseconds() == 0


@pytest.mark.trap(5)
def test_a_literal_host_is_served_on_port_80_alone() -> None:
    literal = virtual_service("a", to("reviews"), hosts=["api.example.com"])
    made = routed(literal, service("web", ("http", 80)))
    assert list(made.hosts("80")["api.example.com:80"].domains) == ["api.example.com", "api.example.com."]
    assert "api.example.com" not in str(made.routes["9080"])
    assert "api.example.com" not in str(routed(literal).routes)


def test_a_literal_host_beside_a_service_is_served_on_its_port() -> None:
    made = routed(virtual_service("a", V1, hosts=["reviews", "api.example.com"]), service("web", ("http", 80)))
    assert made.cluster_of("9080", "api.example.com:9080") == SUBSETS[:1]
    assert "api.example.com" not in str(made.routes["80"])


def test_a_domain_goes_to_the_older_virtual_service_and_to_any_before_none() -> None:
    literal = virtual_service("literal", V1, hosts=["reviews.default", "beside"])
    own = virtual_service("own", V2, hosts=["reviews"])
    beside = service("beside")

    def owner_of_the_short_name(*texts: str) -> str:
        made = routed(beside, *texts).routes["9080"]
        (owner,) = [host.name for host in made.virtual_hosts if "reviews.default" in host.domains]
        return owner

    assert owner_of_the_short_name(literal) == "reviews.default:9080"
    assert owner_of_the_short_name(literal, own) == "reviews.default:9080"
    assert owner_of_the_short_name(own, literal) == HOST


def test_domains_are_unique() -> None:
    made = routed(virtual_service("a", V1, hosts=["reviews", "reviews.default"]), service("ratings"))
    domains = [domain for host in made.routes["9080"].virtual_hosts for domain in host.domains]
    assert len(domains) == len(set(domains))


def test_virtual_hosts_are_sorted_by_name() -> None:
    names = [
        host.name for host in routed(service("b"), virtual_service("b"), service("a")).routes["9080"].virtual_hosts
    ]
    assert names[:-1] == sorted(names[:-1])


def test_services_on_one_port_share_their_routes() -> None:
    made = routed(service("ratings"), service("grpc", ("grpc", 9080)), service("db", ("tcp", 9080)))
    hosts = ["grpc", "ratings", "reviews"]
    assert list(made.hosts("9080")) == [*(f"{host}.default.svc.cluster.local:9080" for host in hosts), "allow_any"]


# --- explicit capture


def test_a_loopback_port_leads_to_its_service_whatever_the_request_calls_it() -> None:
    made = routed(virtual_service("reviews", V1), capture="explicit")
    (host,) = made.routes[HOST].virtual_hosts
    assert list(host.domains) == ["*"]
    assert made.cluster_of(HOST, HOST) == SUBSETS[:1]


def test_the_forward_proxy_tells_services_apart_by_their_port() -> None:
    made = routed(service("web", ("http", 80), ("http-b", 8080), ("tcp", 90)), capture="explicit")
    config = made.routes["http_proxy"]
    assert not config.ignore_port_in_host_matching
    web = "web.default.svc.cluster.local"
    assert {"web", "web:80", web, f"{web}:80"} <= set(made.hosts("http_proxy")[f"{web}:80"].domains)
    on_8080 = set(made.hosts("http_proxy")[f"{web}:8080"].domains)
    assert {"web:8080", f"{web}.:8080"} <= on_8080
    assert all(domain.endswith(":8080") for domain in on_8080)
    assert f"{web}:90" not in made.hosts("http_proxy")


def test_the_forward_proxy_serves_literal_hosts() -> None:
    literal = virtual_service("a", V1, hosts=["api.example.com", "*.example.org"])
    made = routed(literal, capture="explicit").hosts("http_proxy")
    assert list(made["api.example.com:80"].domains) == [
        "api.example.com",
        "api.example.com.",
        "api.example.com:80",
        "api.example.com.:80",
    ]
    assert list(made["*.example.org:80"].domains) == ["*.example.org", "*.example.org:80"]


def test_which_labels_a_proxy_has_only_counts_where_they_are_asked_for() -> None:
    match = {**V1, "match": [{"sourceLabels": {"version": "v1"}}]}
    labels = {"app": "client", "version": "v1", "other": "x"}
    assert clusters(match, V2, client=workload("client", labels=labels)) == SUBSETS[:1]
    assert clusters(match, V2, client=workload("client", labels={**labels, "version": "v2"})) == SUBSETS[1:]


def test_missing_destinations_are_named_all_the_same() -> None:
    assert clusters(to("nowhere", "v9")) == [outbound("nowhere.default.svc.cluster.local", subset="v9")]
    made = routed(rule("reviews", subsets=[subset("v1")]), virtual_service("reviews", V1))
    assert set(made.cluster_of("9080", HOST)) <= made.clusters.keys()
