from __future__ import annotations

from tests.support.compiled import Compiled, grpc_client
from tests.support.worlds import instances_of, read, snapshot_of
from tests.support.written import destination_rule, mesh_config, service, subset, to, virtual_service, workload

from mizzen.compile.compiler import Compiler
from mizzen.compile.resource import CLUSTER as CLUSTER_TYPE
from mizzen.control.views import Inputs, build_snapshot
from mizzen.mesh.model import Snapshot
from mizzen.registry.reports import Report
from mizzen.stubs.envoy.config.cluster.v3.cluster_pb2 import Cluster
from mizzen.stubs.envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
)
from mizzen.stubs.envoy.extensions.transport_sockets.tls.v3.tls_pb2 import UpstreamTlsContext

GUIDE = "guide.default.svc.cluster.local"
CLUSTER = f"outbound|50051||{GUIDE}"
WORLD = (service("guide", ("grpc", 50051), ("tcp", 50052)), workload("guide", ("grpc", 50051)))


def client(*texts: str, namespace: str = "default") -> Compiled:
    snapshot = snapshot_of(read(*WORLD, *texts))
    return Compiled(Compiler().compile(grpc_client(namespace), snapshot))


def test_a_service_is_asked_for_by_its_host_and_port() -> None:
    made = client()
    assert list(made.listeners) == [f"{GUIDE}:50051"]
    manager = HttpConnectionManager.FromString(made.listeners[f"{GUIDE}:50051"].api_listener.api_listener.value)
    assert manager.rds.route_config_name == CLUSTER
    assert [one.name for one in manager.http_filters] == ["envoy.filters.http.fault", "envoy.filters.http.router"]
    (host,) = made.routes[CLUSTER].virtual_hosts
    assert list(host.domains) == ["*"]
    assert host.routes[0].route.cluster == CLUSTER


def test_it_has_what_a_sidecar_of_its_namespace_routes_by() -> None:
    rules = (
        destination_rule("guide", subsets=[subset("v1")], exportTo=["."]),
        virtual_service("guide", to("guide", "v1", timeout="2s"), exportTo=["."]),
    )
    (host,) = client(*rules).routes[CLUSTER].virtual_hosts
    assert host.routes[0].route.cluster == f"outbound|50051|v1|{GUIDE}"
    assert host.routes[0].route.max_stream_duration.max_stream_duration.ToSeconds() == 2
    (host,) = client(*rules, namespace="far").routes[CLUSTER].virtual_hosts
    assert host.routes[0].route.cluster == CLUSTER


def test_certificates_are_named_by_the_clients_own_provider() -> None:
    made = client().clusters[CLUSTER]
    assert made.lb_policy == Cluster.ROUND_ROBIN
    common = UpstreamTlsContext.FromString(made.transport_socket.typed_config.value).common_tls_context
    assert common.tls_certificate_provider_instance.instance_name == "default"
    (accepted,) = common.combined_validation_context.default_validation_context.match_typed_subject_alt_names
    assert accepted.matcher.exact == "spiffe://cluster.local/ns/default/sa/default"


def test_how_many_requests_may_be_on_the_way_is_all_that_it_knows_of_a_pool() -> None:
    pool = {"connectionPool": {"http": {"http2MaxRequests": 7, "maxRetries": 1}}}
    made = client(destination_rule("guide", trafficPolicy=pool)).clusters[CLUSTER]
    (limits,) = made.circuit_breakers.thresholds
    assert limits.max_requests.value == 7
    assert not limits.HasField("max_retries")


def test_where_no_rule_says_it_the_meshs_policy_holds() -> None:
    mesh = mesh_config(defaultTrafficPolicy={"connectionPool": {"http": {"http2MaxRequests": 9}}})
    made = client(mesh)
    (limits,) = made.clusters[CLUSTER].circuit_breakers.thresholds
    assert limits.max_requests.value == 9
    assert read(mesh)[0].key in made.resources[CLUSTER_TYPE][CLUSTER].origins


def without_instances(snapshot_of_resources: Snapshot) -> Snapshot:
    resources = read(*WORLD)
    return build_snapshot(
        Inputs(snapshot_of_resources.trust_domain, {one.key: one for one in resources}, Report(node="n")), 2
    )


def test_endpoints_come_and_go_without_a_change_of_their_cluster() -> None:
    resources = read(*WORLD)
    assert instances_of(resources)
    compiler, before = Compiler(), snapshot_of(resources)
    one = compiler.compile(grpc_client(), before)
    other = compiler.compile(grpc_client(), without_instances(before))
    changed = {kind: [name for name in one[kind] if one[kind][name] != other[kind][name]] for kind in one}
    assert {kind.rpartition(".")[2]: names for kind, names in changed.items() if names} == {
        "ClusterLoadAssignment": [CLUSTER]
    }
