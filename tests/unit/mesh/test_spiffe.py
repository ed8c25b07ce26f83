from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mizzen.mesh.spiffe import SpiffeId, SpiffeIdError, check_trust_domain

_TRUST_DOMAINS = st.text(string.ascii_lowercase + string.digits + ".-_", min_size=1, max_size=255)
_SEGMENTS = st.text(string.ascii_letters + string.digits + ".-_", min_size=1, max_size=800).filter(
    lambda text: text not in {".", ".."}
)


@given(_TRUST_DOMAINS, _SEGMENTS, _SEGMENTS)
def test_an_id_survives_the_round_trip(trust_domain: str, namespace: str, account: str) -> None:
    identity = SpiffeId(trust_domain, namespace, account)
    assert SpiffeId.parse(str(identity)) == identity


@given(st.text())
def test_what_is_accepted_is_never_changed(text: str) -> None:
    for candidate in (text, f"spiffe://cluster.local/ns/{text}/sa/default", f"spiffe://{text}/ns/a/sa/b"):
        try:
            identity = SpiffeId.parse(candidate)
        except SpiffeIdError:
            continue
        assert str(identity) == candidate


@given(st.text(string.ascii_letters + string.digits + "._-/:@%?# é\n\0", max_size=20))
def test_a_segment_is_either_in_form_or_refused(text: str) -> None:
    in_form = bool(text) and set(text) <= set(string.ascii_letters + string.digits + "._-") and text not in {".", ".."}
    try:
        SpiffeId("cluster.local", text, "default")
    except SpiffeIdError:
        assert not in_form
    else:
        assert in_form


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "does not begin with spiffe://"),
        ("https://cluster.local/ns/a/sa/b", "does not begin with spiffe://"),
        ("SPIFFE://cluster.local/ns/a/sa/b", "in lower case"),
        ("spiffe:/cluster.local/ns/a/sa/b", "does not begin"),
        (" spiffe://cluster.local/ns/a/sa/b", "does not begin"),
        ("spiffe:///ns/a/sa/b", "trust domain is empty"),
        ("spiffe://Cluster.local/ns/a/sa/b", "lower-case"),
        ("spiffe://clüster.local/ns/a/sa/b", "lower-case"),
        ("spiffe://cluster.local:8443/ns/a/sa/b", "port"),
        ("spiffe://user@cluster.local/ns/a/sa/b", "user"),
        (f"spiffe://{'a' * 256}/ns/a/sa/b", "at most 255"),
        ("spiffe://cluster.local/ns/a/sa/b?x=1", "query"),
        ("spiffe://cluster.local/ns/a/sa/b?", "query"),
        ("spiffe://cluster.local/ns/a/sa/b#x", "fragment"),
        ("spiffe://cluster.local/ns/a/sa/b%20", "percent"),
        ("spiffe://cluster.local/ns/a/sa/b/", "empty path segment"),
        ("spiffe://cluster.local/ns//sa/b", "empty path segment"),
        ("spiffe://cluster.local/", "empty path segment"),
        ("spiffe://cluster.local/ns/../sa/b", "relative"),
        ("spiffe://cluster.local/ns/./sa/b", "relative"),
        ("spiffe://cluster.local/ns/a/sa/b\n", "only letters"),
        ("spiffe://cluster.local/ns/ä/sa/b", "only letters"),
        ("spiffe://cluster.local", "form"),
        ("spiffe://cluster.local/ns/a", "form"),
        ("spiffe://cluster.local/sa/b/ns/a", "form"),
        ("spiffe://cluster.local/ns/a/sa/b/c", "form"),
        ("spiffe://cluster.local/NS/a/sa/b", "form"),
        (f"spiffe://cluster.local/ns/{'a' * 1000}/sa/{'b' * 1100}", "longer than 2048"),
    ],
)
def test_each_rule_has_its_message(text: str, reason: str) -> None:
    with pytest.raises(SpiffeIdError, match=reason):
        SpiffeId.parse(text)


def test_the_longest_id_is_accepted() -> None:
    frame = len("spiffe://cluster.local/ns/a/sa/")
    assert SpiffeId.parse(f"spiffe://cluster.local/ns/a/sa/{'b' * (2048 - frame)}")
    with pytest.raises(SpiffeIdError, match="at most 2048"):
        SpiffeId("cluster.local", "a", "b" * (2049 - frame))


def test_the_message_names_the_text_but_not_all_of_a_long_one() -> None:
    with pytest.raises(SpiffeIdError) as caught:
        SpiffeId.parse("x" * 100_000)
    assert len(str(caught.value)) < 200


def test_a_trust_domain_by_itself_is_checked() -> None:
    check_trust_domain("td-1.example_org")
    for bad in ("", "A", "a/b", "a b", "spiffe://a"):
        with pytest.raises(SpiffeIdError):
            check_trust_domain(bad)


def test_ids_are_values() -> None:
    assert len({SpiffeId("a", "b", "c"), SpiffeId("a", "b", "c")}) == 1
    assert min(SpiffeId("a", "c", "b"), SpiffeId("a", "b", "c")).namespace == "b"
