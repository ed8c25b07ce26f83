"""What is shown of a proxy that serves several instances: one instance's seat as a sidecar, or all of it."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from tests.unit.cli.envoy_answers import HOSTS, dump
from tests.unit.cli.fakes import FakeApi, container, instance, out, run

from mizzen.cli.envoy_dump import ClusterName, seat_of
from mizzen.cli.proxies import names_of, without_prefix

NODE = "vm.example.com.mizzen-system"
SEAT = "reviews-v1-0.default/"
SHARED = ("BlackHoleCluster", "ROOTCA", "xds")
IDENTITY = "spiffe://cluster.local/ns/default/sa/reviews"
REVIEWS = instance("reviews-v1-0", "reviews-v1", service_account="reviews", proxies=(NODE,), capture="transparent")
RATINGS = instance("ratings-v1-0", "ratings-v1", service_account="ratings", proxies=(NODE,), capture="transparent")
NEIGHBOUR = {
    "address": {"envoy_internal_address": {"server_listener_name": f"{SEAT}inside_9080"}},
    "health_status": {"eds_health_status": "HEALTHY"},
}
INSIDE = {
    "name": "inside_9080",
    "internal_listener": {},
    "filter_chains": [
        {
            "filters": [
                {
                    "typed_config": {
                        "@type": "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
                        "cluster": "inbound|9080||",
                    }
                }
            ]
        }
    ],
}
_NAMES = re.compile(
    r'"(name|cluster|route_config_name)": "((?:in|out)bound\|[^"]*|[\d.]+_\d+|mysql:\d+|\w*inside_9080|\d+|virtual\w+)"'
)


def _seated(message: Any) -> Any:
    """Returns what a sidecar's Envoy says as that of a node proxy does: names begin with the instance's."""
    text = _NAMES.sub(rf'"\1": "{SEAT}\2"', json.dumps(message))
    return json.loads(text.replace('"default", "secret"', f'"{IDENTITY}", "secret"'))


def _sidecars_dump() -> dict[str, Any]:
    found = dump()
    listeners = next(each for each in found["configs"] if each["@type"].endswith("ListenersConfigDump"))
    listeners["dynamic_listeners"].append({"name": "inside_9080", "active_state": {"listener": INSIDE}})
    return found


@pytest.fixture
def node(api: FakeApi) -> FakeApi:
    api.on("GET /v1/workloads", {"items": [REVIEWS, RATINGS, instance("a-0", "a"), instance("c", "c", capture="none")]})
    api.on("GET /v1/proxies", {"items": [{"id": "a-0.default"}, {"id": NODE}]})
    hosts = HOSTS | {"cluster_statuses": [*HOSTS["cluster_statuses"], {"name": "near", "host_statuses": [NEIGHBOUR]}]}
    for path, answer in (("config_dump", _sidecars_dump()), ("clusters", hosts)):
        api.on(f"GET /v1/proxies/a-0.default/admin/{path}", answer)
        api.on(f"GET /v1/proxies/{NODE}/admin/{path}", _seated(answer))
    return api


def test_a_proxy_is_called_as_its_workload_or_container_is_elsewhere(node: FakeApi) -> None:
    expected = out("proxy", "routes", "reviews-v1-0")
    node.on("GET /v1/containers", {"items": [container("reviews_v1_0", instance="reviews-v1-0")]})
    for name in ("reviews_v1_0", "reviews-v1", "reviews-v1.default", "reviews-v1-0.default"):
        assert out("proxy", "routes", name) == expected


def test_no_other_proxy_is_shown_than_the_one_that_is_meant(node: FakeApi) -> None:
    shut_out = container("reviews-v1-0", "Refused", instance="", namespace="", reason="rename one")
    node.on("GET /v1/containers", {"items": [container("reviews_v1_0", instance="reviews-v1-0"), shut_out]})
    for command in (["proxy", "routes", "reviews-v1-0"], ["port-forward", "reviews-v1-0", "80"]):
        assert run(*command).stderr == (
            "error: container reviews-v1-0 is not in the mesh: rename one\n  See: mizzen containers\n"
        )
    both = [instance("web-0", "web", namespace=namespace) for namespace in ("shop", "bank")]
    node.on("GET /v1/workloads", {"items": both})
    assert run("proxy", "routes", "web").stderr == (
        "error: there is a web in each of the namespaces bank, shop\n  Say which: web.bank, web.shop\n"
    )


@pytest.mark.parametrize("what", ["clusters", "endpoints", "listeners", "routes"])
@pytest.mark.parametrize("form", ["short", "json"])
def test_a_seat_looks_as_a_sidecar(node: FakeApi, what: str, form: str) -> None:
    assert out("proxy", what, "reviews-v1", "-o", form) == out("proxy", what, "a-0", "-o", form)


def test_the_whole_configuration_of_a_seat(node: FakeApi) -> None:
    assert SEAT not in out("proxy", "config", "reviews-v1-0")
    assert json.loads(out("proxy", "config", "reviews-v1-0"))["configs"][1] == dump()["configs"][1]


def test_envoy_is_asked_for_a_seat_alone(node: FakeApi) -> None:
    out("proxy", "clusters", "reviews-v1-0.default")
    out("proxy", "endpoints", "reviews-v1-0")
    (query,) = node.queries(f"GET /v1/proxies/{NODE}/admin/config_dump")
    assert query == {"name_regex": names_of(REVIEWS)}
    (query,) = node.queries(f"GET /v1/proxies/{NODE}/admin/clusters")
    assert query == {"format": "json", "filter": names_of(REVIEWS)}


def test_the_names_of_a_seat_are_its_own_and_those_of_no_seat() -> None:
    names = re.compile(names_of(REVIEWS))
    mine = [f"{SEAT}outbound|9080||ratings.default.svc.cluster.local", f"{SEAT}9080", f"{SEAT}inside_9080", IDENTITY]
    assert all(names.search(name) for name in (*mine, *SHARED))
    others = ["ratings-v1-0.default/9080", "reviews-v1-0xdefault/9080", "spiffe://cluster.local/ns/default/sa/ratings"]
    others += [f"{IDENTITY}-2", "spiffe://cluster.local/ns/shop/sa/reviews"]
    assert not any(names.search(name) for name in others)


def test_names_of_neighbours_stay_whole() -> None:
    message = {"a": [f"{SEAT}x", 1, None], "server_listener_name": f"{SEAT}inside_1", "b": "ratings-v1-0.default/x"}
    assert without_prefix(message, SEAT) == {**message, "a": ["x", 1, None]}


def test_the_secrets_of_a_seat_are_those_of_its_identity(node: FakeApi) -> None:
    found = json.loads(out("proxy", "secrets", "reviews-v1", "-o", "json"))
    assert [each["name"] for each in found] == ["ROOTCA", "late", IDENTITY]


@pytest.mark.parametrize("name", [NODE, "vm.example.com"])
def test_of_the_node_proxy_itself_all_is_shown(node: FakeApi, name: str) -> None:
    lines = out("proxy", "clusters", name, "--direction", "inbound").splitlines()
    assert lines[1].split() == [SEAT, "9080", "-", "inbound", "ORIGINAL_DST", "-"]
    lines = out("proxy", "clusters", name, "--fqdn", f"{SEAT}details").splitlines()
    assert lines[1].split()[:4] == [f"{SEAT}details.default.svc.cluster.local", "80", "-", "outbound"]
    lines = out("proxy", "listeners", name).splitlines()
    assert [" ".join(line.split()) for line in lines[1:]] == [
        f"{SEAT}240.240.0.1 3306 ALL Cluster: {SEAT}outbound|3306|v1|mysql",
        f"{SEAT}0.0.0.0 9080 ALL Route: {SEAT}9080",
        f"{SEAT}0.0.0.0 15006 SNI: reviews; Trans: tls; App: istio,h2; Addr: 10.0.0.0/8:9080 Cluster: {SEAT}inbound|9080||",
        f"{SEAT}0.0.0.0 15006 Addr: *:3306 Cluster: {SEAT}inbound|3306||",
        f"{SEAT}0.0.0.0 15006 ALL BlackHoleCluster",
        f"envoy://{SEAT}inside_9080 - ALL Cluster: {SEAT}inbound|9080||",
    ]
    assert node.queries(f"GET /v1/proxies/{NODE}/admin/config_dump") == [{}, {}, {}]


def test_a_call_to_a_neighbour_names_its_listener(node: FakeApi) -> None:
    line = next(line for line in out("proxy", "endpoints", "reviews-v1").splitlines() if "near" in line)
    assert line.split()[0] == f"envoy://{SEAT}inside_9080"


def test_a_container_outside_has_no_proxy(node: FakeApi) -> None:
    result = run("proxy", "clusters", "c")
    assert (result.exit_code, result.stderr) == (
        1,
        "error: c.default is a container outside the mesh, and has no proxy\n  Attach it: mizzen attach c\n",
    )
    unknown = run("proxy", "clusters", "x").stderr
    assert unknown.splitlines()[1:] == [
        "  Proxies:",
        "  a-0.default",
        "  ratings-v1-0.default",
        "  reviews-v1-0.default",
        f"  {NODE}",
    ]


def test_while_its_proxy_changes_the_one_that_serves_now_is_shown(node: FakeApi) -> None:
    both = instance("a-0", "a", proxies=("a-0.default", NODE))
    node.on("GET /v1/workloads", {"items": [both]})
    out("proxy", "clusters", "a")
    assert node.queries("GET /v1/proxies/a-0.default/admin/config_dump") == [{}]


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("a.b/outbound|80|v1|x", ("a.b/x", "80", "v1", "outbound")),
        ("outbound|80||x", ("x", "80", "", "outbound")),
        ("a.b/PassthroughCluster", ("a.b/PassthroughCluster", "", "", "")),
    ],
)
def test_the_parts_of_a_clusters_name(name: str, parts: tuple[str, ...]) -> None:
    assert ClusterName.of(name) == ClusterName(*parts)


def test_an_identity_is_no_seat() -> None:
    assert seat_of(IDENTITY) == ("", IDENTITY)


def test_statistics_of_a_seat_are_those_that_name_it(node: FakeApi) -> None:
    node.on(f"GET /v1/proxies/{NODE}/admin/stats", "a: 1\n")
    out("proxy", "stats", "reviews-v1-0")
    out("proxy", "stats", "reviews-v1-0", "--filter", "upstream_(rq|cx)")
    own = r"reviews\-v1\-0\.default/"
    both = f"{own}.*(?:upstream_(rq|cx))|(?:upstream_(rq|cx)).*{own}"
    assert node.queries(f"GET /v1/proxies/{NODE}/admin/stats") == [{"filter": own}, {"filter": both}]
