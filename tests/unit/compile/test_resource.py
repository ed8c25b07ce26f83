from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mizzen.compile.protos import duration, metadata
from mizzen.compile.resource import encode, pack
from mizzen.resources.key import Key
from mizzen.stubs.envoy.config.cluster.v3.cluster_pb2 import Cluster


def test_equal_content_has_an_equal_version() -> None:
    one, other = encode("a", Cluster(name="a")), encode("a", Cluster(name="a"))
    assert one == other
    assert encode("a", Cluster(name="b")).version != one.version
    assert Cluster.FromString(one.body).name == "a"


def test_origins_are_sorted_and_come_once() -> None:
    a, b = Key("A", "x", "a"), Key("B", "x", "b")
    assert encode("a", Cluster(), [b, a, b]).origins == (a, b)


@given(fields=st.dictionaries(st.text(min_size=1, max_size=3), st.text(max_size=3), max_size=8))
def test_maps_are_encoded_in_any_order_alike(fields: dict[str, str]) -> None:
    one = Cluster(metadata=metadata(istio=fields))
    other = Cluster(metadata=metadata(istio=dict(reversed(fields.items()))))
    assert encode("a", one) == encode("a", other)
    assert pack(one) == pack(other)


@given(st.floats(min_value=0, max_value=1e6, allow_nan=False))
def test_durations_are_exact_to_a_nanosecond(seconds: float) -> None:
    made = duration(seconds)
    assert abs(made.seconds + made.nanos / 1e9 - seconds) < 1e-6
    assert 0 <= made.nanos < 1_000_000_000
