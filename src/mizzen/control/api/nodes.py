"""Nodes: what they should run, what they do run, and certificates for their workloads (``registry.reports``)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from mizzen.control.api.answers import BadRequestError, answer, refusal
from mizzen.control.world import World
from mizzen.identity.authority import Authority
from mizzen.identity.errors import AuthorityError, RequestRefusedError
from mizzen.mesh.spiffe import SpiffeId, SpiffeIdError
from mizzen.registry.reports import CertificateRequest, Report
from mizzen.resources.problems import Problem

StructT = TypeVar("StructT", bound=msgspec.Struct)


def routes(world: World, authority: Authority, trust_domain: str, lifetime: float) -> Sequence[Route]:
    """``lifetime`` is that of workload certificates, in seconds."""

    async def desired(_: Request) -> Response:
        return StreamingResponse(_desired(world), media_type="application/x-ndjson")

    async def report(request: Request) -> Response:
        number = world.put_report(await _decode(request, Report))
        return answer({"version": (await world.included(number)).snapshot.version})

    async def certificate(request: Request) -> Response:
        wish = await _decode(request, CertificateRequest)
        try:
            identity = SpiffeId(trust_domain, wish.namespace, wish.service_account)
            issued = authority.sign(wish.csr, identity, lifetime)
        except (SpiffeIdError, RequestRefusedError) as error:
            raise BadRequestError(str(error)) from error
        except AuthorityError as error:
            return refusal(503, [Problem(code="AuthorityError", message=str(error))])
        return answer(issued)

    return [
        Route("/v1/node/desired", desired),
        Route("/v1/node/report", report, methods=["PUT"]),
        Route("/v1/node/certificates", certificate, methods=["POST"]),
    ]


async def _desired(world: World) -> AsyncIterator[bytes]:
    """Yields what nodes should run, a line each time that it changes; the first when a node has said what runs.

    So a node reports first, also that nothing runs, and again to each control plane that comes up.
    """
    sent = None
    async for published in world.published:
        wanted = published.desired if published else None
        if wanted is not None and wanted != sent:
            sent = wanted
            yield msgspec.json.encode(wanted) + b"\n"


async def _decode(request: Request, struct: type[StructT]) -> StructT:
    try:
        return msgspec.json.decode(await request.body(), type=struct)
    except (msgspec.DecodeError, RecursionError) as error:
        raise BadRequestError(str(error)) from error
