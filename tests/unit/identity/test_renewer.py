"""The renewer in virtual time (looptime): a day takes no time, and the certificates are real."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path

import pytest
from tests.unit.identity.pki import NOW, RATINGS, REVIEWS, TRUST_DOMAIN, certificates, verify

from mizzen.identity import Authority, HealthState, IssueError, KeyMaterial, Renewer, RequestRefusedError, new_request
from mizzen.identity.rotation import MARGIN
from mizzen.mesh.spiffe import SpiffeId
from mizzen.registry.reports import IssuedCertificate

# A short life keeps the tests fast: the renewer looks at the wall clock twice a minute.
HOUR = 3600.0

pytestmark = pytest.mark.looptime


class Node:
    """A renewer, an authority that can be told to fail, and what was published."""

    def __init__(self, folder: Path, lifetime: float = HOUR) -> None:
        self.ahead = 0.0
        self.lifetime = lifetime
        self.authority = Authority.open(folder, TRUST_DOMAIN, clock=self.clock)
        self.failure: Exception | None = None
        self.hang = False
        self.asked: list[tuple[float, SpiffeId]] = []
        self.published: list[tuple[float, SpiffeId, KeyMaterial]] = []
        self.renewer = Renewer(issue=self.issue, publish=self.publish, clock=self.clock, chance=random.Random(1))

    def clock(self) -> float:
        """Wall time: virtual as soon as the test runs; fixtures are made at its beginning."""
        try:
            passed = asyncio.get_running_loop().time()
        except RuntimeError:
            passed = 0.0
        return NOW + self.ahead + passed

    async def issue(self, csr: str, identity: SpiffeId) -> IssuedCertificate:
        self.asked.append((self.clock() - NOW, identity))
        await asyncio.sleep(0)
        if self.hang:
            await asyncio.Event().wait()
        if self.failure:
            raise self.failure
        return self.authority.sign(csr, identity, self.lifetime)

    def publish(self, identity: SpiffeId, material: KeyMaterial) -> None:
        self.published.append((self.clock() - NOW, identity, material))

    def state(self, identity: SpiffeId = REVIEWS) -> HealthState:
        return self.renewer.health()[identity].state

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(self.renewer.run())
            yield
            task.cancel()


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path / "ca")


async def test_a_certificate_is_there_at_once_and_renewed_at_half_life(node: Node) -> None:
    node.renewer.add(REVIEWS)
    assert node.state() is HealthState.PENDING
    async with node.running():
        await node.renewer.ready(REVIEWS)
        assert node.clock() == NOW
        await asyncio.sleep(3 * HOUR)
    times = [moment for moment, _, _ in node.published]
    assert 5 <= len(times) <= 8
    assert all(0.4 * HOUR <= later - sooner <= 0.6 * HOUR + 1 for sooner, later in pairwise(times))
    assert node.state() is HealthState.OK


async def test_each_renewal_has_a_new_key_and_a_valid_certificate(node: Node) -> None:
    node.renewer.add(REVIEWS)
    async with node.running():
        await asyncio.sleep(2 * HOUR)
    assert len({material.key for _, _, material in node.published}) == len(node.published) > 2
    for moment, identity, material in node.published:
        assert verify(material.chain, material.roots, NOW + moment) == [str(identity)]


async def test_identities_that_start_together_do_not_ask_together(node: Node) -> None:
    crowd = [SpiffeId(TRUST_DOMAIN, "default", f"account-{number}") for number in range(20)]
    for identity in crowd:
        node.renewer.add(identity)
    async with node.running():
        await asyncio.sleep(0.7 * HOUR)
    second = sorted(moment for moment, _ in node.asked if moment > 0)
    assert len(second) == 20
    assert second[-1] - second[0] > 0.1 * HOUR


async def test_identities_come_and_go_while_it_runs(node: Node) -> None:
    async with node.running():
        await asyncio.sleep(10)
        node.renewer.add(REVIEWS)
        node.renewer.add(REVIEWS)
        await node.renewer.ready(REVIEWS)
        node.renewer.add(RATINGS)
        await node.renewer.ready(RATINGS)
        assert [identity for _, identity, _ in node.published] == [REVIEWS, RATINGS]
        node.renewer.remove(REVIEWS)
        node.renewer.remove(REVIEWS)
        assert list(node.renewer.health()) == [RATINGS]
        await asyncio.sleep(2 * HOUR)
        assert {identity for _, identity, _ in node.published[2:]} == {RATINGS}
        node.renewer.add(REVIEWS)
        await node.renewer.ready(REVIEWS)


async def test_nothing_is_published_after_a_removal_in_the_middle_of_a_request(node: Node) -> None:
    async with node.running():
        node.renewer.add(REVIEWS)
        while not node.asked:
            await asyncio.sleep(0)
        node.renewer.remove(REVIEWS)
        await asyncio.sleep(100)
    assert node.published == []


async def test_ready_does_not_hang_when_the_identity_is_removed(node: Node) -> None:
    node.failure = IssueError("no")
    async with node.running(), asyncio.TaskGroup() as group:
        node.renewer.add(REVIEWS)
        waiting = group.create_task(_ready(node))
        await asyncio.sleep(5)
        node.renewer.remove(REVIEWS)
        assert await waiting == "removed"


async def _ready(node: Node) -> str:
    try:
        await node.renewer.ready(REVIEWS)
    except KeyError:
        return "removed"
    return "ready"


@pytest.mark.parametrize(
    "failure", [IssueError("away"), ConnectionRefusedError("away"), RequestRefusedError("away"), TimeoutError("away")]
)
async def test_failures_are_tried_again_with_growing_pauses(node: Node, failure: Exception) -> None:
    node.failure = failure
    node.renewer.add(REVIEWS)
    async with node.running():
        await asyncio.sleep(300)
        times = [moment for moment, _ in node.asked]
        assert 12 <= len(times) <= 30
        assert times[1] <= 0.25
        assert all(15 <= later - sooner <= 30.1 for sooner, later in zip(times[-6:], times[-5:], strict=False))
        health = node.renewer.health()[REVIEWS]
        assert health.state is HealthState.PENDING
        assert health.message
        node.failure = None
        await node.renewer.ready(REVIEWS)
        assert node.state() is HealthState.OK
        assert node.clock() <= NOW + 331


async def test_the_old_certificate_stays_while_renewal_fails_and_health_tells(node: Node) -> None:
    node.renewer.add(REVIEWS)
    async with node.running():
        await node.renewer.ready(REVIEWS)
        node.failure = ConnectionRefusedError("no control plane")
        await asyncio.sleep(0.65 * HOUR)
        assert node.state() is HealthState.OK
        assert node.renewer.health()[REVIEWS].message == "no control plane"
        await asyncio.sleep(0.1 * HOUR)
        assert node.state() is HealthState.EXPIRING
        await asyncio.sleep(0.3 * HOUR)
        assert node.state() is HealthState.EXPIRED
        assert len(node.published) == 1
        node.failure = None
        await asyncio.sleep(31)
        assert node.state() is HealthState.OK
        assert len(node.published) == 2
        assert node.renewer.health()[REVIEWS].message == ""


async def test_an_authority_that_never_answers_does_not_stop_it(node: Node) -> None:
    node.hang = True
    node.renewer.add(REVIEWS)
    async with node.running():
        await asyncio.sleep(21)
        assert "did not answer" in node.renewer.health()[REVIEWS].message
        node.hang = False
        await node.renewer.ready(REVIEWS)
        assert node.clock() < NOW + 41


async def test_one_identitys_failure_is_no_others(node: Node) -> None:
    good, bad = REVIEWS, SpiffeId("example.org", "default", "stranger")
    async with node.running():
        node.renewer.add(bad)
        node.renewer.add(good)
        await asyncio.sleep(2 * HOUR)
        assert node.state(good) is HealthState.OK
        assert node.state(bad) is HealthState.PENDING
        assert "trust domain" in node.renewer.health()[bad].message


async def test_an_answer_for_another_key_is_never_published(node: Node) -> None:
    async def mix_up(_csr: str, identity: SpiffeId) -> IssuedCertificate:
        return await node.issue(new_request(identity).csr, identity)

    other = Renewer(issue=mix_up, publish=node.publish, clock=node.clock, chance=random.Random(1))
    other.add(REVIEWS)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(other.run())
        await asyncio.sleep(5)
        task.cancel()
    assert node.asked
    assert node.published == []
    assert "another key" in other.health()[REVIEWS].message


async def test_a_bug_in_issue_is_not_swallowed(node: Node) -> None:
    node.failure = ZeroDivisionError("a bug")
    node.renewer.add(REVIEWS)
    with pytest.raises(ExceptionGroup) as caught:
        await node.renewer.run()
    assert caught.group_contains(ZeroDivisionError)


async def test_short_lives_are_renewed_in_time(tmp_path: Path) -> None:
    node = Node(tmp_path / "ca", lifetime=10)
    node.renewer.add(REVIEWS)
    async with node.running():
        for _ in range(600):
            await asyncio.sleep(0.5)
            assert node.state() is HealthState.OK
    assert 50 <= len(node.published) <= 75


async def test_renew_asks_at_once_and_gets_the_new_roots(node: Node) -> None:
    node.renewer.add(REVIEWS)
    async with node.running():
        await node.renewer.ready(REVIEWS)
        node.authority.rotate_root()
        await asyncio.sleep(60)
        node.renewer.renew()
        await asyncio.sleep(1)
        assert [len(certificates(material.roots)) for _, _, material in node.published] == [1, 2]


async def test_renew_wakes_one_that_waits_to_try_again(node: Node) -> None:
    node.failure = IssueError("away")
    node.renewer.add(REVIEWS)
    async with node.running():
        await asyncio.sleep(200)
        before = len(node.asked)
        node.renewer.renew()
        await asyncio.sleep(0.1)
        assert len(node.asked) == before + 1


async def test_a_suspended_machine_renews_as_soon_as_it_wakes(node: Node) -> None:
    node.renewer.add(REVIEWS)
    async with node.running():
        await node.renewer.ready(REVIEWS)
        await asyncio.sleep(100)
        # The wall clock has gone on; the event loop's stood still.
        node.ahead = 2 * HOUR
        assert node.state() is HealthState.EXPIRED
        await asyncio.sleep(31)
        assert node.state() is HealthState.OK


async def test_it_can_be_started_again(node: Node) -> None:
    node.renewer.add(REVIEWS)
    async with node.running():
        await node.renewer.ready(REVIEWS)
    count = len(node.published)
    await asyncio.sleep(HOUR)
    assert len(node.published) == count
    async with node.running():
        await asyncio.sleep(1)
        assert len(node.published) == count + 1


async def test_two_identities_trust_each_other_all_through_a_root_rotation(node: Node) -> None:
    current: dict[SpiffeId, KeyMaterial] = {}
    async with node.running():
        for identity in (REVIEWS, RATINGS):
            node.renewer.add(identity)
            await node.renewer.ready(identity)
        node.authority.rotate_root()
        for moment in range(int((2 * HOUR + 2 * MARGIN) / 300) + 3):
            await asyncio.sleep(300)
            node.authority.advance()
            current.update((identity, material) for _, identity, material in node.published)
            for one in current.values():
                for other in current.values():
                    assert verify(one.chain, other.roots, node.clock()), moment
    assert node.authority.slots
    assert [slot.name for slot in node.authority.slots.roots] == ["root-2"]
