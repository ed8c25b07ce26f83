from __future__ import annotations

import pytest

from mizzen.mesh.localities import Locality, distance, fits, locality_of, parse_locality, topology

HERE = Locality("eu", "a", "1")


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("", Locality()),
        ("eu", Locality("eu")),
        ("eu/a", Locality("eu", "a")),
        ("eu/a/1", HERE),
        ("eu//1", Locality("eu", "", "1")),
    ],
)
def test_a_place_is_written_with_slashes(text: str, place: Locality) -> None:
    assert parse_locality(text) == place
    assert str(place) == text


@pytest.mark.parametrize(
    ("labels", "place"),
    [
        ({}, HERE),
        ({"istio-locality": "us.b.2"}, Locality("us", "b", "2")),
        ({"istio-locality": "us", "topology.kubernetes.io/region": "ap"}, Locality("us")),
        ({"topology.kubernetes.io/region": "ap", "topology.istio.io/subzone": "3"}, Locality("ap", "", "3")),
        ({"topology.kubernetes.io/zone": "b", "topology.istio.io/subzone": "3"}, Locality("eu", "b", "3")),
    ],
)
def test_labels_say_where_something_is_and_else_its_node(labels: dict[str, str], place: Locality) -> None:
    assert locality_of(labels, HERE) == place


def test_a_place_is_labels_for_those_who_ask_for_these() -> None:
    assert topology(Locality("eu", "a")) == {
        "topology.kubernetes.io/region": "eu",
        "topology.kubernetes.io/zone": "a",
    }


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [("*", True), ("eu", True), ("eu/*", True), ("eu/a/1", True), ("eu/a/*", True), ("eu/b", False), ("us/*", False)],
)
def test_a_pattern_means_places(pattern: str, expected: bool) -> None:
    assert fits(HERE, pattern) == expected


@pytest.mark.parametrize(("other", "expected"), [("eu/a/1", 0), ("eu/a/2", 1), ("eu/b/1", 2), ("us/a/1", 3), ("", 3)])
def test_how_far_another_place_is(other: str, expected: int) -> None:
    assert distance(HERE, parse_locality(other)) == expected
