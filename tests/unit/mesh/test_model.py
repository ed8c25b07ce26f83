from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mizzen.mesh.model import Service, ServicePort, labels_of, selects
from mizzen.resources.protocols import Protocol

LABELS = st.dictionaries(st.sampled_from("abc"), st.sampled_from("xy"))


@given(labels=LABELS, selector=LABELS)
def test_a_selector_picks_what_has_all_its_labels(labels: dict[str, str], selector: dict[str, str]) -> None:
    expected = all(labels.get(name) == value for name, value in selector.items())
    assert selects(labels_of(selector), labels_of(labels)) == expected


@given(labels=LABELS)
def test_labels_are_the_same_in_any_order(labels: dict[str, str]) -> None:
    assert labels_of(labels) == labels_of(dict(reversed(labels.items())))


def test_a_port_is_found_by_its_number() -> None:
    port = ServicePort(80, Protocol.HTTP)
    service = Service("a.b.svc.cluster.local", "a", "b", (port,))
    assert service.port(80) is port
    assert service.port(81) is None
