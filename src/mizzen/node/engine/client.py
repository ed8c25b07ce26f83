"""Asks the container engine over its Unix socket, in the API that Docker defines and Podman serves as well.

Paths bear no version: both engines then answer in their newest, and the fields that are read here have not changed
since 1.24. Errors are of ``errors.py``; a container that is not there is none.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

import httpx2
import msgspec
import structlog

from mizzen.node.engine.decoding import Event, decode_container, decode_event, decode_ids
from mizzen.node.engine.errors import AnswerError, EngineAwayError, EngineError
from mizzen.registry.containers import Container

log = structlog.get_logger(__name__)

_TIMEOUT = 10.0
_FILTERS = msgspec.json.encode({"type": ["container", "network"]}).decode()
_GONE = "no such container"
ResultT = TypeVar("ResultT")


@dataclass(frozen=True)
class Version:
    """Which engine it is, in its own words ("Podman Engine"), and its version and that of its API."""

    engine: str
    version: str
    api: str


class _Component(msgspec.Struct, rename="pascal"):
    name: str = ""


class _Versions(msgspec.Struct, rename="pascal"):
    version: str = ""
    api_version: str = ""
    components: tuple[_Component, ...] | None = None


class _Refusal(msgspec.Struct):
    message: str = ""
    cause: str = ""


class Engine:
    """An asynchronous context manager; ``timeout`` is how long an answer may take, in seconds."""

    def __init__(self, socket: Path, timeout: float = _TIMEOUT) -> None:
        self.socket = socket
        self._timeout = timeout
        # A connection for each request costs nothing here, and none is left from an engine that has been restarted.
        limits = httpx2.Limits(max_keepalive_connections=0)
        self._client = httpx2.AsyncClient(
            transport=httpx2.AsyncHTTPTransport(uds=str(socket), verify=False, limits=limits),
            base_url="http://engine",
            timeout=timeout,
        )

    async def __aenter__(self) -> Engine:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    async def up(self) -> bool:
        """Whether the engine answers."""
        try:
            return (await self._client.get("/_ping")).status_code == 200
        except httpx2.TransportError:
            return False

    async def version(self) -> Version:
        return _read(await self._get("/version"), _version)

    async def ids(self) -> tuple[str, ...]:
        """Returns the ids of all containers, also of those that do not run."""
        return _read(await self._get("/containers/json", all="true"), decode_ids)

    async def inspect(self, container: str) -> Container | None:
        """Returns a container by its id or its name, or None if there is none."""
        # Podman answers nobody about a container that it is busy with, but about others.
        response = await self._get(f"/containers/{quote(container, safe='')}/json", late=AnswerError)
        # Podman finds some only half gone, and says so with status 500.
        if response.status_code == 404 or (response.status_code == 500 and _refusal(response).cause == _GONE):
            return None
        return _read(response, decode_container)

    @contextlib.asynccontextmanager
    async def events(self, since: float) -> AsyncIterator[AsyncIterator[Event | None]]:
        """Subscribes to events of containers and of their networks, from a Unix time in seconds on.

        Whoever has entered is subscribed. The iterator ends with :class:`EngineAwayError` when the engine does; None stands
        for an event in a form that is not known.
        """
        request = self._client.build_request(
            "GET",
            "/events",
            params={"filters": _FILTERS, "since": f"{since:.9f}"},
            timeout=httpx2.Timeout(self._timeout, read=None),
        )
        with self._reaching("/events"):
            async with asyncio.timeout(self._timeout):
                response = await self._client.send(request, stream=True)
        try:
            if response.status_code != 200:
                with self._reaching("/events"):
                    await response.aread()
                raise _refused(response)
            async with contextlib.aclosing(self._told(response)) as told:
                yield told
        finally:
            await response.aclose()

    async def _told(self, response: httpx2.Response) -> AsyncGenerator[Event | None, None]:
        with self._reaching("/events"):
            async for line in response.aiter_lines():
                if line.strip():
                    yield _event(line)
        raise EngineAwayError(f"the container engine at {self.socket} has ended")

    async def _get(self, path: str, *, late: type[EngineError] = EngineAwayError, **params: str) -> httpx2.Response:
        with self._reaching(path, late):
            return await self._client.get(path, params=params)

    @contextlib.contextmanager
    def _reaching(self, path: str, late: type[EngineError] = EngineAwayError) -> Iterator[None]:
        """Turns errors into the engine's; ``late`` is what it means if no answer comes in time."""
        try:
            yield
        except (httpx2.TimeoutException, TimeoutError) as error:
            raise late(
                f"the container engine at {self.socket} gives no answer to {path} within {self._timeout:g} s; see its log"
            ) from error
        except httpx2.HTTPError as error:
            raise EngineAwayError(
                f"the container engine at {self.socket} cannot be reached ({str(error) or type(error).__name__});"
                " is it running, and may this user use its socket?"
            ) from error


def _read(response: httpx2.Response, decode: Callable[[bytes], ResultT]) -> ResultT:
    """Returns what an answer says; raises :class:`AnswerError` if it is a refusal or not of the known form."""
    if response.status_code != 200:
        raise _refused(response)
    try:
        return decode(response.content)
    except ValueError as error:
        raise AnswerError(
            f"the container engine's answer to {response.url.path} is not of the form that Docker's API has: {error}"
        ) from error


def _refused(response: httpx2.Response) -> AnswerError:
    message = _refusal(response).message or f"status {response.status_code}"
    return AnswerError(f"the container engine refuses {response.url.path}: {message}")


def _refusal(response: httpx2.Response) -> _Refusal:
    try:
        return msgspec.json.decode(response.content, type=_Refusal)
    except msgspec.DecodeError:
        return _Refusal()


def _event(line: str) -> Event | None:
    try:
        return decode_event(line)
    except ValueError as error:
        log.warning("an event of the container engine is not of the known form", error=str(error))
        return None


def _version(content: bytes) -> Version:
    read = msgspec.json.decode(content, type=_Versions)
    names = [component.name for component in read.components or () if component.name]
    return Version(names[0] if names else "Docker", read.version, read.api_version)
