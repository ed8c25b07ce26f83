from ipaddress import IPv4Address, IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mizzen.node.capture.addresses import AddressesExhaustedError, AddressPool, choose_subnet, hardware_address

networks = st.builds(
    lambda address, prefix: IPv4Network((address, prefix), strict=False),
    st.integers(0x0A000000, 0x0AFFFFFF),
    st.integers(9, 32),
)


@given(st.lists(networks, max_size=30), st.integers(0, 1 << 40))
def test_a_subnet_is_private_and_overlaps_nothing(taken: list[IPv4Network], seed: int) -> None:
    subnet = choose_subnet(taken, seed)
    assert subnet is not None
    assert subnet.prefixlen == 20
    assert subnet.is_private
    assert not any(subnet.overlaps(network) for network in taken)


@pytest.mark.parametrize(
    ("taken", "expected"),
    [
        ([], "10.192.16.0/20"),
        (["0.0.0.0/0"], "10.192.16.0/20"),  # a default route takes nothing
        (["10.192.16.7/32"], "10.192.32.0/20"),
        (["10.0.0.0/8"], "172.16.16.0/20"),
        (["10.0.0.0/8", "172.16.0.0/12"], "192.168.16.0/20"),
        (["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"], None),
    ],
)
def test_ranges_are_tried_in_their_order(taken: list[str], expected: str | None) -> None:
    found = choose_subnet([IPv4Network(network) for network in taken], seed=1)
    assert found == (IPv4Network(expected) if expected else None)


def test_the_seed_wraps_around_the_end_of_a_range() -> None:
    assert choose_subnet([IPv4Network("10.255.240.0/20")], seed=1023) == IPv4Network("10.192.0.0/20")


def test_addresses_come_in_turn_and_are_reused_last() -> None:
    pool = AddressPool(IPv4Network("10.0.0.0/29"))
    first = [pool.take() for _ in range(3)]
    assert [str(address) for address in first] == ["10.0.0.2", "10.0.0.3", "10.0.0.4"]
    pool.give_back(first[2])
    pool.give_back(first[0])
    assert [str(pool.take()) for _ in range(3)] == ["10.0.0.5", "10.0.0.6", "10.0.0.2"]
    assert str(pool.take()) == "10.0.0.4"
    with pytest.raises(AddressesExhaustedError, match=r"all 5 addresses of 10\.0\.0\.0/29"):
        pool.take()


def test_the_gateway_is_never_handed_out() -> None:
    pool = AddressPool(IPv4Network("10.0.0.0/30"))
    assert str(pool.gateway) == "10.0.0.1"
    assert str(pool.take()) == "10.0.0.2"
    with pytest.raises(AddressesExhaustedError):
        pool.take()


def test_an_address_that_was_not_taken_can_be_given_back() -> None:
    pool = AddressPool(IPv4Network("10.0.0.0/29"))
    pool.give_back(IPv4Address("10.0.0.3"))
    assert str(pool.take()) == "10.0.0.2"


def test_a_hardware_address_belongs_to_one_address() -> None:
    assert hardware_address(IPv4Address("10.200.1.255")) == "02:6d:0a:c8:01:ff"
