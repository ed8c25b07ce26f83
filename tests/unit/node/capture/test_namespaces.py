from ipaddress import IPv4Address

from mizzen.node.capture.namespaces import outer_name


def test_the_outer_link_is_named_by_its_address() -> None:
    assert outer_name(IPv4Address("10.200.1.255")) == "mv0ac801ff"
    assert len(outer_name(IPv4Address("255.255.255.255"))) <= 15
