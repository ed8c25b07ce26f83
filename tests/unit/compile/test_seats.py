"""One proxy for several instances: nothing of one is another's, and neighbours meet inside."""

from __future__ import annotations

from dataclasses import replace

from tests.support.compiled import Compiled
from tests.support.worlds import NODE_PROXY, read, snapshot_of
from tests.support.written import destination_rule, service, workload

from mizzen.compile.compiler import Compiler
from mizzen.compile.resource import CLUSTER, ENDPOINTS, FILTERS, LISTENER, ROUTES
from mizzen.compile.seats import ALONE, seat_of
from mizzen.mesh.model import Instance
from mizzen.mesh.proxy_kind import ProxyKind
from mizzen.stubs.envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
)
from mizzen.stubs.envoy.extensions.transport_sockets.tls.v3.tls_pb2 import UpstreamTlsContext

WORLD = (
    workload("client", serviceAccount="client"),
    service("web"),
    workload("web", serviceAccount="web", replicas=2),
    service("db", ("tcp", 5432)),
    workload("db", ("tcp", 5432), serviceAccount="db"),
)


def node(*texts: str) -> Compiled:
    snapshot = snapshot_of(read(*texts), "node")
    return Compiled(Compiler().compile(snapshot.proxies[NODE_PROXY], snapshot))


def test_a_sidecars_seat_changes_nothing() -> None:
    assert seat_of(ProxyKind.SIDECAR, Instance("web-0.default", "default", netns="/run/netns/web")) == ALONE
    assert (ALONE.named("x"), ALONE.shared) == ("x", False)


def test_every_resource_is_that_of_one_instance() -> None:
    made = node(*WORLD)
    ids = {"client-0.default", "web-0.default", "web-1.default", "db-0.default"}
    for named in (made.clusters, made.endpoints, made.listeners, made.routes):
        assert {name.split("/")[0] for name in named} - {"BlackHoleCluster"} == ids


def test_sockets_are_opened_in_the_instances_own_namespace() -> None:
    made = node(*WORLD)
    for name, listener in made.listeners.items():
        instance = name.split(".")[0]
        if not listener.HasField("internal_listener"):
            assert listener.address.socket_address.network_namespace_filepath == f"/run/netns/{instance}"
    for name, cluster in made.clusters.items():
        if name != "BlackHoleCluster":
            source = cluster.upstream_bind_config.source_address
            assert source.network_namespace_filepath == f"/run/netns/{name.split('.')[0]}"


def test_certificates_are_asked_for_by_identity() -> None:
    cluster = node(*WORLD).clusters["client-0.default/outbound|9080||web.default.svc.cluster.local"]
    (mutual,) = (one for one in cluster.transport_socket_matches if one.name == "tlsMode-istio")
    context = UpstreamTlsContext.FromString(mutual.transport_socket.typed_config.value)
    (secret,) = context.common_tls_context.tls_certificate_sds_secret_configs
    assert secret.name == "spiffe://cluster.local/ns/default/sa/client"


def test_neighbours_are_called_through_internal_listeners_that_exist() -> None:
    made = node(*WORLD)
    called = {
        endpoint.endpoint.address.envoy_internal_address.server_listener_name
        for assignment in made.endpoints.values()
        for locality in assignment.endpoints
        for endpoint in locality.lb_endpoints
    }
    assert called == {"web-0.default/inside_9080", "web-1.default/inside_9080", "db-0.default/inside_5432"}
    assert called <= set(made.listeners)


def test_endpoints_of_other_proxies_are_called_where_they_are() -> None:
    resources = read(*WORLD, workload("far", replicas=1, labels={"app": "web"}, proxy="sidecar"))
    snapshot = snapshot_of(resources, "node")
    node_proxy = snapshot.proxies[NODE_PROXY]
    without = tuple(one for one in node_proxy.instances if one.id != "far-0.default")
    proxy = type(node_proxy)(node_proxy.id, node_proxy.namespace, node_proxy.kind, without)
    made = Compiled(Compiler().compile(proxy, snapshot))
    (locality,) = made.endpoints["client-0.default/outbound|9080||web.default.svc.cluster.local"].endpoints
    kinds = [one.endpoint.address.WhichOneof("address") for one in locality.lb_endpoints]
    assert sorted(map(str, kinds)) == ["envoy_internal_address", "envoy_internal_address", "socket_address"]


def test_a_seat_that_closes_takes_nothing_new_and_finishes_what_it_has() -> None:
    snapshot = snapshot_of(read(*WORLD), "node")
    proxy = snapshot.proxies[NODE_PROXY]
    instances = tuple(replace(one, closing=one.id == "web-0.default") for one in proxy.instances)
    before = Compiled(Compiler().compile(proxy, snapshot))
    after = Compiled(Compiler().compile(replace(proxy, instances=instances), snapshot))
    gone = {"web-0.default/virtualOutbound", "web-0.default/virtualInbound"}
    # Neighbours that have not heard of it yet still find the internal listener.
    assert before.listeners.keys() - after.listeners.keys() == gone
    assert after.clusters == before.clusters
    assert after.routes == before.routes
    (locality,) = after.endpoints["client-0.default/outbound|9080||web.default.svc.cluster.local"].endpoints
    kinds = [one.endpoint.address.WhichOneof("address") for one in locality.lb_endpoints]
    assert sorted(map(str, kinds)) == ["envoy_internal_address", "socket_address"]


def test_a_sidecar_that_closes_has_no_listeners() -> None:
    snapshot = snapshot_of(read(*WORLD), "transparent")
    proxy = snapshot.proxies["web-0.default"]
    closing = tuple(replace(one, closing=True) for one in proxy.instances)
    before = Compiler().compile(proxy, snapshot)
    assert Compiler().compile(replace(proxy, instances=closing), snapshot) == {**before, LISTENER: {}}


def test_a_node_proxy_without_instances_is_given_nothing_and_not_left_waiting() -> None:
    snapshot = snapshot_of(read(*WORLD), "node")
    proxy = snapshot.proxies[NODE_PROXY]
    compiler = Compiler()
    assert compiler.compile(proxy, snapshot)[LISTENER]
    empty = compiler.compile(type(proxy)(proxy.id, proxy.namespace, proxy.kind), snapshot)
    assert empty == {CLUSTER: {}, ENDPOINTS: {}, LISTENER: {}, ROUTES: {}, FILTERS: {}}


def test_an_instance_that_comes_leaves_what_the_others_have() -> None:
    resources = read(*WORLD)
    compiler = Compiler()
    whole = snapshot_of(resources, "node")
    proxy = whole.proxies[NODE_PROXY]
    less = type(proxy)(proxy.id, proxy.namespace, proxy.kind, proxy.instances[:-1])
    before = compiler.compile(less, whole)
    after = compiler.compile(proxy, whole)
    for type_url in (CLUSTER, LISTENER, ROUTES):
        assert before[type_url].items() <= after[type_url].items()


def test_grpc_web_is_translated_between_neighbours_too() -> None:
    port = ("grpc-web", 9080)
    made = node(service("talk", port), workload("talk", port), workload("db"))
    (chain,) = made.listeners["talk-0.default/inside_9080"].filter_chains
    manager = HttpConnectionManager()
    chain.filters[0].typed_config.Unpack(manager)
    assert manager.http_filters[0].name == "envoy.filters.http.grpc_web"


def test_where_the_port_says_nothing_neighbours_are_looked_at_if_there_is_a_rule_for_requests() -> None:
    port = ("odd", 9080)
    pool = {"http": {"http2MaxRequests": 10}}
    ruled = destination_rule("talk", trafficPolicy={"connectionPool": pool})
    talk = service("talk", port), workload("talk", port)
    inside = node(*talk).listeners["talk-0.default/inside_9080"]
    assert [len(inside.listener_filters), len(inside.filter_chains)] == [0, 1]
    inside = node(*talk, ruled).listeners["talk-0.default/inside_9080"]
    assert [len(inside.listener_filters), len(inside.filter_chains)] == [1, 2]


def test_a_node_looks_for_requests_on_the_ports_alone_that_say_nothing() -> None:
    made = node(*WORLD, service("one", ("odd", 7000)), service("two", ("odd", 7001)))
    (found,) = [one for one in made.listeners["web-0.default/virtualOutbound"].listener_filters if "http" in one.name]
    ports = [one.destination_port_range.start for one in found.filter_disabled.not_match.or_match.rules]
    assert ports == [7000, 7001]


def test_a_rule_for_requests_gives_the_callees_side_a_pass_of_its_own() -> None:
    def filters(*texts: str) -> list[str]:
        (chain,) = node(*WORLD, *texts).listeners["web-0.default/inside_9080"].filter_chains
        return [one.name for one in chain.filters]

    assert filters() == ["envoy.filters.network.tcp_proxy"]
    pool = {"http": {"http2MaxRequests": 10}}
    ruled = destination_rule("web", trafficPolicy={"connectionPool": pool})
    assert filters(ruled) == ["envoy.filters.network.http_connection_manager"]
