"""What a gateway receives for its Gateways and the VirtualServices bound to them (Istio 2.3 and 2.18)."""

from __future__ import annotations

from typing import Any

from tests.support.compiled import Compiled, compiled
from tests.support.written import gateway, gateway_workload, server, service, to, virtual_service, workload

from mizzen.stubs.envoy.config.route.v3.route_components_pb2 import VirtualHost
from mizzen.stubs.envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
)

SHOP = (service("a"), service("b"), workload("a"), workload("b"), workload("client"), gateway_workload())


def at_gateway(*texts: str) -> Compiled:
    return compiled(*SHOP, *texts, proxy="ingress-0.default")


def bound(name: str, *routes: dict[str, Any], hosts: list[str], **spec: Any) -> str:
    """A VirtualService for the Gateway ``edge``."""
    return virtual_service(name, *routes, hosts=hosts, **{"gateways": ["edge"], **spec})


def under(path: str, host: str, **match: Any) -> dict[str, Any]:
    return {"match": [{"uri": {"prefix": path}, **match}], **to(host)}


def clusters(given: Compiled, host: str, route: str = "http.80") -> list[str]:
    return [cluster.split("|")[3].partition(".")[0] for cluster in given.cluster_of(route, host)]


def test_all_servers_of_a_port_share_one_listener_and_its_routes() -> None:
    made = at_gateway(
        gateway("edge", server(80, "a.example.com")),
        gateway("other", server(80, "b.example.com"), server(9000)),
        bound("a", hosts=["a.example.com"]),
    )
    assert sorted(made.listeners) == ["127.0.0.1_8080", "127.0.0.1_9000"]
    manager = HttpConnectionManager()
    made.listeners["127.0.0.1_8080"].filter_chains[0].filters[0].typed_config.Unpack(manager)
    assert manager.rds.route_config_name == "http.80"
    assert manager.use_remote_address.value
    assert manager.forward_client_cert_details == HttpConnectionManager.SANITIZE_SET
    assert list(made.hosts("http.80")) == ["a.example.com:80"]
    assert made.hosts("http.9000") == {}


def test_virtual_services_for_one_host_are_merged_by_age_and_what_takes_all_is_last() -> None:
    made = at_gateway(
        gateway("edge", server()),
        bound("one", under("/a", "a"), to("b"), hosts=["example.com"]),
        bound("two", under("/b", "b"), to("a"), hosts=["example.com"]),
    )
    routes = made.routes_of("http.80", "example.com:80")
    assert [route.match.prefix for route in routes] == ["/a", "/b", "/", "/"]
    assert clusters(made, "example.com:80") == ["a", "b", "b", "a"]


def test_a_host_is_the_narrower_of_the_servers_and_the_virtual_services() -> None:
    made = at_gateway(
        gateway("edge", server(80, "*.example.com", "shop.example.org")),
        bound("wide", to("a"), hosts=["*.example.org", "www.example.com", "other.net"]),
    )
    assert sorted(made.hosts("http.80")) == ["shop.example.org:80", "www.example.com:80"]


def test_a_host_with_a_namespace_is_for_the_virtual_services_there() -> None:
    texts = (
        bound("a", to("a"), hosts=["a.example.com"]),
        virtual_service("b", to("b"), hosts=["b.example.com"], namespace="shop", gateways=["default/edge"]),
    )
    assert list(at_gateway(gateway("edge", server(80, "./*")), *texts).hosts("http.80")) == ["a.example.com:80"]
    assert list(at_gateway(gateway("edge", server(80, "shop/*")), *texts).hosts("http.80")) == ["b.example.com:80"]
    assert len(at_gateway(gateway("edge", server(80, "*/*")), *texts).hosts("http.80")) == 2


def test_what_is_not_exported_to_the_gateways_namespace_is_not_there() -> None:
    hidden = virtual_service("b", to("b"), hosts=["*"], namespace="shop", gateways=["default/edge"], exportTo=["."])
    assert at_gateway(gateway("edge", server()), hidden).hosts("http.80") == {}


def test_matches_may_name_gateways_ports_and_the_gateways_own_labels() -> None:
    made = at_gateway(
        gateway("edge", server(80), server(9000)),
        gateway("other", server(80)),
        virtual_service(
            "a",
            under("/edge", "a", gateways=["edge"], sourceNamespace="nowhere"),
            under("/both", "a", gateways=["other", "./edge"]),
            under("/mesh", "a", gateways=["mesh"]),
            under("/none", "a", gateways=["elsewhere/edge"]),
            under("/port", "a", port=9000),
            under("/labels", "a", sourceLabels={"istio": "ingressgateway"}),
            under("/wrong", "a", sourceLabels={"istio": "egressgateway"}),
            hosts=["example.com"],
            gateways=["edge", "mesh"],
        ),
    )
    paths = {
        port: [route.match.prefix for route in made.routes_of(f"http.{port}", f"example.com:{port}")]
        for port in (80, 9000)
    }
    assert paths == {80: ["/edge", "/both", "/labels"], 9000: ["/edge", "/both", "/port", "/labels"]}


def test_the_mesh_does_not_obey_what_is_for_gateways_nor_gateways_what_is_for_the_mesh() -> None:
    texts = (
        gateway("edge", server()),
        bound("edge", to("b"), hosts=["a.default.svc.cluster.local"]),
        virtual_service("b", to("a")),
    )
    client = compiled(*SHOP, *texts)
    assert client.cluster_of("9080", "a.default.svc.cluster.local:9080") == [
        "outbound|9080||a.default.svc.cluster.local"
    ]
    assert list(at_gateway(*texts).hosts("http.80")) == ["a.default.svc.cluster.local:80"]


def test_a_redirect_to_https_needs_no_virtual_service() -> None:
    redirecting = server(80, "a.example.com", tls={"httpsRedirect": True})
    made = at_gateway(gateway("edge", redirecting, server(80, "*")), bound("a", to("a"), hosts=["b.example.com"]))
    hosts = made.hosts("http.80")
    assert {name: host.require_tls for name, host in hosts.items()} == {
        "a.example.com:80": VirtualHost.ALL,
        "b.example.com:80": VirtualHost.NONE,
    }


def test_a_gateway_without_gateways_has_clusters_and_no_listeners() -> None:
    made = at_gateway()
    assert made.listeners == {}
    assert "outbound|9080||a.default.svc.cluster.local" in made.clusters
    assert made.endpoints["outbound|9080||a.default.svc.cluster.local"].endpoints


def test_another_gateway_takes_no_part() -> None:
    other = gateway("inner", server(), selector={"istio": "other"})
    assert at_gateway(other, bound("a", to("a"), hosts=["*"], gateways=["inner"])).listeners == {}


def test_a_server_may_have_an_address_of_its_own() -> None:
    made = at_gateway(
        gateway("edge", server(80, "*", bind="127.0.0.9"), server(80, "*.example.com")),
        bound("a", to("a"), hosts=["*"]),
    )
    assert sorted(made.listeners) == ["127.0.0.1_8080", "127.0.0.9_8080"]
    assert {name: list(made.hosts(name)) for name in made.routes} == {
        "http.80": ["*.example.com:80"],
        "http.80.127.0.0.9": ["*:80"],
    }
