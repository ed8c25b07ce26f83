from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.identity.pki import DAY, NOW, RATINGS, REVIEWS, TRUST_DOMAIN, Clock

from mizzen.identity import Authority, HealthState, IssueError, KeyMaterial, new_request, renewal
from mizzen.identity.health import duration
from mizzen.identity.renewal import Window
from mizzen.registry.reports import IssuedCertificate

WINDOW = Window(NOW, NOW + DAY)
_CHANCES = st.floats(0, 1, exclude_max=True)


@pytest.mark.parametrize(("chance", "share"), [(0.0, 0.4), (0.5, 0.5), (0.75, 0.55)])
def test_renewal_is_at_half_life_give_or_take_a_tenth(chance: float, share: float) -> None:
    assert renewal.renew_at(WINDOW, chance) == pytest.approx(NOW + share * DAY)


@given(st.floats(3, 90 * DAY), _CHANCES)
def test_renewal_is_always_before_the_certificate_is_overdue(length: float, chance: float) -> None:
    window = Window(NOW, NOW + length)
    moment = renewal.renew_at(window, chance)
    assert moment >= NOW + 1
    assert renewal.health(window, "", moment).state is HealthState.OK


@given(st.floats(0, 1), _CHANCES)
def test_a_certificate_that_hardly_lives_does_not_make_a_busy_loop(length: float, chance: float) -> None:
    assert renewal.renew_at(Window(NOW, NOW + length), chance) >= NOW + 1


@given(st.integers(1, 100_000), st.one_of(st.none(), st.floats(0, 90 * DAY)), _CHANCES)
def test_retries_wait_longer_but_never_too_long(failures: int, length: float | None, chance: float) -> None:
    window = None if length is None else Window(NOW, NOW + length)
    delay = renewal.retry_delay(failures, window, chance)
    assert 0.125 <= delay <= 30
    assert delay <= renewal.retry_delay(failures + 1, window, chance)
    if length is not None and length > 10:
        assert delay <= length / 20


def test_retries_double() -> None:
    assert [renewal.retry_delay(failures, None, 1.0) for failures in range(1, 10)] == [
        0.25, 0.5, 1, 2, 4, 8, 16, 30, 30,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("after", "state", "words"),
    [
        (0, HealthState.OK, ""),
        (0.69, HealthState.OK, ""),
        (0.7, HealthState.EXPIRING, "expires in 7 h 12 min and could not be renewed: no route"),
        (1.0, HealthState.EXPIRED, "expired 0 s ago: no route"),
        (1.5, HealthState.EXPIRED, "expired 12 h ago: no route"),
    ],
)
def test_health_worsens_with_time(after: float, state: HealthState, words: str) -> None:
    health = renewal.health(WINDOW, "no route", NOW + after * DAY)
    assert health.state is state
    assert words in health.message
    assert health.not_after == NOW + DAY
    assert health.ok == (state is HealthState.OK)


def test_health_before_the_first_certificate() -> None:
    assert renewal.health(None, "", NOW).message == "no certificate yet"
    health = renewal.health(None, "no route", NOW)
    assert (health.state, health.message, health.not_after) == (
        HealthState.PENDING,
        "no certificate yet: no route",
        None,
    )


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.3, "0 s"), (1, "1 s"), (61, "1 min 1 s"), (3600, "1 h"), (3601, "1 h"), (90000, "1 d 1 h"), (86400 * 3, "3 d")],
)
def test_durations_are_for_people(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.fixture
def issued(tmp_path: Path) -> tuple[str, IssuedCertificate]:
    authority = Authority.open(tmp_path / "ca", TRUST_DOMAIN, clock=Clock())
    request = new_request(REVIEWS)
    return request.key, authority.sign(request.csr, REVIEWS, DAY)


def test_a_good_answer_is_accepted(issued: tuple[str, IssuedCertificate]) -> None:
    key, answer = issued
    assert renewal.accept(answer, key, REVIEWS, NOW) == Window(NOW, NOW + DAY)


def test_answers_that_would_break_a_proxy_are_refused(issued: tuple[str, IssuedCertificate]) -> None:
    key, answer = issued
    with pytest.raises(IssueError, match=r"not for spiffe://.*/ratings"):
        renewal.accept(answer, key, RATINGS, NOW)
    with pytest.raises(IssueError, match="another key"):
        renewal.accept(answer, new_request(REVIEWS).key, REVIEWS, NOW)
    for now in (NOW - 61, NOW + DAY):
        with pytest.raises(IssueError, match="check the clocks"):
            renewal.accept(answer, key, REVIEWS, now)
    for damage in ({"chain": ""}, {"roots": ""}, {"chain": answer.chain[:100]}, {"roots": "x"}):
        with pytest.raises(IssueError, match="not in PEM"):
            renewal.accept(msgspec.structs.replace(answer, **damage), key, REVIEWS, NOW)


def test_a_key_does_not_show_when_it_is_printed() -> None:
    assert "hidden" not in repr(KeyMaterial("hidden", "chain", "roots"))
