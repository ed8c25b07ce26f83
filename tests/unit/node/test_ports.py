from __future__ import annotations

import random
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mizzen.node.ports import LOOPBACK, Ports, candidates


@given(
    st.integers(1, 40), st.integers(1, 40), st.integers(0, 50), st.integers(0, 50), st.floats(0, 1, exclude_max=True)
)
def test_all_ports_are_candidates_once_those_of_the_ephemeral_range_last(
    first: int, count: int, low: int, width: int, chance: float
) -> None:
    last = first + count - 1
    ports = list(candidates(first, last, (low, low + width), chance))
    assert sorted(ports) == list(range(first, last + 1))
    ephemeral = [low <= port <= low + width for port in ports]
    assert ephemeral == sorted(ephemeral)


def test_a_port_is_given_once() -> None:
    ports = Ports()
    taken = [ports.take() for _ in range(50)]
    assert len(set(taken)) == 50
    assert all(20000 <= port <= 32767 for port in taken)
    ports.close()


def test_two_holders_that_begin_at_the_same_place_get_different_ports() -> None:
    one, two = Ports(random.Random(1)), Ports(random.Random(1))
    first = [one.take() for _ in range(5)]
    second = [two.take() for _ in range(5)]
    assert not set(first) & set(second)
    one.close()
    three = Ports(random.Random(1))
    assert [three.take() for _ in range(5)] == first
    two.close()
    three.close()


@pytest.mark.parametrize("address", [LOOPBACK, "0.0.0.0"])
def test_a_port_that_somebody_listens_on_is_passed_over(address: str) -> None:
    free = Ports(random.Random(7))
    port = free.take()
    free.close()
    with socket.socket() as listener:
        listener.bind((address, port))
        listener.listen()
        ports = Ports(random.Random(7))
        assert ports.take() != port
        ports.close()


def test_an_application_can_listen_on_a_port_that_is_given_out() -> None:
    ports = Ports()
    with socket.socket() as listener:
        listener.bind((LOOPBACK, ports.take()))
        listener.listen()
    ports.give_back(1)
    ports.close()


def test_a_port_is_taken_back_unless_another_process_claims_it() -> None:
    one, two = Ports(), Ports()
    port = one.take()
    with socket.create_server((LOOPBACK, port)):  # the application that it was for
        assert not two.take_back(port)
        one.close()
        assert two.take_back(port)
    two.close()
