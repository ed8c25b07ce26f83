"""One proxy on one stream: its ordering, its status, what it rejected. No I/O; the stream that drives it is ``stream``.

The two variants of the protocol differ in how a request changes a subscription and how a response is written; that is a
:class:`Dialect` (``delta``, ``sotw``). All else is here, once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import structlog

from mizzen.compile.resource import CLUSTER, ENDPOINTS, LISTENER, ROUTES, SHORT_NAMES, TypeUrl
from mizzen.stubs.envoy.config.core.v3 import base_pb2
from mizzen.xds.exchange import Answer, Refusal
from mizzen.xds.facts import AssignmentNames
from mizzen.xds.ordering import Ordering, Response
from mizzen.xds.source import Config, ConfigSource, Node
from mizzen.xds.status import Fleet, ProxyStatus, Rejection, Standing, State, TypeStatus
from mizzen.xds.subscription import Subscription
from mizzen.xds.wire import Encoder

log = structlog.get_logger(__name__)


class Request(Protocol):
    """What requests of both variants have in common."""

    @property
    def node(self) -> base_pb2.Node: ...
    @property
    def type_url(self) -> str: ...
    @property
    def response_nonce(self) -> str: ...
    @property
    def error_detail(self) -> Any: ...
    def HasField(self, field_name: Any) -> bool: ...  # noqa: N802 - protobuf's


RequestT = TypeVar("RequestT", bound=Request)


class Dialect(Protocol[RequestT]):
    """One variant of the protocol."""

    one_at_a_time: bool
    """Whether each response says everything, so that a second one cannot be sent before the first is answered."""

    def resumes(self, request: RequestT) -> bool:
        """Whether the first request of a stream says that the proxy has a configuration from an earlier stream."""

    def parse(self, data: bytes) -> RequestT: ...
    def subscribe(self, subscription: Subscription, request: RequestT) -> None: ...
    def encode(self, encoder: Encoder, subscription: Subscription, response: Response, version: str) -> bytes: ...


@dataclass(frozen=True)
class Shared:
    """What all sessions of a server share; ``wall`` is a clock of Unix seconds, ``patience`` in seconds."""

    source: ConfigSource
    fleet: Fleet
    encoder: Encoder
    names: AssignmentNames
    on_rejection: Callable[[Rejection], None]
    patience: float
    wall: Callable[[], float]


@dataclass(slots=True)
class _Times:
    sent: float | None = None
    acked: float | None = None


class ProtocolError(Exception):
    """A client broke the protocol; the text tells it how."""


class Session(Generic[RequestT]):
    """The state of one stream. A session belongs to one proxy from its first request on."""

    def __init__(self, shared: Shared, dialect: Dialect[RequestT], only: TypeUrl | None) -> None:
        self._shared = shared
        self._dialect = dialect
        self._only = only
        self._ordering = Ordering(shared.names, patience=shared.patience, one_at_a_time=dialect.one_at_a_time)
        self._node: Node | None = None
        self._since = shared.wall()
        self._times: dict[TypeUrl, _Times] = {}
        self._rejections: dict[tuple[TypeUrl, str], Rejection] = {}
        self._version: int | None = None
        self._resumed = False
        self._first: int | None = None
        self._behind: Mapping[TypeUrl, int] = {}
        self._complete = 0

    @property
    def node(self) -> Node:
        if self._node is None:
            raise ProtocolError("the first request must carry the node")
        return self._node

    @property
    def target(self) -> int | None:
        """The version of the configuration that the proxy is being brought to; None if it has none."""
        config = self._ordering.config
        return config.version if config else None

    def receive(self, request: RequestT) -> None:
        """Takes a request. Raises ProtocolError if it makes no sense."""
        if self._node is None:
            self._begin(request)
        type_url = self._type_of(request)
        subscription = self._ordering.subscription(type_url)
        if request.response_nonce:
            self._answered(type_url, request)
        self._dialect.subscribe(subscription, request)

    def _begin(self, request: RequestT) -> None:
        if not request.node.id:
            raise ProtocolError("the first request of a stream must carry a node with an id")
        self._node = Node.parse(request.node)
        self._resumed = self._dialect.resumes(request)
        self.refresh()
        log.info("proxy connected", proxy=self._node.proxy, node=self._node.id)
        self._shared.fleet.join(self)

    def _type_of(self, request: RequestT) -> TypeUrl:
        type_url = request.type_url or self._only
        if not type_url:
            raise ProtocolError("type_url is required on an aggregated stream")
        if self._only and type_url != self._only:
            raise ProtocolError(f"this service serves {self._only} only, not {type_url}")
        return type_url

    def _answered(self, type_url: TypeUrl, request: RequestT) -> None:
        if not request.response_nonce.isdecimal():
            return
        error = (
            (request.error_detail.message or "rejected without a message") if request.HasField("error_detail") else None
        )
        for answer in self._ordering.reply(type_url, int(request.response_nonce), error):
            self._note(type_url, answer, error or "")

    def _note(self, type_url: TypeUrl, answer: Answer, error: str) -> None:
        if answer.accepted:
            self._times.setdefault(type_url, _Times()).acked = self._shared.wall()
        elif answer.refusal is None:
            log.warning("proxy rejected a response", proxy=self.node.proxy, type=short_name(type_url), error=error)
        else:
            self._reject(type_url, answer.refusal)

    def _reject(self, type_url: TypeUrl, refusal: Refusal) -> None:
        config = self._ordering.config
        wanted = config.resources.get(type_url, {}).get(refusal.name) if config else None
        rejection = Rejection(
            proxy=self.node.proxy,
            superseded=wanted is None or wanted.version != refusal.version,
            type_url=type_url,
            resource=refusal.name,
            version=refusal.version,
            message=refusal.message,
            snapshot=self.target or 0,
            origins=refusal.resource.origins if refusal.resource else (),
            accepted_origins=refusal.held.origins if refusal.held else (),
            time=self._shared.wall(),
        )
        self._rejections[type_url, refusal.name] = rejection
        log.warning(
            "proxy rejected a resource",
            proxy=rejection.proxy,
            type=short_name(type_url),
            resource=refusal.name,
            error=refusal.message,
        )
        self._shared.on_rejection(rejection)

    def refresh(self) -> None:
        """Asks the source again what the proxy should have."""
        if self._node is None:
            return
        config: Config | None = self._shared.source.config(self._node)
        if config is None and self._ordering.config is not None:
            return  # a proxy that is forgotten keeps what it has: it is on its way out, or will be known again
        self._ordering.config = config

    def take(self, now: float) -> list[bytes]:
        """Returns the encoded responses to write now."""
        responses = self._ordering.take(now)
        version = str(self.target or 0)
        encoded = []
        for response in responses:
            self._times.setdefault(response.type_url, _Times()).sent = self._shared.wall()
            subscription = self._ordering.subscription(response.type_url)
            encoded.append(self._dialect.encode(self._shared.encoder, subscription, response, version))
        self._settle()
        return encoded

    def deadline(self, now: float) -> float | None:
        """Returns when :meth:`take` is to be called again even if nothing happens."""
        return self._ordering.deadline(now)

    def close(self) -> None:
        if self._node is not None:
            self._shared.fleet.leave(self)
            log.info("proxy disconnected", proxy=self._node.proxy, node=self._node.id)

    def _settle(self) -> None:
        self._behind = self._ordering.behind()
        if self.target is None:
            return
        if self._first is None:
            self._first = self.target
        before, self._complete = self._complete, min(self._behind.values(), default=self.target + 1) - 1
        if self._behind and self._complete <= before:
            return  # What somebody waits for may have come nearer, and is not there.
        if self._complete >= max(self._first, self._version or 0) and not self._refused():
            self._version = self._complete
        self._shared.fleet.notify()

    def _refused(self) -> tuple[Rejection, ...]:
        """Returns the rejections that still stand."""
        if not self._rejections:
            return ()
        standing = {(type_url, name) for type_url, sub in self._ordering.subscriptions.items() for name in sub.refused}
        self._rejections = {key: rejection for key, rejection in self._rejections.items() if key in standing}
        return tuple(self._rejections.values())

    # --- seen from the fleet

    def standing(self) -> Standing:
        pending = {short_name(type_url): since for type_url, since in self._behind.items()}
        return Standing(self.target, pending, self._refused(), 0 if self._resumed else self._first or 0)

    def status(self) -> ProxyStatus:
        rejections = self._refused()
        types = {}
        for type_url in dict.fromkeys([*self._usual(), *self._ordering.subscriptions]):
            errors = [rejection.message for rejection in rejections if rejection.type_url == type_url]
            types[short_name(type_url)] = self._type_status(type_url, errors, stale=type_url in self._behind)
        return ProxyStatus(self.node, self._since, self._version, types, rejections)

    def _usual(self) -> tuple[TypeUrl, ...]:
        return (self._only,) if self._only else (CLUSTER, ENDPOINTS, LISTENER, ROUTES)

    def _type_status(self, type_url: TypeUrl, errors: list[str], *, stale: bool) -> TypeStatus:
        subscription = self._ordering.subscriptions.get(type_url)
        if subscription is None or not subscription.started:
            return TypeStatus(State.IGNORED)
        times = self._times.get(type_url, _Times())
        held = subscription.present()
        if errors:
            state = State.ERROR
        elif stale:
            state = State.STALE
        elif times.sent is None and not held:
            state = State.NOT_SENT
        else:
            state = State.SYNCED
        return TypeStatus(state, len(held), times.sent, times.acked, "\n".join(errors))


def short_name(type_url: TypeUrl) -> str:
    """Returns the short name of a type as Envoy's tools write it (``CDS``), or the message's own name."""
    return SHORT_NAMES.get(type_url) or type_url.rpartition(".")[2]
