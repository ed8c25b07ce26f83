"""The rules of a subscription, each by its name in the protocol's specification."""

import pytest

from mizzen.compile.resource import CLUSTER, ENDPOINTS, XdsResource
from mizzen.xds.exchange import ABSENT, Batch, Missing
from mizzen.xds.subscription import Subscription

A, A2, B = XdsResource("a", "1", b"a"), XdsResource("a", "2", b"aa"), XdsResource("b", "1", b"b")


class Conversation:
    """A subscription whose responses are sent as soon as possible, with a configuration that may be replaced."""

    def __init__(self, *resources: XdsResource, type_url: str = CLUSTER, missing: Missing = Missing.TELL) -> None:
        self.subscription = Subscription(type_url)
        self.missing = missing
        self.number = 0
        self.resources: dict[str, XdsResource] = {}
        self.set(*resources)

    def set(self, *resources: XdsResource) -> None:
        self.resources = {resource.name: resource for resource in resources}

    def say(self) -> list[Batch]:
        """Sends what is to be said, and returns it."""
        self.subscription.refresh(self.resources, None, lambda name, held: self.missing, 1, lambda name: 1)
        batches = self.subscription.batches(list(self.subscription.todo), one_at_a_time=False)
        for batch in batches:
            self.number += 1
            self.subscription.send(self.number, batch, 0.0)
        return batches

    def said(self) -> list[tuple[list[str], list[str]]]:
        """Sends what is to be said and has it acknowledged; returns names of updates and of removals."""
        first = self.number + 1
        batches = self.say()
        for number in range(first, self.number + 1):
            self.subscription.reply(number, None)
        return [(sorted(r.name for r in batch.updates), sorted(batch.removed)) for batch in batches]

    def request(
        self, *subscribe: str, unsubscribe: tuple[str, ...] = (), versions: dict[str, str] | None = None
    ) -> list[tuple[list[str], list[str]]]:
        self.subscription.request(subscribe, unsubscribe, versions)
        return self.said()


class TestWildcard:
    def test_first_request_without_names_is_a_legacy_wildcard(self) -> None:
        assert Conversation(A, B).request() == [(["a", "b"], [])]

    def test_asterisk_is_a_wildcard(self) -> None:
        assert Conversation(A, B).request("*") == [(["a", "b"], [])]

    def test_names_added_to_a_legacy_wildcard_leave_it_a_wildcard(self) -> None:
        talk = Conversation(A, B)
        talk.request()
        assert talk.request("a") == [(["a"], [])]
        assert talk.subscription.wildcard

    def test_asterisk_after_a_legacy_wildcard_sends_nothing_again(self) -> None:
        talk = Conversation(A, B)
        talk.request()
        assert talk.request("*") == []

    def test_unsubscribed_asterisk_keeps_the_explicit_names(self) -> None:
        talk = Conversation(A, B)
        talk.request("*", "a")
        assert talk.request(unsubscribe=("*",)) == []
        talk.set(A2, XdsResource("b", "2", b"bb"))
        assert talk.said() == [(["a"], [])]

    def test_no_names_after_names_is_no_wildcard(self) -> None:
        talk = Conversation(A, B)
        talk.request("a")
        talk.request(unsubscribe=("a",))
        assert talk.request() == []
        assert not talk.subscription.wildcard

    def test_removed_resource_is_said_to_be_removed_once(self) -> None:
        talk = Conversation(A, B)
        talk.request()
        talk.set(B)
        assert talk.said() == [([], ["a"])]
        assert talk.said() == []

    def test_asterisk_asked_for_anew_sends_all_anew(self) -> None:
        talk = Conversation(A, B)
        talk.request("*")
        talk.request(unsubscribe=("*",))
        assert talk.request("*") == [(["a", "b"], [])]


class TestNames:
    def test_only_the_names_asked_for_are_sent(self) -> None:
        assert Conversation(A, B).request("b") == [(["b"], [])]

    def test_name_subscribed_again_is_sent_again(self) -> None:
        """ "The server must still provide those resources": the client may have forgotten them."""
        talk = Conversation(A)
        talk.request("a")
        assert talk.request("a") == [(["a"], [])]

    def test_unknown_name_is_told_to_be_absent_and_sent_when_it_appears(self) -> None:
        talk = Conversation()
        assert talk.request("a") == [([], ["a"])]
        assert talk.said() == []
        talk.set(A)
        assert talk.said() == [(["a"], [])]

    def test_missing_name_may_be_left_unanswered(self) -> None:
        assert Conversation(missing=Missing.LEAVE).request("a") == []

    def test_unsubscribed_name_is_not_answered(self) -> None:
        talk = Conversation(A)
        talk.request("a")
        assert talk.request(unsubscribe=("a",)) == []
        talk.set(A2)
        assert talk.said() == []

    def test_phantom_unsubscription_is_ignored(self) -> None:
        talk = Conversation(A)
        talk.request("a")
        assert talk.request(unsubscribe=("x",)) == []

    def test_name_unsubscribed_and_subscribed_again_is_sent_again(self) -> None:
        talk = Conversation(A)
        talk.request("a")
        talk.request(unsubscribe=("a",))
        assert talk.request("a") == [(["a"], [])]

    @pytest.mark.parametrize(("resources", "answer"), [((A, B), (["a"], [])), ((B,), ([], ["a"]))])
    def test_name_unsubscribed_under_a_wildcard_is_answered(
        self, resources: tuple[XdsResource, ...], answer: tuple[list[str], list[str]]
    ) -> None:
        """The client cannot know whether the wildcard covers it, so it is sent or said to be absent."""
        talk = Conversation(*resources)
        talk.request("*", "a")
        assert talk.request(unsubscribe=("a",)) == [answer]
        assert talk.said() == []


class TestReconnect:
    def test_known_versions_are_not_sent_again(self) -> None:
        assert Conversation(A, B).request(versions={"a": "1", "b": "1"}) == []

    def test_known_versions_of_named_resources_are_not_sent_again(self) -> None:
        assert Conversation(A, B).request("a", versions={"a": "1"}) == []

    def test_changed_vanished_and_new_ones_are_told(self) -> None:
        talk = Conversation(A2, B)
        assert talk.request(versions={"a": "1", "z": "1"}) == [(["a", "b"], ["z"])]

    def test_versions_of_names_not_asked_for_are_ignored(self) -> None:
        talk = Conversation(A)
        assert talk.request("a", versions={"z": "1"}) == [(["a"], [])]
        assert [resource.name for resource in talk.subscription.present()] == ["a"]

    def test_versions_count_in_the_first_request_only(self) -> None:
        talk = Conversation(A)
        talk.request()
        talk.set(A2)
        assert talk.request(versions={"a": "2"}) == [(["a"], [])]

    def test_content_is_known_again_where_versions_are_equal(self) -> None:
        talk = Conversation(A)
        talk.request(versions={"a": "1"})
        assert talk.subscription.present() == [A]


class TestGreeting:
    def test_fresh_wildcard_client_gets_a_response_even_if_there_is_nothing(self) -> None:
        talk = Conversation()
        talk.subscription.request(())
        assert talk.subscription.greeting
        talk.subscription.send(1, Batch(), 0.0)
        assert not talk.subscription.greeting

    def test_reconnected_client_does_not(self) -> None:
        talk = Conversation(A)
        talk.subscription.request((), (), {"a": "1"})
        assert not talk.subscription.greeting

    def test_client_that_asks_for_names_does_not(self) -> None:
        talk = Conversation(type_url=ENDPOINTS)
        talk.subscription.request(["a"])
        assert not talk.subscription.greeting


class TestReplies:
    def test_what_is_in_flight_is_not_sent_again(self) -> None:
        talk = Conversation(A)
        talk.subscription.request(())
        assert len(talk.say()) == 1
        assert talk.say() == []
        assert talk.subscription.unanswered()

    def test_reply_to_an_unknown_nonce_is_ignored(self) -> None:
        talk = Conversation(A)
        talk.request()
        assert talk.subscription.reply(77, "bad") == []

    def test_subscription_counts_although_the_nonce_is_stale(self) -> None:
        talk = Conversation(A, B)
        talk.request("a")
        talk.subscription.reply(1, None)
        assert talk.request("b") == [(["b"], [])]

    def test_later_reply_answers_earlier_responses(self) -> None:
        talk = Conversation(A)
        talk.subscription.request(())
        talk.say()
        talk.set(A2)
        talk.say()
        assert [answer.number for answer in talk.subscription.reply(2, None)] == [1, 2]
        assert talk.subscription.held["a"] == A2

    def test_ack_of_a_name_let_go_meanwhile_is_not_remembered(self) -> None:
        talk = Conversation(A)
        talk.subscription.request(["a"])
        talk.say()
        talk.subscription.request((), ["a"])
        talk.subscription.reply(1, None)
        assert talk.subscription.held == {}
        assert talk.request("a") == [(["a"], [])]

    def test_forced_name_is_sent_although_the_proxy_has_it(self) -> None:
        talk = Conversation(A)
        talk.request("a")
        talk.subscription.force("a")
        assert talk.said() == [(["a"], [])]
        talk.subscription.force("not subscribed")
        assert talk.said() == []


class TestRejection:
    def rejected(self) -> Conversation:
        """ "a" and "b" were sent together and rejected."""
        talk = Conversation(A, B)
        talk.subscription.request(())
        talk.say()
        (answer,) = talk.subscription.reply(1, "bad")
        assert answer.refusal is None
        return talk

    def test_resources_of_a_rejected_response_are_sent_one_by_one(self) -> None:
        assert [batch.names() for batch in self.rejected().say()] == [["a"], ["b"]]

    def test_or_one_at_a_time(self) -> None:
        talk = self.rejected()
        talk.subscription.refresh(talk.resources, None, lambda name, held: Missing.TELL, 1, lambda name: 1)
        (batch,) = talk.subscription.batches(["a", "b"], one_at_a_time=True)
        assert batch.names() == ["a"]

    def test_culprit_is_held_back_until_its_version_changes(self) -> None:
        talk = self.rejected()
        talk.say()
        (answer,) = talk.subscription.reply(2, "no good")
        talk.subscription.reply(3, None)
        assert answer.refusal is not None
        assert (answer.refusal.name, answer.refusal.message, answer.refusal.held) == ("a", "no good", None)
        assert talk.said() == []
        talk.set(A2, B)
        assert talk.said() == [(["a"], [])]
        assert talk.subscription.refused == {}

    def test_refusal_tells_what_the_proxy_goes_on_with(self) -> None:
        talk = Conversation(A)
        talk.request()
        talk.set(A2)
        talk.say()
        (answer,) = talk.subscription.reply(2, "no good")
        assert answer.refusal is not None
        assert (answer.refusal.resource, answer.refusal.held) == (A2, A)
        assert talk.subscription.present() == [A]

    @pytest.mark.parametrize("resources", [(A,), ()])
    def test_refusal_ends_when_the_resource_is_taken_back(self, resources: tuple[XdsResource, ...]) -> None:
        talk = Conversation(A)
        talk.request()
        talk.set(A2)
        talk.say()
        talk.subscription.reply(2, "no good")
        talk.set(*resources)
        talk.said()
        assert talk.subscription.refused == {}

    def test_refused_resource_that_vanishes_is_forgotten(self) -> None:
        talk = Conversation(A)
        talk.subscription.request(())
        talk.say()
        talk.subscription.reply(1, "no good")
        talk.set()
        assert talk.said() == []
        assert talk.subscription.refused == {}

    def test_refused_resource_is_sent_when_asked_for_again_or_tried_again(self) -> None:
        talk = Conversation(A)
        talk.subscription.request(["a"])
        talk.say()
        talk.subscription.reply(1, "no good")
        assert talk.say() == []
        talk.subscription.request(["a"])
        assert [batch.names() for batch in talk.say()] == [["a"]]
        talk.subscription.reply(2, "no good")
        talk.subscription.retry()
        assert talk.said() == [(["a"], [])]

    def test_refused_removal_is_not_repeated(self) -> None:
        talk = Conversation(A)
        talk.request()
        talk.set()
        talk.say()
        (answer,) = talk.subscription.reply(2, "in use")
        assert answer.refusal is not None
        assert (answer.refusal.version, answer.refusal.resource) == (ABSENT, None)
        assert talk.say() == []

    def test_rejected_empty_response_names_nothing(self) -> None:
        talk = Conversation()
        talk.subscription.request(())
        talk.subscription.send(1, Batch(), 0.0)
        (answer,) = talk.subscription.reply(1, "bad")
        assert answer.refusal is not None
        assert answer.refusal.name == ""
        assert talk.subscription.refused == {}


class TestStateOfTheWorld:
    """The four requests of the specification's example, and what a response holds."""

    def test_names_replace_names(self) -> None:
        talk = Conversation(A, B)
        talk.subscription.replace([])
        assert talk.said() == [(["a", "b"], [])]
        talk.subscription.replace(["*", "a"])
        assert talk.said() == [(["a"], [])]
        talk.subscription.replace(["a"])
        assert talk.said() == []
        assert not talk.subscription.wildcard
        talk.subscription.replace([])
        talk.set(A2, B)
        assert talk.said() == []

    def test_names_given_up_and_taken_up_again_are_sent_again(self) -> None:
        talk = Conversation(A, B, type_url=ENDPOINTS)
        talk.subscription.replace(["a", "b"])
        talk.said()
        talk.subscription.replace(["a"])
        assert talk.said() == []
        talk.subscription.replace(["a", "b"])
        assert talk.said() == [(["b"], [])]

    def test_acknowledgement_changes_nothing(self) -> None:
        talk = Conversation(A)
        talk.subscription.replace(["a"])
        talk.said()
        talk.subscription.replace(["a"])
        assert talk.said() == []

    def test_view_is_what_the_client_has_after_a_batch(self) -> None:
        talk = Conversation(A, B)
        talk.subscription.replace([])
        talk.said()
        view = talk.subscription.view(Batch((A2,), ("b",)))
        assert view == {"a": A2}
        assert talk.subscription.view(Batch()) == {"a": A, "b": B}
