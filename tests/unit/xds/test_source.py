import pytest
from google.protobuf.struct_pb2 import Struct

from mizzen.stubs.envoy.config.core.v3 import base_pb2
from mizzen.xds.source import Node


def test_istio_form_is_taken_apart() -> None:
    metadata = Struct()
    metadata.update({"NAMESPACE": "default", "LABELS": {"app": "reviews"}})
    node = Node.parse(
        base_pb2.Node(
            id="sidecar~10.0.0.1~reviews-v1-0.default~default.svc.cluster.local",
            metadata=metadata,
            user_agent_name="envoy",
        )
    )
    assert (node.kind, node.address, node.name, node.namespace) == ("sidecar", "10.0.0.1", "reviews-v1-0", "default")
    assert (node.domain, node.proxy, node.agent) == ("default.svc.cluster.local", "reviews-v1-0.default", "envoy")
    assert node.metadata["LABELS"] == {"app": "reviews"}


@pytest.mark.parametrize(
    "identifier", ["client-1", "a~b~c", "a~b~c~d", "sidecar~ip~.ns~x", "sidecar~ip~pod.~x", "~ip~p.n~x"]
)
def test_other_forms_are_only_an_id(identifier: str) -> None:
    assert Node.parse(base_pb2.Node(id=identifier)) == Node(identifier)
    assert Node(identifier).proxy == identifier


def test_name_may_have_dots() -> None:
    assert Node.parse(base_pb2.Node(id="sidecar~ip~a.b.ns~ns.svc.x")).name == "a.b"
