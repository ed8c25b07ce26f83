"""Responses written by hand are those that the generated classes read."""

from hypothesis import given
from hypothesis import strategies as st

from mizzen.compile.resource import XdsResource
from mizzen.stubs.envoy.service.discovery.v3 import discovery_pb2
from mizzen.xds.wire import Encoder

resources = st.lists(
    st.builds(XdsResource, name=st.text(max_size=200), version=st.text(max_size=20), body=st.binary(max_size=20_000)),
    max_size=4,
    unique_by=lambda resource: (resource.name, resource.version),
)


@given(resources, st.lists(st.text(min_size=1, max_size=200)), st.text(), st.text(), st.text(min_size=1))
def test_delta_response(
    updates: list[XdsResource], removed: list[str], nonce: str, version: str, type_url: str
) -> None:
    expected = discovery_pb2.DeltaDiscoveryResponse(
        system_version_info=version, type_url=type_url, nonce=nonce, removed_resources=removed
    )
    for resource in updates:
        message = expected.resources.add(name=resource.name, version=resource.version)
        message.resource.type_url, message.resource.value = type_url, resource.body
    encoder = Encoder()
    for _ in range(2):  # the second time from memory
        data = encoder.delta(type_url, nonce, version, updates, removed)
        assert discovery_pb2.DeltaDiscoveryResponse.FromString(data) == expected


@given(resources, st.text(), st.text(), st.text(min_size=1))
def test_state_of_the_world_response(updates: list[XdsResource], nonce: str, version: str, type_url: str) -> None:
    expected = discovery_pb2.DiscoveryResponse(version_info=version, type_url=type_url, nonce=nonce)
    for resource in updates:
        expected.resources.add(type_url=type_url, value=resource.body)
    data = Encoder().state(type_url, nonce, version, updates)
    assert discovery_pb2.DiscoveryResponse.FromString(data) == expected


def test_memory_is_bounded() -> None:
    encoder = Encoder()
    for number in range(5000):
        encoder.delta("t", "1", "1", [XdsResource(str(number), "1", b"x")], [])
    assert len(encoder._wrapped) == 4096
