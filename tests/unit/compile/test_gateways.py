"""What a gateway receives for its Gateways and the VirtualServices bound to them (Istio 2.3 and 2.18)."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from tests.support.compiled import Compiled, compiled
from tests.support.worlds import read, snapshot_of
from tests.support.written import gateway, gateway_workload, server, service, to, virtual_service, workload

from mizzen.compile.compiler import Compiler
from mizzen.compile.resource import LISTENER, ROUTES, Resources
from mizzen.resources.resource import Source
from mizzen.stubs.envoy.config.route.v3.route_components_pb2 import VirtualHost
from mizzen.stubs.envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
)
from mizzen.stubs.envoy.extensions.filters.network.tcp_proxy.v3.tcp_proxy_pb2 import TcpProxy
from mizzen.stubs.envoy.extensions.transport_sockets.tls.v3.common_pb2 import TlsParameters
from mizzen.stubs.envoy.extensions.transport_sockets.tls.v3.tls_pb2 import DownstreamTlsContext

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
    made.listeners["127.0.0.1_8080"].filter_chains[0].filters[-1].typed_config.Unpack(manager)
    assert manager.rds.route_config_name == "http.80"
    assert manager.use_remote_address.value
    assert manager.forward_client_cert_details == HttpConnectionManager.SANITIZE_SET
    assert list(made.hosts("http.80")) == ["a.example.com:80"]
    assert made.hosts("http.9000") == {}


@pytest.mark.parametrize(("protocol", "translated"), [("GRPC-WEB", True), ("GRPC", False)])
def test_grpc_web_is_translated_where_a_server_says_so(protocol: str, translated: bool) -> None:
    made = at_gateway(gateway("edge", server(80, "a.example.com", protocol=protocol)))
    manager = HttpConnectionManager()
    made.listeners["127.0.0.1_8080"].filter_chains[0].filters[-1].typed_config.Unpack(manager)
    assert ("envoy.filters.http.grpc_web" in [one.name for one in manager.http_filters]) is translated


@pytest.mark.trap(4)
def test_virtual_services_for_one_host_are_merged_by_age_and_what_takes_all_is_last() -> None:
    made = at_gateway(
        gateway("edge", server()),
        bound("z", under("/a", "a"), to("b"), hosts=["example.com"]),
        bound("a", under("/b", "b"), to("a"), hosts=["example.com"]),
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


def https(number: int = 443, *hosts: str, mode: str = "SIMPLE", protocol: str = "HTTPS", **tls: Any) -> dict[str, Any]:
    """A server that ends TLS with a certificate from files."""
    files = (
        {} if mode in ("ISTIO_MUTUAL", "PASSTHROUGH") else {"serverCertificate": "a.pem", "privateKey": "/a-key.pem"}
    )
    return server(number, *hosts, protocol=protocol, tls={"mode": mode, **files, **tls})


def ending(given: Compiled, chain: int = 0, listener: str = "127.0.0.1_8443") -> DownstreamTlsContext:
    context = DownstreamTlsContext()
    given.listeners[listener].filter_chains[chain].transport_socket.typed_config.Unpack(context)
    return context


def chains(given: Compiled, listener: str = "127.0.0.1_8443") -> dict[str, list[str]]:
    """Returns the names by which clients get to the filter chains of a listener."""
    return {
        chain.name: list(chain.filter_chain_match.server_names) for chain in given.listeners[listener].filter_chains
    }


def test_each_https_server_has_a_chain_for_its_hosts_and_routes_of_its_own() -> None:
    made = at_gateway(
        gateway("edge", https(443, "a.example.com", "*.example.org"), https(443, "*")),
        bound("a", to("a"), hosts=["a.example.com"]),
        bound("b", to("b"), hosts=["b.example.com"]),
    )
    first, second = "https.443.https-443-a.example.com-example.org.edge.default", "https.443.https-443-.edge.default"
    assert chains(made) == {first: ["*.example.org", "a.example.com"], second: []}
    assert list(made.hosts(first)) == ["a.example.com:443"]
    assert list(made.hosts(second)) == ["a.example.com:443", "b.example.com:443"]
    assert made.listeners["127.0.0.1_8443"].listener_filters[0].name == "envoy.filters.listener.tls_inspector"


def test_a_certificate_comes_by_sds_under_the_names_of_its_files() -> None:
    context = ending(at_gateway(gateway("edge", https())))
    (certificate,) = context.common_tls_context.tls_certificate_sds_secret_configs
    assert certificate.name == "file-cert:a.pem~/a-key.pem"
    assert certificate.sds_config.initial_fetch_timeout.seconds == 1
    assert list(context.common_tls_context.alpn_protocols) == ["h2", "http/1.1"]
    assert not context.require_client_certificate.value
    assert context.common_tls_context.tls_params.tls_minimum_protocol_version == TlsParameters.TLSv1_2


@pytest.mark.parametrize(("mode", "required"), [("MUTUAL", True), ("OPTIONAL_MUTUAL", False)])
def test_clients_may_have_to_have_a_certificate(mode: str, required: bool) -> None:
    server = https(mode=mode, caCertificates="ca.pem", subjectAltNames=["a.example.com"])
    context = ending(at_gateway(gateway("edge", server)))
    combined = context.common_tls_context.combined_validation_context
    assert combined.validation_context_sds_secret_config.name == "file-root:ca.pem"
    assert {one.matcher.exact for one in combined.default_validation_context.match_typed_subject_alt_names} == {
        "a.example.com"
    }
    assert context.require_client_certificate.value is required


def test_the_mesh_itself_may_certify_both_ends() -> None:
    context = ending(at_gateway(gateway("edge", https(mode="ISTIO_MUTUAL"))))
    common = context.common_tls_context
    assert [one.name for one in common.tls_certificate_sds_secret_configs] == ["default"]
    accepted = common.combined_validation_context.default_validation_context.match_typed_subject_alt_names
    assert [one.matcher.prefix for one in accepted] == ["spiffe://cluster.local/"]


def test_tls_that_ends_here_may_hold_bytes() -> None:
    made = at_gateway(
        gateway("edge", https(443, "db.example.com", protocol="TLS")),
        virtual_service("a", hosts=["db.example.com"], gateways=["edge"], http=[], tcp=[to("a")]),
    )
    (name,) = chains(made)
    assert made.filters[name].typed_config.type_url.endswith("TcpProxy")
    assert leads_to(made, name) == "outbound|9080||a.default.svc.cluster.local"
    assert not ending(made).common_tls_context.alpn_protocols


def leads_to(given: Compiled, name: str) -> str:
    proxy = TcpProxy()
    given.filters[name].typed_config.Unpack(proxy)
    return proxy.cluster


def test_tls_is_passed_on_by_its_server_name() -> None:
    passing = server(443, "*.example.com", protocol="TLS", tls={"mode": "PASSTHROUGH"})
    routes = [
        {"match": [{"sniHosts": ["*.a.example.com"], "gateways": ["edge"]}], **to("b")},
        {"match": [{"sniHosts": ["a.example.com"], "port": 443}], **to("a")},
        {"match": [{"sniHosts": ["b.example.com"], "port": 444}], **to("b")},
        {"match": [{"sniHosts": ["c.example.com"], "gateways": ["mesh"]}], **to("b")},
        {"match": [{"sniHosts": ["d.example.org"]}], **to("b")},
    ]
    made = at_gateway(
        gateway("edge", passing, https(443, "*")),
        bound("a", hosts=["*.example.com", "d.example.org"], http=[], tls=routes),
        bound("late", hosts=["a.example.com"], http=[], tls=[{"match": [{"sniHosts": ["a.example.com"]}], **to("b")}]),
    )
    assert list(chains(made).items())[:2] == [
        ("tls.443|a.example.com", ["a.example.com"]),
        ("tls.443|*.a.example.com", ["*.a.example.com"]),
    ]
    assert len(chains(made)) == 3
    assert leads_to(made, "tls.443|a.example.com") == "outbound|9080||a.default.svc.cluster.local"


def test_where_no_name_has_a_route_nobody_gets_in() -> None:
    passing = server(443, protocol="TLS", tls={"mode": "PASSTHROUGH"})
    listener = at_gateway(gateway("edge", passing)).listeners["127.0.0.1_8443"]
    assert not listener.filter_chains
    assert listener.default_filter_chain.filters


def test_the_first_virtual_service_with_a_route_has_all_connections_of_a_port() -> None:
    made = at_gateway(
        gateway("edge", server(9000, protocol="TCP"), server(9001, protocol="TCP")),
        bound("a", hosts=["*"], http=[], tcp=[{"match": [{"port": 9000}], **to("a")}]),
        bound("b", hosts=["*"], http=[], tcp=[{"match": [{"port": 9000}], **to("b")}]),
    )
    assert leads_to(made, "tcp.9000.tcp-9000.edge.default") == "outbound|9080||a.default.svc.cluster.local"
    assert leads_to(made, "tcp.9001.tcp-9001.edge.default") == "BlackHoleCluster"
    assert "BlackHoleCluster" in made.clusters


def test_a_redirect_leads_to_where_https_is() -> None:
    redirecting = server(80, "a.example.com", tls={"httpsRedirect": True})
    made = at_gateway(gateway("edge", redirecting, https(443, "a.example.com")))
    (route,) = made.routes_of("http.80", "a.example.com:80")
    assert (route.redirect.https_redirect, route.redirect.port_redirect) == (True, 8443)


def test_a_redirect_of_a_secure_host_leaves_out_the_port_of_https() -> None:
    route = {"redirect": {"authority": "b.example.com", "derivePort": "FROM_REQUEST_PORT"}}
    made = at_gateway(gateway("edge", https(443, "*"), server(80)), bound("a", route, hosts=["a.example.com"]))
    secure, plain = (
        made.routes_of(name, f"a.example.com:{port}")[0].redirect.port_redirect
        for name, port in (("https.443.https-443-.edge.default", 443), ("http.80", 80))
    )
    assert (secure, plain) == (0, 0)


def test_a_delegate_may_name_a_gateway_of_its_own_namespace() -> None:
    delegate = virtual_service(
        "d", under("/d", "a.default.svc.cluster.local", gateways=["edge"]), hosts=[], namespace="b"
    )
    root = {"delegate": {"name": "d", "namespace": "b"}}
    made = at_gateway(
        gateway("edge", server(), namespace="b"),
        bound("a", root, hosts=["example.com"], gateways=["b/edge"]),
        delegate,
    )
    assert [route.match.prefix for route in made.routes_of("http.80", "example.com:80")] == ["/d"]


def test_a_gateway_that_leaves_takes_no_more_connections() -> None:
    snapshot = snapshot_of(read(*SHOP, gateway("edge", server()), bound("a", to("a"), hosts=["*"])))
    proxy = snapshot.proxies["ingress-0.default"]
    (instance,) = proxy.instances
    leaving = dataclasses.replace(proxy, instances=(dataclasses.replace(instance, closing=True),))
    made = Compiled(Compiler().compile(leaving, snapshot))
    assert made.listeners == {}
    assert made.cluster_of("http.80", "*:80")


def test_a_port_that_an_engine_has_published_is_called_in_plaintext_from_its_host() -> None:
    snapshot = snapshot_of(read(*SHOP))
    key = ("a.default.svc.cluster.local", 9080)
    published = tuple(one._replace(published=True) for one in snapshot.endpoints[key])
    snapshot = dataclasses.replace(snapshot, endpoints={**snapshot.endpoints, key: published})
    compiler = Compiler()

    def matched(proxy: str, host: str) -> bool:
        made = Compiled(compiler.compile(snapshot.proxies[proxy], snapshot))
        (endpoint,) = made.endpoints[f"outbound|9080||{host}.default.svc.cluster.local"].endpoints[0].lb_endpoints
        return bool(endpoint.metadata.filter_metadata)

    assert (matched("ingress-0.default", "a"), matched("ingress-0.default", "b")) == (False, True)
    assert matched("client-0.default", "a")


def test_what_did_not_change_is_the_same_object_and_what_did_is_made_anew() -> None:
    compiler = Compiler()
    texts = [*SHOP, gateway("edge", server()), bound("a", to("a"), hosts=["*"])]

    def resources(*texts: str) -> Resources:
        snapshot = snapshot_of(read(*texts))
        return compiler.compile(snapshot.proxies["ingress-0.default"], snapshot)

    first = resources(*texts)
    again = resources(*texts)
    other = resources(*texts[:-1], bound("a", to("b"), hosts=["*"]))
    assert [again[kind] is first[kind] for kind in (LISTENER, ROUTES)] == [True, True]
    assert [other[kind] is first[kind] for kind in (LISTENER, ROUTES)] == [True, False]


def test_a_gateway_in_another_folder_names_other_files() -> None:
    (written,) = (one for one in read(gateway("edge", https())) if one.key.kind == "Gateway")
    folders = [dataclasses.replace(written, source=Source(f"/{name}/edge.yaml", 1, "")) for name in ("a", "b", "b")]
    made = [snapshot_of([*read(*SHOP), folder]) for folder in folders]
    assert [one.gateways == made[1].gateways for one in made] == [False, True, True]
    context = ending(Compiled(Compiler().compile(made[0].proxies["ingress-0.default"], made[0])))
    assert context.common_tls_context.tls_certificate_sds_secret_configs[0].name == "file-cert:/a/a.pem~/a-key.pem"
