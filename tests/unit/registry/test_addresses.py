from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mizzen.registry.addresses import NoAddressLeftError, allocate

BLOCK = ipaddress.IPv4Network("240.240.0.0/16")
HOSTS = st.lists(st.text("abc.", min_size=1, max_size=4), max_size=20)


@given(before=HOSTS, after=HOSTS)
def test_a_service_keeps_its_address_and_no_two_share_one(before: list[str], after: list[str]) -> None:
    known = allocate({}, before)
    allocated = allocate(known, after)
    assert allocated.keys() == set(after)
    assert {host: known[host] for host in set(before) & set(after)}.items() <= allocated.items()
    assert len(set(allocated.values())) == len(allocated)
    assert all(ipaddress.IPv4Address(address) in BLOCK for address in allocated.values())


@given(hosts=HOSTS)
def test_the_order_does_not_count(hosts: list[str]) -> None:
    assert allocate({}, hosts) == allocate({}, reversed(hosts))
    assert list(allocate({}, hosts)) == sorted(set(hosts))


def test_the_first_and_the_last_address_of_the_block_are_left_out() -> None:
    taken = {f"known-{number}": str(BLOCK[number]) for number in range(1, BLOCK.num_addresses - 2)}
    allocated = allocate(taken, [*taken, "new"])
    assert allocated["new"] == str(BLOCK[-2])
    with pytest.raises(NoAddressLeftError, match="65534 virtual addresses"):
        allocate(allocated, [*allocated, "one-more"])


def test_two_that_were_given_one_address_are_told_apart_again() -> None:
    allocated = allocate({"a": "240.240.0.1", "b": "240.240.0.1"}, ["a", "b"])
    assert allocated["a"] == "240.240.0.1"
    assert allocated["b"] != "240.240.0.1"
