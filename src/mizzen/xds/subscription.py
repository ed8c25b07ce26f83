"""What one proxy asked for, was sent, and holds, of one type of resource. Pure: no stream, no clock, no I/O.

A :class:`Subscription` is told of requests (:meth:`~Subscription.request`, :meth:`~Subscription.replace`), of replies
(:meth:`~Subscription.reply`) and of what the proxy should have (:meth:`~Subscription.refresh`); it keeps ``todo``: what
remains to be said. When it may be said is the business of ``ordering``, its neighbour above.

The rules are those of the xDS protocol (https://www.envoyproxy.io/docs/envoy/latest/api-docs/xds_protocol), sections
"How the client specifies what resources to return" and "Incremental xDS". A rejection (NACK) is of a whole response:
when it held several resources they are sent again one by one, and only the culprit is held back, until its version
changes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass

from mizzen.compile.resource import TypeUrl, XdsResource
from mizzen.xds.exchange import ABSENT, WILDCARD, Answer, Batch, Fallback, Missing, Refusal

_UNKNOWN = "unknown"
"""No resource's version."""


@dataclass(frozen=True, slots=True)
class _InFlight:
    batch: Batch
    sent: float
    since: int


class Subscription:
    """The state of one proxy and one type. Its attributes are for reading."""

    def __init__(self, type_url: TypeUrl) -> None:
        self.type_url = type_url
        self.wildcard = False
        self.names: set[str] = set()
        self.held: dict[str, XdsResource] = {}
        self.refused: dict[str, Refusal] = {}
        # What was in a rejected response with several resources: the proxy may have applied it or not (Envoy applies
        # the good ones of clusters and listeners). By name, the version; until it is answered for alone.
        self.doubtful: dict[str, str] = {}
        self.todo: dict[str, XdsResource | None] = {}
        # The version of the configuration from which on the proxy is behind with a name in ``todo``.
        self.since: dict[str, int] = {}
        self.greeting = False
        self.resumed = False
        self._legacy = True
        self._started = False
        self._dirty = True
        self._first = True
        self._seen: tuple[object, object] = (None, None)
        self._forced: set[str] = set()
        self._alone: set[str] = set()
        self._in_flight: dict[int, _InFlight] = {}
        self._newest: dict[str, tuple[int, str]] = {}

    # --- what the proxy says

    def request(
        self,
        subscribe: Collection[str],
        unsubscribe: Collection[str] = (),
        versions: Mapping[str, str] | None = None,
    ) -> None:
        """Takes the subscription part of a delta request, which counts however old its nonce is.

        ``versions`` are the ``initial_resource_versions``, of the first request of a stream.
        """
        first, self._started = not self._started, True
        known = versions if first and versions else {}
        if subscribe:
            self._legacy = False
        elif first:
            self.wildcard = True
        for name in subscribe:
            self._subscribe(name, known)
        for name in unsubscribe:
            self._unsubscribe(name)
        for name, version in known.items():
            if self.wildcard or name in self.names:
                self.held[name] = XdsResource(name, version, b"")
        if first:
            # A fresh Envoy initialises only after a response; one that knows resources has initialised long ago.
            self.greeting = self.wildcard and not self.held
            self.resumed = bool(self.held)
        if first or subscribe or unsubscribe:
            self._dirty = True

    def replace(self, names: Collection[str]) -> None:
        """Takes the names of a state-of-the-world request: all that the client wants, not what changes."""
        if self._legacy and not names:
            self.request(())
            return
        wanted = set(names)
        gone = self.names - wanted
        if self.wildcard and WILDCARD not in wanted:
            gone.add(WILDCARD)
        added = wanted - self.names - ({WILDCARD} if self.wildcard else set())
        self._legacy = False
        if added or gone or not self._started:
            self.request(added, gone)

    def _subscribe(self, name: str, known: Mapping[str, str]) -> None:
        if name == WILDCARD:
            self.wildcard = True
            return
        self.names.add(name)
        self.refused.pop(name, None)
        if name not in known:
            # "the server must still provide those resources": the client may have forgotten what we think it has.
            self._forced.add(name)

    def _unsubscribe(self, name: str) -> None:
        if name == WILDCARD:
            self.wildcard = False
            for other in [*self.held, *self._newest, *self._forced, *self.refused, *self.doubtful]:
                if other not in self.names:
                    self._forget(other)
        elif name in self.names:
            self.names.discard(name)
            if self.wildcard:
                # The client cannot know whether the wildcard covers the name: it must be sent, or said to be absent.
                self._forced.add(name)
            else:
                self._forget(name)

    def _forget(self, name: str) -> None:
        self.held.pop(name, None)
        self.refused.pop(name, None)
        self.doubtful.pop(name, None)
        self._newest.pop(name, None)
        self._forced.discard(name)
        self._alone.discard(name)

    def reply(self, number: int, error: str | None) -> list[Answer]:
        """Takes the reply to the response ``number``; ``error`` is None when it was accepted.

        A reply to a later response answers earlier ones as well, should the client have skipped them. A number that
        is not awaited answers nothing.
        """
        if number not in self._in_flight:
            return []
        skipped = [earlier for earlier in self._in_flight if earlier < number]
        answers = [self._accept(earlier) for earlier in skipped]
        answers.append(self._accept(number) if error is None else self._reject(number, error))
        return answers

    def _accept(self, number: int) -> Answer:
        batch = self._take(number).batch
        for resource in batch.updates:
            self.refused.pop(resource.name, None)
            if self.wildcard or resource.name in self.names:
                self.held[resource.name] = resource
        for name in batch.removed:
            if name in self.names:
                self.held[name] = XdsResource(name, ABSENT, b"")
            else:
                self.held.pop(name, None)
        for name in batch.names():
            self._alone.discard(name)
            self.doubtful.pop(name, None)
        return Answer(number, batch, accepted=True)

    def _reject(self, number: int, error: str) -> Answer:
        taken = self._take(number)
        batch = taken.batch
        self._dirty = True
        names = batch.names()
        if len(names) > 1:
            self._alone.update(names)
            self.since.update({name: min(taken.since, self.since.get(name, taken.since)) for name in names})
            for name, version in batch.versions().items():
                if self.wildcard or name in self.names:
                    self.doubtful.setdefault(name, version)
            return Answer(number, batch, accepted=False)
        resource = batch.updates[0] if batch.updates else None
        name = names[0] if names else ""
        refusal = Refusal(name, resource.version if resource else ABSENT, error, resource, self.held.get(name))
        if name:
            self._alone.discard(name)
            self.refused[name] = refusal
            if self.doubtful.get(name) == refusal.version:
                del self.doubtful[name]  # it was the culprit then as it is now
        return Answer(number, batch, accepted=False, refusal=refusal)

    def _take(self, number: int) -> _InFlight:
        taken = self._in_flight.pop(number)
        for name in taken.batch.names():
            if self._newest.get(name, (0, ""))[0] == number:
                del self._newest[name]
        return taken

    # --- what the proxy should be told

    def refresh(
        self,
        resources: Mapping[str, XdsResource],
        parents: object,
        fallback: Fallback,
        since: int,
        asked_since: Callable[[str], int],
    ) -> None:
        """Works out ``todo`` against what the proxy should have: name → the resource to send, or None to remove it.

        ``since`` is the earliest version that may have what is new in ``todo``, and ``asked_since`` returns that of a name
        that the proxy has just asked for. Nothing is done if neither the subscription nor the two mappings (the same
        objects) changed; ``parents`` is whatever else ``fallback`` depends on.
        """
        if not self._started or (not self._dirty and self._seen[0] is resources and self._seen[1] is parents):
            return
        self._dirty, self._seen = False, (resources, parents)
        self.todo = {}
        if self.wildcard:
            for resource in resources.values():
                if not self._settled(resource.name, resource):
                    self._compare(resource.name, resource)
        for name in sorted(self.names - resources.keys() if self.wildcard else self.names):
            wanted = resources.get(name)
            if not self._settled(name, wanted):
                self._compare(name, wanted or fallback(name, self._holds(name)))
        if self.wildcard:
            told = self.held.keys() | self._newest.keys() | self.doubtful.keys() | self._forced
            for name in sorted(told - resources.keys() - self.names):
                self._compare(name, fallback(name, True))
        self._date(since, asked_since)
        self._alone.intersection_update(self.todo.keys() | self._newest.keys())
        for name in self.refused.keys() - resources.keys() - self.names - self.held.keys():
            del self.refused[name]

    def _date(self, since: int, asked_since: Callable[[str], int]) -> None:
        for name in self.since.keys() - self.todo.keys():
            del self.since[name]
        for name in self.todo.keys() - self.since.keys():
            # What a proxy asks for first it may lack since ever: it may have come from another stream.
            self.since[name] = 0 if self._first else asked_since(name) if name in self._forced else since
        self._first = False

    def _settled(self, name: str, wanted: XdsResource | None) -> bool:
        """Whether the proxy holds this very object and nothing else is known of the name: the case of nearly all."""
        return (
            wanted is not None
            and self.held.get(name) is wanted
            and name not in self._newest
            and name not in self._forced
            and name not in self.refused
            and name not in self.doubtful
        )

    def _compare(self, name: str, wanted: XdsResource | Missing) -> None:
        if wanted is Missing.LEAVE:
            self.refused.pop(name, None)
            return
        resource = wanted if isinstance(wanted, XdsResource) else None
        version = resource.version if resource else ABSENT
        held, refusal = self.held.get(name), self.refused.get(name)
        if held is not None and held.version == version and not held.body and resource:
            self.held[name] = resource  # after a reconnect only versions are known: this is what the proxy has
        if refusal and refusal.version == version:
            return
        if refusal:
            del self.refused[name]
        if name in self._forced or self._version(name) != version:
            self.todo[name] = resource

    def _version(self, name: str) -> str | None:
        """The version that the proxy has, or is about to have."""
        if newest := self._newest.get(name):
            return newest[1]
        if name in self.doubtful:
            return _UNKNOWN
        held = self.held.get(name)
        return None if held is None else held.version

    def _holds(self, name: str) -> bool:
        return (self._version(name) or ABSENT) != ABSENT

    def force(self, name: str) -> bool:
        """Has a resource sent even though the proxy has it. Returns False if the proxy is not subscribed to it."""
        if name not in self.names and not (self.wildcard and name in self.held):
            return False
        self._forced.add(name)
        self._dirty = True
        return True

    def retry(self) -> None:
        """Forgets what was refused, so that it is tried once more."""
        if self.refused:
            self.refused.clear()
            self._dirty = True

    def batches(self, names: Iterable[str], *, one_at_a_time: bool) -> list[Batch]:
        """Groups these names of ``todo`` into responses: together, or one by one after a rejection.

        ``one_at_a_time`` returns only the first of several (a state-of-the-world response says everything at once).
        """
        together: list[str] = []
        alone: list[str] = []
        for name in names:
            (alone if name in self._alone else together).append(name)
        groups = [[name] for name in alone]
        if together:
            groups.insert(0, together)
        return [self._batch(group) for group in (groups[:1] if one_at_a_time else groups)]

    def _batch(self, names: list[str]) -> Batch:
        items = [(name, self.todo[name]) for name in names]
        updates = tuple(resource for _, resource in items if resource is not None)
        return Batch(updates, tuple(name for name, resource in items if resource is None))

    def send(self, number: int, batch: Batch, now: float) -> int:
        """Notes that ``batch`` was sent as response ``number``, greater than any before.

        Returns the earliest version that has something of it.
        """
        self.greeting = False
        since = min((self.since[name] for name in batch.names()), default=0)
        self._in_flight[number] = _InFlight(batch, now, since)
        for name, version in batch.versions().items():
            self._newest[name] = (number, version)
            self.todo.pop(name, None)
            del self.since[name]
            self._forced.discard(name)
        return since

    # --- what is known

    @property
    def started(self) -> bool:
        return self._started

    def unanswered(self, moment: float = float("-inf")) -> list[int]:
        """Returns of each response that was sent after ``moment`` and not yet answered the earliest version that has something
        of it.
        """
        return [sent.since for sent in self._in_flight.values() if sent.sent > moment]

    def sent_since(self, moment: float) -> list[float]:
        """Returns when the unanswered responses were sent that were sent after ``moment``."""
        return [sent.sent for sent in self._in_flight.values() if sent.sent > moment]

    def in_flight(self, moment: float = float("-inf")) -> Iterable[XdsResource]:
        """Returns the resources that were sent after ``moment`` and not yet answered."""
        for sent in self._in_flight.values():
            if sent.sent > moment:
                yield from sent.batch.updates

    def present(self) -> list[XdsResource]:
        """Returns the resources that the proxy acknowledged and holds."""
        return [resource for resource in self.held.values() if resource.version != ABSENT]

    def view(self, batch: Batch) -> dict[str, XdsResource]:
        """Returns all that the proxy has once it accepts ``batch`` (what a state-of-the-world response says)."""
        view = {resource.name: resource for resource in self.present()}
        for resource in self.in_flight():
            view[resource.name] = resource
        for resource in batch.updates:
            view[resource.name] = resource
        for name in batch.removed:
            view.pop(name, None)
        return view
