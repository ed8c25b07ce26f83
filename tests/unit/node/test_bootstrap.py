from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from mizzen.mesh.localities import Locality
from mizzen.mesh.proxy_kind import ProxyKind
from mizzen.node.bootstrap import BootstrapView, bootstrap, bootstrap_json, node_id
from mizzen.registry.proxy_settings import ProxySettings
from mizzen.resources.proxy_config import OWN_METADATA

SIDECAR = BootstrapView(
    instance="reviews-v1-0",
    namespace="prod",
    workload="reviews-v1",
    service_account="bookinfo-reviews",
    address="10.0.0.2",
    capture="transparent",
    version="0.1.0",
    trust_domain="cluster.local",
    mesh="default",
    admin_socket=Path("/run/admin.sock"),
    xds_socket=Path("/run/xds.sock"),
    sds_socket=Path("/run/sds.sock"),
    labels={"app": "reviews"},
)


def test_the_node_id_is_istios() -> None:
    assert node_id(SIDECAR) == "sidecar~10.0.0.2~reviews-v1-0.prod~prod.svc.cluster.local"


def test_the_metadata_is_istios() -> None:
    node = json.loads(bootstrap_json(SIDECAR))["node"]
    assert node["cluster"] == "reviews-v1.prod"
    metadata = node["metadata"]
    assert metadata["LABELS"] == {"app": "reviews"}
    assert (metadata["NAME"], metadata["NAMESPACE"], metadata["WORKLOAD_NAME"]) == (
        "reviews-v1-0",
        "prod",
        "reviews-v1",
    )
    assert (metadata["SERVICE_ACCOUNT"], metadata["INTERCEPTION_MODE"]) == ("bookinfo-reviews", "REDIRECT")


def test_what_users_say_of_a_proxy_takes_nothing_away_from_what_it_is() -> None:
    said = ProxySettings(metadata={"TEAM": "shelves", "NAME": "other", "UID": "other", "LABELS": "other"})
    proxy = dataclasses.replace(SIDECAR, uid="1", settings=said)
    metadata = json.loads(bootstrap_json(proxy))["node"]["metadata"]
    assert (metadata["TEAM"], metadata["NAME"], metadata["UID"]) == ("shelves", "reviews-v1-0", "1")
    assert metadata["LABELS"] == {"app": "reviews"}
    assert metadata.keys() == {"TEAM", "UID", *OWN_METADATA}


def test_configuration_comes_over_delta_ads_and_is_waited_for_without_end() -> None:
    dynamic = json.loads(bootstrap_json(SIDECAR))["dynamic_resources"]
    for name in ("cds_config", "lds_config"):
        assert dynamic[name] == {"ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": "0s"}
    ads = dynamic["ads_config"]
    assert (ads["api_type"], ads["transport_api_version"]) == ("DELTA_GRPC", "V3")
    retry = ads["grpc_services"][0]["envoy_grpc"]["retry_policy"]["retry_back_off"]
    assert retry == {"base_interval": "0.100s", "max_interval": "1s"}


def test_control_plane_and_sds_are_unix_sockets() -> None:
    clusters = bootstrap(SIDECAR).static_resources.clusters
    endpoints = {
        cluster.name: cluster.load_assignment.endpoints[0].lb_endpoints[0].endpoint.address.pipe.path
        for cluster in clusters
    }
    assert endpoints == {"xds-grpc": "/run/xds.sock", "sds-grpc": "/run/sds.sock"}


def test_regular_expressions_and_paths_have_istios_limits() -> None:
    (layer,) = json.loads(bootstrap_json(SIDECAR))["layered_runtime"]["layers"]
    assert layer["static_layer"] == {
        "re2.max_program_size.error_level": 32768,
        "envoy.reloadable_features.http_reject_path_with_fragment": False,
    }


def test_a_captured_sidecar_looks_names_up_where_they_do_not_mean_itself() -> None:
    (resolver,) = json.loads(bootstrap_json(SIDECAR))["typed_dns_resolver_config"]["typed_config"]["resolvers"]
    assert resolver == {"socket_address": {"address": "127.0.0.1", "port_value": 15054}}
    for other in ({"capture": "explicit"}, {"kind": ProxyKind.NODE}):
        assert "typed_dns_resolver_config" not in json.loads(bootstrap_json(dataclasses.replace(SIDECAR, **other)))


def test_a_proxy_knows_where_it_is_if_anybody_does() -> None:
    placed = dataclasses.replace(SIDECAR, locality=Locality("eu", "a", "1"))
    assert json.loads(bootstrap_json(placed))["node"]["locality"] == {"region": "eu", "zone": "a", "sub_zone": "1"}
    assert "locality" not in json.loads(bootstrap_json(SIDECAR))["node"]
