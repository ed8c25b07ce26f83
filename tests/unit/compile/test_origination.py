"""TLS that a proxy begins by itself: which name it asks for, and what it makes the server prove."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.compiled import Compiled, compiled
from tests.support.worlds import read, snapshot_of
from tests.support.written import destination_rule, gateway_workload, service, subset, workload

from mizzen.compile.compiler import Compiler
from mizzen.compile.pools import HTTP_OPTIONS
from mizzen.stubs.envoy.config.cluster.v3.cluster_pb2 import Cluster
from mizzen.stubs.envoy.extensions.transport_sockets.tls.v3.common_pb2 import (
    CertificateValidationContext,
    SubjectAltNameMatcher,
)
from mizzen.stubs.envoy.extensions.transport_sockets.tls.v3.tls_pb2 import UpstreamTlsContext
from mizzen.stubs.envoy.extensions.upstreams.http.v3.http_protocol_options_pb2 import HttpProtocolOptions

HOST = "shop.default.svc.cluster.local"
PORTS = {"http": 80, "tcp": 90, "http2": 100}


def cluster(port: str = "http", version: str = "", **policy: Any) -> Cluster:
    rule = destination_rule("shop", subsets=[subset("v1")], trafficPolicy=policy)
    made = compiled(service("shop", *PORTS.items()), workload("client"), rule)
    return made.clusters[f"outbound|{PORTS[port]}|{version}|{HOST}"]


def simple(port: str = "http", **tls: Any) -> Cluster:
    return cluster(port, tls={"mode": "SIMPLE", **tls})


def context(made: Cluster) -> UpstreamTlsContext:
    found = UpstreamTlsContext()
    assert made.transport_socket.typed_config.Unpack(found)
    return found


def validation(made: Cluster) -> CertificateValidationContext:
    return context(made).common_tls_context.combined_validation_context.default_validation_context


def certificates(made: Cluster) -> list[str]:
    """The names of the certificates that are shown."""
    return [one.name for one in context(made).common_tls_context.tls_certificate_sds_secret_configs]


def roots(made: Cluster) -> tuple[str, int]:
    """The name of the authorities, and for how many seconds a start waits for them."""
    found = context(made).common_tls_context.combined_validation_context.validation_context_sds_secret_config
    return found.name, found.sds_config.initial_fetch_timeout.seconds


def names(made: Cluster) -> list[str]:
    return [one.matcher.exact for one in validation(made).match_typed_subject_alt_names]


def from_host(made: Cluster) -> tuple[bool, bool]:
    """Whether the server name, and what the server must prove, come from each request's host."""
    options = HttpProtocolOptions()
    made.typed_extension_protocol_options[HTTP_OPTIONS].Unpack(options)
    return (
        options.upstream_http_protocol_options.auto_sni,
        options.upstream_http_protocol_options.auto_san_validation,
    )


@pytest.mark.parametrize("tls", [{}, {"mode": "DISABLE"}])
def test_disabled_is_plaintext_whatever_endpoints_can(tls: dict[str, str]) -> None:
    made = cluster(tls=tls)
    assert not made.HasField("transport_socket")
    assert not made.transport_socket_matches


def test_without_roots_of_its_own_a_rule_trusts_those_of_the_system() -> None:
    name, seconds = roots(simple())
    assert name == "file-root:system"
    assert seconds > 0, "a proxy must start without them"


@pytest.mark.parametrize(
    ("files", "name"),
    [
        ({"caCertificates": "/ca.pem"}, "file-root:/ca.pem"),
        ({"caCertificates": "/ca.pem", "caCrl": "/crl.pem"}, "file-root:/ca.pem~/crl.pem"),
        ({"caCrl": "/crl.pem"}, "file-root:system~/crl.pem"),
    ],
)
def test_roots_of_its_own_are_files_that_the_node_reads(files: dict[str, str], name: str) -> None:
    assert roots(simple(**files)) == (name, 1)


@pytest.mark.parametrize(
    ("port", "tls", "sni", "proven", "taken"),
    [
        ("http", {}, "", [], (True, True)),
        ("http", {"subjectAltNames": ["a.com"]}, "", ["a.com"], (True, False)),
        ("http", {"sni": "a.com"}, "a.com", ["a.com"], (False, False)),
        ("http", {"sni": "a.com", "subjectAltNames": ["b.com"]}, "a.com", ["b.com"], (False, False)),
        ("http", {"insecureSkipVerify": True}, "", [], (True, False)),
        ("tcp", {}, HOST, [HOST], (False, False)),
        ("tcp", {"sni": "a.com"}, "a.com", ["a.com"], (False, False)),
        ("tcp", {"insecureSkipVerify": True}, HOST, [], (False, False)),
    ],
)
def test_the_name_that_is_asked_for_is_the_one_that_must_be_proven(
    port: str, tls: dict[str, Any], sni: str, proven: list[str], taken: tuple[bool, bool]
) -> None:
    made = simple(port, **tls)
    assert (context(made).sni, names(made), from_host(made)) == (sni, proven, taken)


def test_who_skips_the_check_trusts_anybody() -> None:
    common = context(simple(insecureSkipVerify=True)).common_tls_context
    assert common.WhichOneof("validation_context_type") is None


def test_mutual_shows_a_certificate_and_simple_none() -> None:
    files = {"clientCertificate": "/cert.pem", "privateKey": "/key.pem"}
    assert certificates(cluster(tls={"mode": "MUTUAL", **files})) == ["file-cert:/cert.pem~/key.pem"]
    assert certificates(simple()) == []


def test_http2_is_offered_where_it_is_spoken() -> None:
    assert list(context(simple("http2")).common_tls_context.alpn_protocols) == ["h2"]
    assert not context(simple()).common_tls_context.alpn_protocols


def test_names_may_be_hosts_addresses_and_uris() -> None:
    found = validation(simple(subjectAltNames=["a.com", "10.0.0.1", "spiffe://a/b"])).match_typed_subject_alt_names
    assert [one.san_type for one in found] == [
        SubjectAltNameMatcher.DNS,
        SubjectAltNameMatcher.IP_ADDRESS,
        SubjectAltNameMatcher.URI,
    ]


def test_the_meshs_own_tls_may_ask_for_another_name_and_identity() -> None:
    identity = "spiffe://cluster.local/ns/a/sa/b"
    made = cluster(tls={"mode": "ISTIO_MUTUAL", "sni": "a.com", "subjectAltNames": [identity]})
    assert context(made).sni == "a.com"
    assert names(made) == [identity]


def test_a_port_and_a_subset_have_their_own() -> None:
    ports = [{"port": {"number": 80}, "tls": {"mode": "SIMPLE"}}]
    made = {port: cluster(port, "v1", tls={"mode": "DISABLE"}, portLevelSettings=ports) for port in ("http", "tcp")}
    assert made["http"].HasField("transport_socket")
    assert not made["tcp"].HasField("transport_socket")


SELECTED = {"workloadSelector": {"matchLabels": {"app": "client"}}}


def named(proxy: str, selector: dict[str, Any] | None = None, *texts: str, **tls: Any) -> Cluster:
    """The cluster of a host whose rule names a Secret, at a proxy."""
    rule = destination_rule("shop", trafficPolicy={"tls": {"credentialName": "shop", **tls}}, **(selector or {}))
    resources = read(service("shop", ("http", 80)), workload("client"), gateway_workload(), rule, *texts)
    snapshot = snapshot_of(resources)
    return Compiled(Compiler().compile(snapshot.proxies[proxy], snapshot)).clusters[f"outbound|80||{HOST}"]


@pytest.mark.parametrize(("proxy", "selector"), [("ingress-0.default", None), ("client-0.default", SELECTED)])
def test_a_gateway_and_who_is_selected_have_what_a_secret_holds(proxy: str, selector: dict[str, Any] | None) -> None:
    made = named(proxy, selector, mode="MUTUAL")
    assert certificates(made) == ["kubernetes://shop"]
    assert roots(made) == ("kubernetes://shop-cacert", 1)
    simple = named(proxy, selector, mode="SIMPLE")
    assert certificates(simple) == []
    assert roots(simple) == ("kubernetes://shop-cacert", 1)


def test_who_is_not_selected_has_what_is_for_all() -> None:
    """In Istio it would have none, as the rule that selects others hides the rest of its namespace."""
    plain = destination_rule("shop-for-all", host="shop", trafficPolicy={"tls": {"mode": "DISABLE"}})
    others = {"workloadSelector": {"matchLabels": {"app": "other"}}}
    assert not named("client-0.default", others, plain, mode="MUTUAL").HasField("transport_socket")
    assert roots(named("client-0.default", SELECTED, plain, mode="MUTUAL")) == ("kubernetes://shop-cacert", 1)


@pytest.mark.trap(13)
@pytest.mark.parametrize("mode", ["SIMPLE", "MUTUAL"])
def test_a_sidecar_for_which_a_rule_for_all_names_a_secret_speaks_to_nobody(mode: str) -> None:
    """Trap 13: a credentialName at a sidecar makes plaintext in Istio, and nobody is told."""
    made = named("client-0.default", mode=mode)
    assert names(made) == ["spiffe://none.invalid"]
    assert certificates(made) == []
    assert not made.transport_socket_matches


def test_seats_have_secrets_of_their_own() -> None:
    def rule(namespace: str) -> str:
        tls = {"mode": "MUTUAL", "credentialName": "shop"}
        return destination_rule("shop", host=HOST, namespace=namespace, trafficPolicy={"tls": tls}, **SELECTED)

    resources = read(
        service("shop", ("http", 80)),
        *(text for one in ("a", "b") for text in (workload("client", namespace=one, proxy="node"), rule(one))),
    )
    snapshot = snapshot_of(resources, capture="node")
    (proxy,) = snapshot.proxies.values()
    made = Compiled(Compiler().compile(proxy, snapshot)).clusters
    for namespace in ("a", "b"):
        seat = f"client-0.{namespace}/"
        found = made[f"{seat}outbound|80||{HOST}"]
        assert certificates(found) == [f"{seat}kubernetes://shop"]
        assert roots(found) == (f"{seat}kubernetes://shop-cacert", 1)
