from __future__ import annotations

from mizzen.compile.route_memory import Asked, Heard, RouteMemory
from mizzen.compile.routes import Source, VirtualHostView

HERE, GONE = Source("here"), Source("gone")
TABLE = {("a", 80): VirtualHostView("a", 80, ("a",), HERE), ("b", 80): VirtualHostView("b", 80, ("b",), HERE)}


def heard(source: Source) -> Heard:
    return Heard(source, (80,), with_port=False)


def memory() -> RouteMemory:
    tables = {heard(HERE): TABLE, heard(GONE): TABLE}
    return RouteMemory(views={Asked(80, HERE): {}, Asked(80, GONE): {}}, tables=tables, asking={HERE})


def test_a_table_without_a_host_that_is_routed_otherwise_stays_as_it_is() -> None:
    now = memory().after({"c"})
    assert (now.tables, now.outdated) == ({heard(HERE): TABLE}, {})


def test_a_table_with_one_is_there_to_be_brought_up_to_date() -> None:
    now = memory().after({"a", "c"})
    assert (now.tables, now.outdated) == ({}, {heard(HERE): TABLE})


def test_no_table_serves_where_others_may_have_claimed_the_hosts() -> None:
    now = memory().after(None)
    assert (now.tables, now.outdated) == ({}, {})


def test_who_has_not_asked_is_gone() -> None:
    assert memory().after(None).views.keys() == {Asked(80, HERE)}
    assert memory().after(set()).asking == set()
