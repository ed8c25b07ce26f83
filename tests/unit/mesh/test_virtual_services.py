from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.worlds import read
from tests.support.written import to, virtual_service

from mizzen.mesh.virtual_services import VirtualServiceIndex
from mizzen.resources.hosts import most_specific

REVIEWS = "reviews.default.svc.cluster.local"


def index(*texts: str, client: str = "default") -> VirtualServiceIndex:
    return VirtualServiceIndex(read(*texts), client)


def owners(rules: VirtualServiceIndex, host: str = REVIEWS) -> list[str]:
    return [rule.name for rule in rules.claimants(host)]


def rule(name: str, *hosts: str, **spec: Any) -> str:
    return virtual_service(name, to("reviews"), hosts=list(hosts), **spec)


@pytest.mark.trap(1, 2)
@pytest.mark.parametrize(
    ("host", "namespace", "found"),
    [
        ("reviews", "default", True),
        ("reviews", "other", False),
        (REVIEWS, "other", True),
        ("Reviews.Default.svc.cluster.local", "other", True),
        ("reviews.default", "default", False),
        ("*.default.svc.cluster.local", "other", True),
        ("*.svc.cluster.local", "other", True),
        ("*s.default.svc.cluster.local", "other", True),
        ("*.other.svc.cluster.local", "other", False),
    ],
)
def test_which_hosts_are_meant(host: str, namespace: str, found: bool) -> None:
    assert owners(index(rule("a", host, namespace=namespace))) == (["a"] if found else [])


@pytest.mark.trap(2)
def test_a_suffix_needs_no_label_boundary_but_something_before_it() -> None:
    rules = index(rule("a", "*.example.com"))
    assert owners(rules, "x.y.example.com") == ["a"]
    assert owners(rules, "example.com") == []


def test_the_most_specific_host_wins_over_age() -> None:
    rules = index(
        rule("wide", "*.svc.cluster.local"), rule("narrow", "*.default.svc.cluster.local"), rule("own", "reviews")
    )
    assert owners(rules) == ["own"]
    assert owners(rules, "ratings.default.svc.cluster.local") == ["narrow"]
    assert owners(rules, "ratings.far.svc.cluster.local") == ["wide"]


@pytest.mark.trap(3, 4)
def test_the_oldest_comes_first_and_nothing_is_merged() -> None:
    assert owners(index(rule("b", "reviews"), rule("a", "reviews"))) == ["b", "a"]


def test_of_wildcards_only_the_oldest_of_the_most_specific_counts() -> None:
    rules = index(rule("b", "*.default.svc.cluster.local"), rule("a", "*.default.svc.cluster.local"))
    assert owners(rules) == ["b"]


@pytest.mark.trap(3)
def test_of_one_age_the_name_decides() -> None:
    younger, older = read(rule("b", "reviews"), rule("a", "reviews"))
    rules = VirtualServiceIndex([younger.stamped(1), older.stamped(1)], "default")
    assert owners(rules) == ["a", "b"]


def test_private_comes_before_named_before_public() -> None:
    rules = index(
        rule("public", "reviews"),
        rule("named", REVIEWS, namespace="other", exportTo=["default"]),
        rule("private", "reviews", exportTo=[".", "elsewhere"]),
    )
    assert owners(rules) == ["private", "named", "public"]


def test_what_is_not_exported_to_the_client_is_not_there() -> None:
    rules = index(rule("a", REVIEWS, namespace="other", exportTo=["."]), rule("b", REVIEWS, exportTo=["~"]))
    assert owners(rules) == []


def test_rules_for_gateways_do_not_concern_sidecars() -> None:
    (written,) = read(rule("a", "reviews"))
    bound = written.spec.model_copy(update={"gateways": ("ingress",)})
    mixed = written.spec.model_copy(update={"gateways": ("ingress", "mesh")})

    def with_spec(spec: Any) -> VirtualServiceIndex:
        object.__setattr__(written, "spec", spec)
        return VirtualServiceIndex([written], "default")

    assert owners(with_spec(bound)) == []
    assert owners(with_spec(mixed)) == ["a"]


def test_literal_hosts_are_those_that_no_service_matches() -> None:
    rules = index(
        rule("a", "reviews", "api.example.com", "reviews.default"),
        rule("b", "*.default.svc.cluster.local", "*.example.org", "api.example.com"),
    )
    literal = {host: [rule.name for rule in claimants] for host, claimants in rules.literal_hosts([REVIEWS])}
    assert literal == {"api.example.com": ["a", "b"], "reviews.default": ["a"], "*.example.org": ["b"]}


def test_a_host_without_routes_for_requests_is_no_host_of_requests() -> None:
    """Names of TLS, say: requests to them go where they went before."""
    route = {"match": [{"sniHosts": ["*.example.com"]}], **to("secure")}
    (written,) = read(virtual_service("a", hosts=["*.example.com", "a.example.org"], http=[], tls=[route]))
    assert list(VirtualServiceIndex([written], "default").literal_hosts([])) == []


HOSTS = st.sampled_from(["a", "b", "ab"]).flatmap(
    lambda last: st.lists(st.sampled_from(["a", "b"]), min_size=1, max_size=3).map(
        lambda parts: ".".join([*parts, last])
    )
)
WILDCARDS = HOSTS.map(lambda host: f"*.{host}")


@given(needle=HOSTS, patterns=st.lists(st.one_of(HOSTS, WILDCARDS), max_size=6, unique=True))
def test_finds_what_the_general_lookup_finds(needle: str, patterns: list[str]) -> None:
    rules = index(*[rule(f"r{number}", pattern) for number, pattern in enumerate(patterns)])
    expected = most_specific(needle, patterns)
    assert owners(rules, needle) == ([f"r{patterns.index(expected)}"] if expected else [])
