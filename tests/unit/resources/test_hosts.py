from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mizzen.resources import hosts

LABELS = st.sampled_from(["a", "b", "foo", "com"])
EXACT = st.lists(LABELS, min_size=1, max_size=4).map(".".join)
HOSTS = st.one_of(EXACT, EXACT.map("*.".__add__), EXACT.map("*".__add__), st.just("*"))


@pytest.mark.trap(1)
@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("reviews", "reviews.bookinfo.svc.cluster.local"),
        ("reviews.prod", "reviews.prod"),
        ("reviews.prod.svc.cluster.local", "reviews.prod.svc.cluster.local"),
        ("Reviews", "reviews.bookinfo.svc.cluster.local"),
        ("Reviews.Prod", "reviews.prod"),
        ("reviews.prod.svc.cluster.local.", "reviews.prod.svc.cluster.local"),
        ("reviews.", "reviews"),
        ("*.Prod.", "*.prod"),
        ("*", "*"),
        ("*.prod", "*.prod"),
        ("10.0.0.1", "10.0.0.1"),
        ("::1", "::1"),
        ("", ""),
    ],
)
def test_only_names_without_a_dot_are_short(host: str, expected: Any) -> None:
    assert hosts.resolve(host, "bookinfo") == expected


@pytest.mark.trap(2)
@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("a.com", "a.com", True),
        ("a.com", "b.com", False),
        ("*.foo.com", "a.b.foo.com", True),
        ("*.foo.com", "foo.com", False),
        ("*foo.com", "xfoo.com", True),
        ("*foo.com", "foo.com", True),
        ("*.com", "*.foo.com", True),
        ("*.foo.com", "*.bar.com", False),
        ("*", "anything", True),
    ],
)
def test_matches_is_a_comparison_of_suffixes_both_ways(one: str, other: str, expected: Any) -> None:
    assert hosts.matches(one, other) is expected
    assert hosts.matches(other, one) is expected


@given(HOSTS, HOSTS)
def test_matches_is_symmetric(one: str, other: str) -> None:
    assert hosts.matches(one, other) == hosts.matches(other, one)


@given(HOSTS, HOSTS)
def test_a_subset_matches(inner: str, outer: str) -> None:
    if hosts.subset_of(inner, outer):
        assert hosts.matches(inner, outer)


@given(HOSTS, HOSTS, HOSTS)
def test_subset_of_is_reflexive_and_transitive(one: str, two: str, three: str) -> None:
    assert hosts.subset_of(one, one)
    if hosts.subset_of(one, two) and hosts.subset_of(two, three):
        assert hosts.subset_of(one, three)


@given(HOSTS, HOSTS)
def test_two_hosts_are_subsets_of_each_other_only_if_they_are_the_same(one: str, other: str) -> None:
    assert (hosts.subset_of(one, other) and hosts.subset_of(other, one)) == (one == other)


@given(HOSTS, HOSTS)
def test_a_proper_subset_is_more_specific(inner: str, outer: str) -> None:
    if inner != outer and hosts.subset_of(inner, outer):
        assert hosts.specificity(inner) < hosts.specificity(outer)


@given(HOSTS, HOSTS)
def test_of_two_hosts_one_is_more_specific(one: str, other: str) -> None:
    assert (hosts.specificity(one) == hosts.specificity(other)) == (one == other)


@given(HOSTS, st.lists(HOSTS))
def test_the_most_specific_host_is_one_that_contains_the_needle(needle: str, known: list[str]) -> None:
    found = hosts.most_specific(needle, known)
    containing = [host for host in known if hosts.subset_of(needle, host)]
    assert (found in containing) if containing else found is None
    if found is not None and found != needle:
        assert min(containing, key=hosts.specificity) == found


def test_specificity_puts_exact_hosts_first_then_longer_ones_then_names() -> None:
    mixed = ["*", "*.com", "b.com", "a.com", "*.foo.com", "longer.com"]
    assert sorted(mixed, key=hosts.specificity) == ["longer.com", "a.com", "b.com", "*.foo.com", "*.com", "*"]
