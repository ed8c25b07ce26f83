"""The node's side of its conversation with the control plane: HTTP over a Unix socket.

The control plane may vanish at any moment. Everything here is then tried again until it answers, except certificates,
whose :class:`~mizzen.identity.renewer.Renewer` has a rhythm of its own; nothing else stops.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TypeVar

import httpx2
import msgspec
import structlog

from mizzen.identity.errors import IssueError
from mizzen.mesh.spiffe import SpiffeId
from mizzen.node.backoff import Backoff
from mizzen.registry.reports import CertificateRequest, ContainerState, Desired, IssuedCertificate, Report

log = structlog.get_logger(__name__)

# The control plane is on this machine and is back within a second, and each wait here is one at `mizzen up`.
_RETRY = Backoff(first=0.02, longest=0.1, jitter=0.0)
_TIMEOUT = 10.0
_StructT = TypeVar("_StructT", bound=msgspec.Struct)


class _Reported(msgspec.Struct):
    version: int


class Pending(msgspec.Struct):
    proxy: str


class Acknowledgements(msgspec.Struct):
    """Who has a version and who has not, as far as the node needs it."""

    version: int = 0
    synced: tuple[str, ...] = ()
    pending: tuple[Pending, ...] = ()


class Attached(msgspec.Struct):
    """The containers that run and are meant by what is attached; ``taken`` says whether this node knows that they are."""

    items: tuple[ContainerState, ...] = ()
    taken: bool = False


class RefusedError(IssueError):
    """The control plane answered, and gave no certificate; the text says why."""


class _Problem(msgspec.Struct):
    message: str


class _Problems(msgspec.Struct):
    problems: tuple[_Problem, ...] = ()


class ControlClient:
    """An asynchronous context manager."""

    def __init__(self, socket: Path) -> None:
        self._client = httpx2.AsyncClient(
            transport=httpx2.AsyncHTTPTransport(uds=str(socket), verify=False),
            base_url="http://mizzen",
            timeout=_TIMEOUT,
        )

    async def __aenter__(self) -> ControlClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    async def up(self) -> bool:
        """Whether the control plane answers."""
        try:
            return (await self._client.get("/v1/version")).status_code == 200
        except httpx2.TransportError:
            return False

    async def desired(self) -> AsyncIterator[Desired | None]:
        """Yields what should run, at once and whenever it changes, for ever; None says that a stream has begun, so
        that the control plane may be another than before.
        """
        failures = 0
        while True:
            try:
                timeout = httpx2.Timeout(_TIMEOUT, read=None)
                async with self._client.stream("GET", "/v1/node/desired", timeout=timeout) as response:
                    response.raise_for_status()
                    failures = 0
                    yield None
                    async for line in response.aiter_lines():
                        if line:
                            yield msgspec.json.decode(line, type=Desired)
            except (httpx2.HTTPError, msgspec.DecodeError) as error:
                _log_failure("desired state", error, failures)
            failures += 1
            await asyncio.sleep(_RETRY.delay(failures, 0.0))

    async def report(self, report: Report) -> int:
        """Delivers a report, however long it takes; returns the snapshot version in which it takes effect."""
        body = msgspec.json.encode(report)
        failures = 0
        while True:
            try:
                response = await self._client.put("/v1/node/report", content=body)
                return _decode(response, _Reported).version
            except (httpx2.HTTPError, msgspec.DecodeError) as error:
                _log_failure("report", error, failures)
            failures += 1
            await asyncio.sleep(_RETRY.delay(failures, 0.0))

    async def acknowledged(self, version: int, longest: float) -> bool:
        """Waits until every live proxy has a version, for at most ``longest`` seconds; returns whether all have it.

        Only a control plane can tell: one that is away is waited for, however long it takes.
        """
        failures = 0
        while True:
            try:
                response = await self._client.get(
                    f"/v1/versions/{version}", params={"timeout": f"{longest:.3f}"}, timeout=longest + 1
                )
                return not _decode(response, Acknowledgements).pending
            except (httpx2.HTTPError, msgspec.DecodeError) as error:
                _log_failure("acknowledgements", error, failures)
            failures += 1
            await asyncio.sleep(_RETRY.delay(failures, 0.0))

    async def attach(self, target: str, longest: float) -> Attached:
        """Makes containers members of the mesh, and waits until they are, for at most ``longest`` seconds.

        Tries until a control plane answers.
        """
        body = msgspec.json.encode({"targets": [target], "timeout": longest})
        failures = 0
        while True:
            try:
                response = await self._client.post("/v1/attachments", content=body, timeout=longest + _TIMEOUT)
                return _decode(response, Attached)
            except (httpx2.HTTPError, msgspec.DecodeError) as error:
                _log_failure("attachments", error, failures)
            failures += 1
            await asyncio.sleep(_RETRY.delay(failures, 0.0))

    async def issue(self, csr: str, identity: SpiffeId) -> IssuedCertificate:
        """Has a certificate signed; raises :class:`IssueError` if that fails this time, a RefusedError if on purpose."""
        request = CertificateRequest(csr=csr, namespace=identity.namespace, service_account=identity.service_account)
        try:
            response = await self._client.post("/v1/node/certificates", content=msgspec.json.encode(request))
            return _decode(response, IssuedCertificate)
        except httpx2.HTTPStatusError as error:
            raise RefusedError(_describe(error)) from error
        except (httpx2.HTTPError, msgspec.DecodeError) as error:
            raise IssueError(f"the control plane gave no certificate: {_describe(error)}") from error


def _decode(response: httpx2.Response, struct: type[_StructT]) -> _StructT:
    response.raise_for_status()
    return msgspec.json.decode(response.content, type=struct)


def _log_failure(what: str, error: Exception, failures: int) -> None:
    """A control plane that is away is told by control_process.py; one that answers wrongly is told here, once."""
    if failures == 0 and not isinstance(error, httpx2.TransportError):
        log.warning("the control plane does not take or give this", what=what, error=_describe(error))


def _describe(error: Exception) -> str:
    if isinstance(error, httpx2.HTTPStatusError):
        try:
            problems = msgspec.json.decode(error.response.content, type=_Problems).problems
        except (msgspec.DecodeError, httpx2.ResponseNotRead):
            problems = ()
        return "; ".join(problem.message for problem in problems) or f"status {error.response.status_code}"
    return str(error) or type(error).__name__
