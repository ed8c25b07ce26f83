from __future__ import annotations

import pytest

from mizzen.compile.retries import (
    DEFAULT_CONDITIONS,
    UNDELIVERED_HEADER,
    inbound_retries,
    outbound_retries,
    split_conditions,
)
from mizzen.resources.virtual_service import HTTPRetry


@pytest.mark.trap(14)
def test_the_default_does_not_retry_503() -> None:
    policy = outbound_retries(None)
    assert policy is not None
    assert policy.retry_on == DEFAULT_CONDITIONS + ",retriable-headers"
    assert DEFAULT_CONDITIONS == "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes"
    assert list(policy.retriable_status_codes) == []
    assert policy.num_retries.value == 2
    assert policy.host_selection_retry_max_attempts == 30
    assert not policy.HasField("per_try_timeout")
    assert [one.name for one in policy.retry_host_predicate] == ["envoy.retry_host_predicates.previous_hosts"]


@pytest.mark.trap(14)
def test_no_attempts_is_no_policy() -> None:
    assert outbound_retries(HTTPRetry(attempts=0)) is None


def test_what_a_rule_leaves_out_is_the_default() -> None:
    policy = outbound_retries(HTTPRetry(attempts=7))
    assert policy is not None
    assert policy.retry_on == DEFAULT_CONDITIONS + ",retriable-headers"
    assert policy.num_retries.value == 7
    assert len(policy.retry_host_predicate) == 1


@pytest.mark.parametrize(("ignore", "predicates"), [(None, 1), (True, 1), (False, 0)])
def test_hosts_that_failed_are_avoided_unless_told_otherwise(ignore: bool | None, predicates: int) -> None:
    policy = outbound_retries(HTTPRetry(attempts=1, retry_ignore_previous_hosts=ignore))
    assert policy is not None
    assert len(policy.retry_host_predicate) == predicates


@pytest.mark.parametrize(("retry_on", "also"), [("connect-failure,5xx", True), ("5xx,reset", False)])
def test_what_never_reached_an_application_is_a_failure_to_connect(retry_on: str, also: bool) -> None:
    policy = outbound_retries(HTTPRetry(attempts=1, retry_on=retry_on))
    assert policy is not None
    assert ("retriable-headers" in policy.retry_on) == also
    assert [one.name for one in policy.retriable_headers] == ([UNDELIVERED_HEADER] if also else [])


@pytest.mark.parametrize(("remote", "priority"), [(None, ""), (False, ""), (True, "previous_priorities")])
def test_a_retry_may_go_to_another_place(remote: bool | None, priority: str) -> None:
    policy = outbound_retries(HTTPRetry(attempts=3, retry_remote_localities=remote))
    assert policy is not None
    assert policy.retry_priority.name.removeprefix("envoy.retry_priorities.") == priority


def test_times() -> None:
    policy = outbound_retries(HTTPRetry(attempts=1, per_try_timeout=0.5, backoff=0.01))
    assert policy is not None
    assert policy.per_try_timeout.ToMilliseconds() == 500
    assert policy.retry_back_off.base_interval.ToMilliseconds() == 10


@pytest.mark.parametrize(
    ("retry_on", "conditions", "codes"),
    [
        ("", DEFAULT_CONDITIONS, []),
        ("5xx", "5xx", []),
        ("503", "retriable-status-codes", [503]),
        ("5xx,404,retriable-4xx,409", "5xx,retriable-4xx,retriable-status-codes", [404, 409]),
        ("retriable-status-codes,503", "retriable-status-codes", [503]),
        ("5xx, 503 ,", "5xx,retriable-status-codes", [503]),
    ],
)
def test_status_codes_among_the_conditions(retry_on: str, conditions: str, codes: list[int]) -> None:
    assert split_conditions(retry_on) == (conditions, codes)


def test_before_the_application_only_what_it_has_not_read_is_repeated() -> None:
    policy = inbound_retries()
    assert policy is not None
    assert (policy.retry_on, policy.num_retries.value) == ("reset-before-request", 2)


@pytest.mark.parametrize(
    ("retries", "predicates"),
    [
        (None, 0),
        (HTTPRetry(attempts=1), 0),
        (HTTPRetry(attempts=1, retry_ignore_previous_hosts=False), 0),
        (HTTPRetry(attempts=1, retry_ignore_previous_hosts=True), 1),
    ],
)
def test_what_is_hashed_stays_with_its_endpoint(retries: HTTPRetry | None, predicates: int) -> None:
    policy = outbound_retries(retries, hashed=True)
    assert policy is not None
    assert len(policy.retry_host_predicate) == predicates
