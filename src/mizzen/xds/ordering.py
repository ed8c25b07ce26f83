"""Make before break: which responses may go to one proxy now. Pure; the time is an argument.

Nothing here remembers a "push in progress": each time, what the proxy holds is compared with the newest configuration
only, so a newer snapshot simply takes the place of an older one. Of what is outstanding the earliest version is kept that
has it, so that a version can be told to be had. Three rules give the order:

- Clusters go first, endpoints at once (an updated cluster's always again: it warms until it gets them), listeners, then
  routes (those of TCP are filters), and of each type one response at a time, so that a slow proxy skips versions rather
  than queueing them.
- A listener or route waits while it names a cluster that is not usable: not sent, not acknowledged, or
  without its endpoints. Envoy does not check (``validate_clusters`` is off), it would answer 503 NC. What names no such
  cluster does not wait; what names a cluster that the proxy rejected, and has no older version of, is held back.
- A removed listener goes after those that are new in the same version or before, a removed cluster when no listener or
  route configuration that the proxy may still be using names it: the proxy has acknowledged the routes without it, or has
  let go of the routes by itself. A route that names it in its newest form is to lead nowhere, and does not keep it.

A proxy that does not answer holds up no new resource for longer than ``patience`` seconds. The removal of a cluster may
wait for longer: nothing waits for it.

What Envoy 1.40 does (tried; ``tests/envoy/test_xds.py`` holds it to it):

- It withholds the ACK of a CDS response until the clusters in it are warm, so that ACK means "routes may use them"; only
  while it initialises it acknowledges at once, and asks for listeners when the clusters are ready.
- It does not ask again for the endpoints of an updated cluster, and warms for 15 s (``initial_fetch_timeout``) unless
  they are sent again; the old form of the cluster serves meanwhile.
- A removed listener drains with its route configuration, and unsubscribes from it at the end of the drain time.
- On a reconnect it sends its requests for clusters, endpoints, listeners, routes and filters one after the other at once.
- It rejects a second listener at an address that is taken, even if the first is to be removed.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass
from functools import partial
from math import inf
from typing import Final

from mizzen.compile.resource import CLUSTER, ENDPOINTS, FILTERS, LISTENER, ROUTES, SECRET, TypeUrl, XdsResource
from mizzen.xds.exchange import Answer, Batch, Missing
from mizzen.xds.facts import PARENTS, AssignmentNames, Mentions, address_taken, needle
from mizzen.xds.source import Config
from mizzen.xds.subscription import Subscription

_USERS: Final = (LISTENER, ROUTES, FILTERS)
"""The types whose resources name clusters."""
_ORDERED: Final = (CLUSTER, ENDPOINTS, *_USERS)
_NOTHING: Final[Mapping[str, XdsResource]] = {}


@dataclass(frozen=True, slots=True)
class Response:
    """What to send: the content, and the number that its reply will carry as nonce."""

    type_url: TypeUrl
    number: int
    batch: Batch


@dataclass(slots=True)
class _Warming:
    """An assignment that a cluster, sent in response ``number``, waits for until ``deadline``.

    ``since`` is the earliest version that has that form of the cluster. It is ``due`` until the proxy is subscribed to
    it: a proxy that reconnects may be sent an updated cluster before it says that it has the assignment.
    """

    number: int
    deadline: float
    since: int
    due: bool = True


class Ordering:
    """All subscriptions of one proxy on one stream, and what it should have.

    ``one_at_a_time`` is for clients of the state-of-the-world protocol, whose every response says everything.
    """

    def __init__(self, names: AssignmentNames, *, patience: float, one_at_a_time: bool = False) -> None:
        self.subscriptions: dict[TypeUrl, Subscription] = {}
        self.config: Config | None = None
        self._names = names
        self._patience = patience
        self._one_at_a_time = one_at_a_time
        self._number = 0
        self._target = self._changed_since = 0
        self._warming: dict[str, _Warming] = {}  # by the name of the assignment
        # The listeners that were sent on this stream, each with the earliest version that has it so.
        self._listeners: dict[str, tuple[XdsResource, int]] = {}
        # What the latest resources name, since that is asked much more often than it changes.
        self._asked: dict[TypeUrl, tuple[Mapping[str, XdsResource], Container[str]]] = {}
        self._used: tuple[tuple[XdsResource, ...], Mentions] = ((), Mentions(()))
        self._blocked = False
        self._removing_from: float | None = None
        self._binding_again: float | None = None

    def subscription(self, type_url: TypeUrl) -> Subscription:
        if type_url not in self.subscriptions:
            self.subscriptions[type_url] = Subscription(type_url)
        return self.subscriptions[type_url]

    def reply(self, type_url: TypeUrl, number: int, error: str | None) -> list[Answer]:
        """Takes the proxy's reply to a response; see :meth:`Subscription.reply`."""
        subscription = self.subscription(type_url)
        answers = subscription.reply(number, error)
        for answer in answers:
            if type_url == ENDPOINTS and answer.accepted:
                self._warmed(answer)
            elif type_url == CLUSTER and not answer.accepted:
                self._warming = {n: w for n, w in self._warming.items() if w.number != answer.number}
            elif type_url == LISTENER and answer.accepted and answer.batch.removed:
                # A listener may have been refused because the one that has just gone held its address.
                subscription.retry()
        return answers

    def _warmed(self, answer: Answer) -> None:
        for resource in answer.batch.updates:
            warming = self._warming.get(resource.name)
            if warming and warming.number < answer.number:
                del self._warming[resource.name]

    def take(self, now: float) -> list[Response]:
        """Returns the responses that may go now, in order, and counts them as sent."""
        if self.config is None:
            return []
        if self.config.version != self._target:
            # What comes with this version may have come with one in between that was skipped.
            self._changed_since = self._target + 1 if self._target else self.config.version
            self._target = self.config.version
        self._blocked = False
        self._bind_again(now)
        self._warming = {name: warming for name, warming in self._warming.items() if warming.deadline > now}
        return [
            *self._send_updates(CLUSTER, now),
            *self._send_endpoints(now),
            *(response for type_url in _USERS for response in self._send_updates(type_url, now)),
            *self._send_others(now),
            *self._remove(LISTENER, now),
            *self._remove(CLUSTER, now),
        ]

    def deadline(self, now: float) -> float | None:
        """Returns when :meth:`take` should be called again even if nothing happens; None if that is not needed."""
        moments = [warming.deadline for warming in self._warming.values()]
        moments += [at for at in (self._removing_from, self._binding_again) if at is not None and at > now]
        if self._blocked:
            for subscription in self.subscriptions.values():
                moments += [sent + self._patience for sent in subscription.sent_since(self._since(now))]
        return min(moments, default=None)

    def behind(self) -> dict[TypeUrl, int]:
        """Returns the types of which the proxy has yet to be sent, or to answer, something, each with the earliest
        version that has it.

        So a version is had in full although newer ones are on the way, as they always are in a busy mesh. What the proxy
        refused does not count, nor what is held back because of that, nor removals that wait for the proxy to let go of
        something by itself.
        """
        if self.config is None:
            return {}
        unusable = self._refused_clusters()
        versions: dict[TypeUrl, list[int]] = {}
        for type_url, subscription in self.subscriptions.items():
            versions[type_url] = [*subscription.unanswered(), *_unsent(subscription, unusable)]
            if type_url in (LISTENER, CLUSTER):
                versions[type_url] += [subscription.since[name] for name in self._removable(type_url)]
        versions.setdefault(ENDPOINTS, []).extend(warming.since for warming in self._warming.values())
        return {type_url: min(since) for type_url, since in versions.items() if since}

    # --- make

    def _bind_again(self, now: float) -> None:
        """Has listeners sent again, now and then, whose address somebody else had."""
        listeners = self.subscriptions.get(LISTENER)
        if listeners is None or not any(address_taken(refusal.message) for refusal in listeners.refused.values()):
            self._binding_again = None
        elif self._binding_again is None:
            self._binding_again = now + self._patience
        elif self._binding_again <= now:
            self._binding_again = None
            listeners.retry()

    def _refreshed(self, type_url: TypeUrl) -> Subscription | None:
        """Returns the subscription, if the proxy has one, with its ``todo`` up to date."""
        subscription = self.subscriptions.get(type_url)
        if subscription is None or self.config is None:
            return None
        resources = self.config.resources
        parents = resources.get(PARENTS[type_url], _NOTHING) if type_url in PARENTS else _NOTHING

        def fallback(name: str, held: bool) -> XdsResource | Missing:
            return _missing(
                type_url, name, lambda: not held or name in parents or name in self._asked_by(type_url, parents)
            )

        subscription.refresh(
            resources.get(type_url, _NOTHING),
            parents,
            fallback,
            self._changed_since,
            partial(self._asked_since, type_url),
        )
        return subscription if subscription.started else None

    def _asked_since(self, type_url: TypeUrl, name: str) -> int:
        """Returns the earliest version because of which the proxy may ask for a name now.

        Of endpoints it is the cluster's, which is warming until they come.
        """
        if type_url not in (ROUTES, FILTERS):
            return self._changed_since
        named = needle(name)
        found = (since for listener, since in self._listeners.values() if named in listener.body)
        return min(found, default=self._changed_since)

    def _asked_by(self, type_url: TypeUrl, parents: Mapping[str, XdsResource]) -> Container[str]:
        """Returns the names of this type that its parents make the proxy ask for."""
        known = self._asked.get(type_url)
        if known is None or known[0] is not parents:
            known = self._asked[type_url] = (parents, self._names_in(type_url, parents))
        return known[1]

    def _names_in(self, type_url: TypeUrl, parents: Mapping[str, XdsResource]) -> Container[str]:
        if type_url != ENDPOINTS:
            return Mentions(parents.values())
        return {name for name in map(self._names.of, parents.values()) if name}

    def _send_updates(self, type_url: TypeUrl, now: float) -> list[Response]:
        subscription = self._refreshed(type_url)
        if subscription is None or not (subscription.todo or subscription.greeting):
            return []
        names = [name for name, resource in subscription.todo.items() if resource is not None]
        if not names and not subscription.greeting:
            return []
        if type_url in _USERS:
            ready = self._ready(subscription, names, now)
            self._blocked |= len(ready) < len(names)
            if names and not ready:
                return []
            names = ready
        # With them, since in a busy mesh the turn of removals alone might never come.
        return self._send(subscription, [*names, *self._removable_now(type_url, now)], now)

    def _send_endpoints(self, now: float) -> list[Response]:
        endpoints = self.subscriptions.get(ENDPOINTS)
        if endpoints is None:
            return []
        for name, warming in self._warming.items():
            if warming.due:
                warming.due = not endpoints.force(name)
        return self._send_updates(ENDPOINTS, now)

    def _send(self, subscription: Subscription, names: list[str], now: float) -> list[Response]:
        if subscription.sent_since(self._since(now)):
            self._blocked = True
            return []
        batches = subscription.batches(names, one_at_a_time=self._one_at_a_time)
        if not batches and subscription.greeting:
            batches = [Batch()]
        return [self._sent(subscription, batch, now) for batch in batches]

    def _sent(self, subscription: Subscription, batch: Batch, now: float) -> Response:
        self._number += 1
        since = subscription.send(self._number, batch, now)
        if subscription.type_url == CLUSTER:
            self._warm(batch, now, since)
        elif subscription.type_url == LISTENER:
            self._listeners.update({listener.name: (listener, since) for listener in batch.updates})
            for name in batch.removed:
                self._listeners.pop(name, None)
        return Response(subscription.type_url, self._number, batch)

    def _warm(self, batch: Batch, now: float, since: int) -> None:
        for cluster in batch.updates:
            name = self._names.of(cluster)
            if name is not None:
                self._warming[name] = _Warming(self._number, now + self._patience, since)

    def _send_others(self, now: float) -> list[Response]:
        responses = []
        for type_url in [type_url for type_url in self.subscriptions if type_url not in _ORDERED]:
            subscription = self._refreshed(type_url)
            if subscription and (subscription.todo or subscription.greeting):
                responses += self._send(subscription, list(subscription.todo), now)
        return responses

    def _ready(self, subscription: Subscription, names: list[str], now: float) -> list[str]:
        unusable = [needle(name) for name in self._unusable_clusters(now)]
        if not unusable:
            return names
        bodies = ((name, subscription.todo[name]) for name in names)
        return [name for name, item in bodies if item and not any(cluster in item.body for cluster in unusable)]

    def _unusable_clusters(self, now: float) -> set[str]:
        """Returns the clusters that this proxy is to have and that no route may use yet."""
        subscription = self.subscriptions.get(CLUSTER)
        if subscription is None:
            return set()
        clusters = {name for name, item in subscription.todo.items() if item is not None}
        clusters |= {cluster.name for cluster in subscription.in_flight(self._since(now))}
        if self._warming:
            known = (cluster for cluster in subscription.present() if cluster.body)
            clusters |= {cluster.name for cluster in known if self._names.of(cluster) in self._warming}
        return clusters | self._refused_clusters()

    def _refused_clusters(self) -> set[str]:
        """Returns the clusters that the proxy refused and has no older version of."""
        subscription = self.subscriptions.get(CLUSTER)
        if subscription is None:
            return set()
        return {name for name, refusal in subscription.refused.items() if refusal.resource and not refusal.held}

    # --- break

    def _remove(self, type_url: TypeUrl, now: float) -> list[Response]:
        names = self._removable_now(type_url, now)
        return self._send(self.subscriptions[type_url], names, now) if names else []

    def _removable_now(self, type_url: TypeUrl, now: float) -> list[str]:
        """Returns the names of this type that may be removed now."""
        subscription = self.subscriptions.get(type_url)
        if subscription is None or type_url not in (LISTENER, CLUSTER):
            return []
        if type_url == CLUSTER and subscription.resumed and not self._introduced(now):
            return []
        removable = self._removable(type_url)
        if type_url == CLUSTER or not removable:
            return removable
        oldest = min((since for user in self._users() for since in user.unanswered(self._since(now))), default=inf)
        names = [name for name in removable if subscription.since[name] < oldest]
        self._blocked |= len(names) < len(removable)
        return names

    def _introduced(self, now: float) -> bool:
        """Whether a proxy that reconnects has said which listeners and routes it has.

        Its requests come one after the other, that for clusters first. One without any routes says nothing of them.
        """
        if self._removing_from is None:
            self._removing_from = now + self._patience
        # Filters are not asked for where there is no TCP.
        filters = self.config is not None and self.config.resources.get(FILTERS)
        users = [self.subscriptions.get(one) for one in _USERS if one != FILTERS or filters]
        return now >= self._removing_from or all(user and user.started for user in users)

    def _removable(self, type_url: TypeUrl) -> list[str]:
        """Returns the names of this type that may be removed as far as the proxy's replies go."""
        subscription = self.subscriptions.get(type_url)
        if subscription is None:
            return []
        names = [name for name, item in subscription.todo.items() if item is None]
        if not names or type_url == CLUSTER:
            return self._unnamed(names)
        unusable = self._refused_clusters()
        oldest = min((since for user in self._users() for since in _unsent(user, unusable)), default=inf)
        return [name for name in names if subscription.since[name] < oldest]

    def _unnamed(self, names: list[str]) -> list[str]:
        """Returns those of these clusters that no listener or route configuration of the proxy names that is to go or to change.

        Of a resource that the proxy brought along from before a reconnect, or may have applied although it rejected the
        response, the content is not known: it may name any.
        """
        if not names:
            return []
        users = self._users()
        resources = tuple(
            r for user in users for r in (*user.present(), *user.in_flight()) if not self._is_newest(user.type_url, r)
        )
        if not all(r.body for r in resources) or any(user.doubtful for user in users):
            return []
        if self._used[0] != resources:
            self._used = (resources, Mentions(resources))
        return [name for name in names if name not in self._used[1]]

    def _is_newest(self, type_url: TypeUrl, resource: XdsResource) -> bool:
        wanted = self.config.resources.get(type_url, _NOTHING).get(resource.name) if self.config else None
        return wanted is not None and wanted.version == resource.version

    def _users(self) -> list[Subscription]:
        return [self.subscriptions[type_url] for type_url in _USERS if type_url in self.subscriptions]

    def _since(self, now: float) -> float:
        """What was sent before this moment is waited for no longer."""
        return now - self._patience


def _unsent(subscription: Subscription, unusable: set[str]) -> list[int]:
    """Returns the earliest version that has it, for each resource that is to be sent and names no such cluster."""
    todo = subscription.todo.items()
    return [subscription.since[name] for name, item in todo if item and not _names_any(item, unusable)]


def _names_any(resource: XdsResource, clusters: set[str]) -> bool:
    return any(needle(name) in resource.body for name in clusters)


def _missing(type_url: TypeUrl, name: str, named: Callable[[], bool]) -> XdsResource | Missing:
    """Says what to tell a proxy about a resource that its configuration lacks; ``named`` says whether a parent asks for it.

    Endpoints, routes and filters are never removed: Envoy lets go of them with the cluster or listener that named them, after
    draining; until then its requests need them. If that parent is to stay, they are emptied. A secret that is missing
    is on its way.
    """
    if type_url == SECRET:
        return Missing.LEAVE
    if type_url not in PARENTS:
        return Missing.TELL
    if not named():
        return Missing.LEAVE
    # Here, because a node serves secrets alone, and would load the compiler with its start for nothing.
    from mizzen.compile.nothing import build_nothing

    return build_nothing(type_url, name)
