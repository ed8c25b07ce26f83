from __future__ import annotations

from typing import Any

import pytest
from tests.support.compiled import Compiled, compiled
from tests.support.written import destination_rule, service, service_entry, subset, virtual_service, workload

from mizzen.compile.resource import LISTENER
from mizzen.stubs.envoy.config.listener.v3.listener_pb2 import Listener
from mizzen.stubs.envoy.extensions.filters.network.tcp_proxy.v3.tcp_proxy_pb2 import TcpProxy

SECURE = "secure.default.svc.cluster.local"
NAME = f"sni|9443|{SECURE}"
WORLD = (
    service("secure", ("tls", 9443), ("https", 443), ("tcp", 9000)),
    workload("secure", ("tls", 9443), ("https", 443), ("tcp", 9000)),
    workload("client", labels={"app": "client", "team": "a"}),
    destination_rule("secure", subsets=[subset("v1"), subset("v2")]),
)


def route(*names: str, subset: str = "v1", **match: Any) -> dict[str, Any]:
    destination = {"host": "secure", "subset": subset, "port": {"number": 9443}}
    return {"match": [{"sniHosts": list(names), **match}], "route": [{"destination": destination}]}


def world(*tls: dict[str, Any], capture: str = "transparent") -> Compiled:
    hosts = ["secure", "*.example.com"]
    return compiled(
        *WORLD, virtual_service("secure", hosts=hosts, http=[], tls=list(tls)) if tls else "", capture=capture
    )


def cluster(made: Compiled, name: str) -> str:
    proxy = TcpProxy()
    assert made.filters[name].typed_config.Unpack(proxy)
    return proxy.cluster


def names_of(listener: Listener) -> list[str]:
    return [name for chain in listener.filter_chains for name in chain.filter_chain_match.server_names]


def test_every_tls_port_has_a_listener_that_waits_for_routes() -> None:
    made = world()
    assert {name for name in made.listeners if name.startswith("sni|")} == {NAME, f"sni|443|{SECURE}"}
    listener = made.listeners[NAME]
    assert listener.HasField("internal_listener")
    assert names_of(listener) == []
    proxy = TcpProxy()
    assert listener.default_filter_chain.filters[0].typed_config.Unpack(proxy)
    assert proxy.cluster == f"outbound|9443||{SECURE}"
    assert made.clusters[NAME].load_assignment.endpoints[0].lb_endpoints


def test_without_routes_nothing_is_read() -> None:
    assert cluster(world(), f"{SECURE}:9443") == f"outbound|9443||{SECURE}"


@pytest.mark.parametrize("capture", ["transparent", "explicit"])
def test_server_names_have_routes_of_their_own(capture: str) -> None:
    made = world(route("A.example.com"), route("*.example.com", subset="v2"), capture=capture)
    assert cluster(made, f"{SECURE}:9443") == NAME
    assert names_of(made.listeners[NAME]) == ["*.example.com", "a.example.com"]
    assert cluster(made, f"{SECURE}:9443|a.example.com") == f"outbound|9443|v1|{SECURE}"
    assert cluster(made, f"{SECURE}:9443|*.example.com") == f"outbound|9443|v2|{SECURE}"


def test_other_names_lead_nowhere() -> None:
    assert not world(route("a.example.com")).listeners[NAME].HasField("default_filter_chain")


def test_of_two_routes_for_a_name_the_first_counts() -> None:
    made = world(route("a.example.com"), route("a.example.com", subset="v2"))
    assert names_of(made.listeners[NAME]) == ["a.example.com"]
    assert cluster(made, f"{SECURE}:9443|a.example.com") == f"outbound|9443|v1|{SECURE}"


def test_a_route_that_changes_its_destination_changes_no_listener() -> None:
    one, other = world(route("a.example.com")), world(route("a.example.com", subset="v2"))
    assert one.resources[LISTENER] == other.resources[LISTENER]


def test_a_name_that_comes_leaves_the_chains_of_others() -> None:
    one, other = world(route("a.example.com")), world(route("b.example.com"), route("a.example.com"))
    chains = [{chain.name: chain for chain in made.listeners[NAME].filter_chains} for made in (one, other)]
    assert chains[0].items() <= chains[1].items()


@pytest.mark.parametrize(
    ("match", "routed"),
    [
        ({"port": 9443}, True),
        ({"port": 443}, False),
        ({"sourceLabels": {"team": "a"}}, True),
        ({"sourceLabels": {"team": "b"}}, False),
        ({"sourceNamespace": "elsewhere"}, False),
        ({"destinationSubnets": ["240.240.0.0/16"]}, True),
        ({"destinationSubnets": ["10.0.0.0/8"]}, False),
    ],
)
def test_what_a_match_asks_beside_the_name(match: dict[str, Any], routed: bool) -> None:
    made = world(route("a.example.com", **match))
    assert names_of(made.listeners[NAME]) == (["a.example.com"] if routed else [])
    assert cluster(made, f"{SECURE}:9443") == (NAME if routed else f"outbound|9443||{SECURE}")


def test_routes_for_tls_are_not_for_tcp() -> None:
    assert cluster(world(route("a.example.com")), f"{SECURE}:9000") == f"outbound|9000||{SECURE}"


SERVER = "www.example.org"
NO_ADDRESS = "networking.istio.io/enable-autoallocate-ip"
OUTSIDE = (
    workload("client", labels={"app": "client", "team": "a"}),
    service("way-out", ("tls", 443)),
)


def outside(*tls: dict[str, Any], **entry: Any) -> Compiled:
    """A ServiceEntry for one server, and routes for all names of its domain."""
    ports = [{"number": 443, "name": "tls", "protocol": "TLS"}]
    written = service_entry("server", hosts=[SERVER], ports=ports, **({"resolution": "DNS"} | entry))
    return compiled(*OUTSIDE, written, virtual_service("names", hosts=["*.example.org"], http=[], tls=list(tls)))


def to_the_gateway(*names: str, **match: Any) -> dict[str, Any]:
    return {"match": [{"sniHosts": list(names), **match}], "route": [{"destination": {"host": "way-out"}}]}


def taken(made: Compiled) -> dict[str, str]:
    """Returns the clusters of the server names that are read of any connection to port 443."""
    if "0.0.0.0_443" not in made.listeners:
        return {}
    listener = made.listeners["0.0.0.0_443"]
    return {name: cluster(made, f"{SERVER}:443|{name}") for name in names_of(listener)}


WAY_OUT = "outbound|443||way-out.default.svc.cluster.local"


def test_names_that_only_a_virtual_service_has_are_taken_wherever_clients_go() -> None:
    assert taken(outside(to_the_gateway("*.example.org"))) == {"*.example.org": WAY_OUT}


def test_a_server_that_is_given_no_virtual_address_is_told_by_its_name_as_well() -> None:
    listener = outside(to_the_gateway("*.example.org"), labels={NO_ADDRESS: "false"}).listeners["0.0.0.0_443"]
    assert names_of(listener) == [SERVER, "*.example.org"]


@pytest.mark.parametrize(
    ("match", "entry"),
    [
        ({"gateways": ["istio-system/gateway"]}, {}),
        ({"port": 8443}, {}),
        ({"destinationSubnets": ["192.0.2.0/24"]}, {}),
        ({}, {"addresses": ["192.0.2.1"]}),
    ],
)
def test_names_are_taken_only_where_routes_are_for_any_address(match: dict[str, Any], entry: dict[str, Any]) -> None:
    assert taken(outside(to_the_gateway("*.example.org", **match), **entry)) == {}


def test_the_name_of_the_server_itself_is_called_at_its_address() -> None:
    assert taken(outside(to_the_gateway(SERVER))) == {}


def test_a_name_that_has_a_route_for_others_goes_where_it_would_go_without() -> None:
    made = outside(to_the_gateway("*.example.org", sourceLabels={"team": "b"}))
    assert taken(made) == {"*.example.org": "PassthroughCluster"}


def test_a_name_that_a_service_entry_has_is_taken_once() -> None:
    ports = [{"number": 443, "name": "tls", "protocol": "TLS"}]
    everything = service_entry("all", hosts=["*.example.org"], ports=ports)
    rule = virtual_service("names", hosts=["*.example.org"], http=[], tls=[to_the_gateway("*.example.org")])
    one = service_entry("server", hosts=[SERVER], ports=ports, resolution="DNS")
    made = compiled(*OUTSIDE, everything, one, rule)
    assert names_of(made.listeners["0.0.0.0_443"]) == ["*.example.org"]
