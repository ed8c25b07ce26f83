from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict

from mizzen.compile import hashing
from mizzen.resources.destination_rule import ConsistentHashLB
from mizzen.stubs.envoy.config.cluster.v3.cluster_pb2 import Cluster
from mizzen.stubs.envoy.extensions.load_balancing_policies.maglev.v3.maglev_pb2 import Maglev
from mizzen.stubs.envoy.extensions.load_balancing_policies.ring_hash.v3.ring_hash_pb2 import RingHash

HEADER = {"httpHeaderName": "x-user"}


def written(**given: Any) -> ConsistentHashLB:
    return ConsistentHashLB.model_validate(given)


def ring(given: ConsistentHashLB, *, http: bool = True) -> RingHash:
    cluster, config = Cluster(), RingHash()
    hashing.apply(cluster, given, http=http)
    assert cluster.lb_policy == Cluster.RING_HASH
    assert cluster.load_balancing_policy.policies[0].typed_extension_config.typed_config.Unpack(config)
    return config


@pytest.mark.parametrize(
    ("given", "policy"),
    [
        (HEADER, {"header": {"headerName": "x-user"}}),
        ({"httpQueryParameterName": "user"}, {"queryParameter": {"name": "user"}}),
        ({"useSourceIp": True}, {"connectionProperties": {"sourceIp": True}}),
        ({"httpCookie": {"name": "user"}}, {"cookie": {"name": "user"}}),
        ({"httpCookie": {"name": "user", "ttl": "0s"}}, {"cookie": {"name": "user", "ttl": "0s"}}),
        (
            {
                "httpCookie": {
                    "name": "user",
                    "path": "/a",
                    "ttl": "90s",
                    "attributes": [{"name": "SameSite", "value": "Strict"}],
                }
            },
            {
                "cookie": {
                    "name": "user",
                    "path": "/a",
                    "ttl": "90s",
                    "attributes": [{"name": "SameSite", "value": "Strict"}],
                }
            },
        ),
    ],
)
def test_what_of_a_request_is_hashed(given: dict[str, Any], policy: dict[str, Any]) -> None:
    assert [MessageToDict(one) for one in hashing.of_requests(written(**given))] == [policy]


def test_a_source_that_is_not_to_be_used_is_not() -> None:
    assert list(hashing.of_requests(written(useSourceIp=False))) == []


@pytest.mark.parametrize(
    ("given", "size"),
    [({}, 1024), ({"ringHash": {}}, 1024), ({"ringHash": {"minimumRingSize": 9}}, 9), ({"minimumRingSize": 7}, 7)],
)
def test_the_size_of_a_ring(given: dict[str, Any], size: int) -> None:
    assert ring(written(**HEADER, **given)).minimum_ring_size.value == size


def test_maglev() -> None:
    cluster, config = Cluster(), Maglev()
    hashing.apply(cluster, written(**HEADER, maglev={"tableSize": 7}), http=True)
    assert cluster.lb_policy == Cluster.MAGLEV
    assert cluster.load_balancing_policy.policies[0].typed_extension_config.typed_config.Unpack(config)
    assert config.table_size.value == 7


@pytest.mark.parametrize(
    ("given", "http", "policies"),
    [({"useSourceIp": True}, False, 1), ({"useSourceIp": True}, True, 0), (HEADER, False, 0)],
)
def test_of_bytes_the_source_alone_is_hashed(given: dict[str, Any], http: bool, policies: int) -> None:
    config = ring(written(**given), http=http)
    assert len(config.consistent_hashing_lb_config.hash_policy) == policies
