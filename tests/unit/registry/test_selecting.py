from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from tests.support.worlds import read
from tests.support.written import service

from mizzen.registry.selecting import Labelled, Services, picks
from mizzen.registry.services import services_in

LABELS = st.dictionaries(st.sampled_from("abc"), st.sampled_from("xy"), max_size=3)
THINGS = st.lists(st.tuples(st.sampled_from(["default", "far"]), LABELS), max_size=8)
(TEMPLATE,) = services_in(read(service("a")))


@given(selectors=st.lists(LABELS, max_size=5), things=THINGS)
def test_indexes_find_what_looking_at_everything_finds(
    selectors: list[dict[str, str]], things: list[tuple[str, dict[str, str]]]
) -> None:
    spec = TEMPLATE.spec
    services = []
    for number, selector in enumerate(selectors):
        (one,) = services_in(read(service(f"s{number}")))
        object.__setattr__(one, "spec", spec.model_copy(update={"selector": selector}))
        services.append(one)
    labelled = Labelled((namespace, labels, number) for number, (namespace, labels) in enumerate(things))
    for one in services:
        assert labelled.picked(one) == [number for number, thing in enumerate(things) if picks(one, *thing)]
    index = Services(services)
    for thing in things:
        assert index.picking(*thing) == [one for one in services if picks(one, *thing)]


def test_a_selector_that_is_empty_picks_nothing() -> None:
    (one,) = services_in(read(service("a", selector={})))
    assert not picks(one, "default", {"app": "a"})
    assert Labelled([("default", {"app": "a"}, 1)]).picked(one) == []
    assert Services([one]).picking("default", {"app": "a"}) == []


def test_a_service_picks_in_its_own_namespace() -> None:
    (one,) = services_in(read(service("a")))
    assert picks(one, "default", {"app": "a", "version": "v1"})
    assert not picks(one, "far", {"app": "a"})
