"""The client against a real HTTP server on a Unix socket that comes and goes."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import msgspec
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from mizzen.identity.errors import IssueError
from mizzen.mesh.spiffe import SpiffeId
from mizzen.node.control_client import ControlClient
from mizzen.registry.reports import CertificateRequest, Desired, IssuedCertificate, Report

IDENTITY = SpiffeId("cluster.local", "default", "web")


@pytest.fixture
def socket() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder, "api.sock")


async def version(request: Request) -> Response:
    return JSONResponse({})


async def desired(request: Request) -> Response:
    async def lines() -> AsyncIterator[bytes]:
        for number in (1, 2):
            yield msgspec.json.encode(Desired(version=number, trust_domain="cluster.local")) + b"\n"

    return StreamingResponse(lines())


async def report(request: Request) -> Response:
    received = msgspec.json.decode(await request.body(), type=Report)
    return JSONResponse({"version": 7, "node": received.node})


async def versions(request: Request) -> Response:
    pending = [{"proxy": "web-0.default", "types": ["CDS"]}] if request.path_params["number"] == "2" else []
    return JSONResponse({"version": 1, "synced": [], "pending": pending, "rejected": []})


async def certificates(request: Request) -> Response:
    asked = msgspec.json.decode(await request.body(), type=CertificateRequest)
    if asked.csr == "bad":
        return JSONResponse({"problems": []}, status_code=422)
    text = f"{asked.namespace}/{asked.service_account}"
    return Response(msgspec.json.encode(IssuedCertificate(chain=text, roots="", not_before=0, not_after=1)))


async def attachments(request: Request) -> Response:
    asked = msgspec.json.decode(await request.body())
    assert asked == {"targets": ["shop"], "timeout": 0.5}
    items = [{"id": "1", "name": "shop-web-1", "state": "Attached", "project": "shop"}]
    return JSONResponse({"items": items, "unmatched": [], "problems": [], "version": 3, "taken": True})


APP = Starlette(
    routes=[
        Route("/v1/version", version),
        Route("/v1/node/desired", desired),
        Route("/v1/node/report", report, methods=["PUT"]),
        Route("/v1/versions/{number}", versions),
        Route("/v1/attachments", attachments, methods=["POST"]),
        Route("/v1/node/certificates", certificates, methods=["POST"]),
    ]
)


@contextlib.asynccontextmanager
async def serving(socket: Path) -> AsyncIterator[None]:
    server = uvicorn.Server(uvicorn.Config(APP, uds=str(socket), log_level="error", lifespan="off"))
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        group.create_task(server._serve())
        while not server.started:
            await asyncio.sleep(0.005)
        yield
        server.should_exit = True
    socket.unlink(missing_ok=True)


async def test_a_report_returns_its_version(socket: Path) -> None:
    async with serving(socket), ControlClient(socket) as client:
        assert await client.up()
        assert await client.report(Report(node="n")) == 7


async def test_a_report_waits_for_a_control_plane_that_is_away(socket: Path) -> None:
    async with ControlClient(socket) as client, asyncio.TaskGroup() as group:
        assert not await client.up()
        task = group.create_task(client.report(Report(node="n")))
        await asyncio.sleep(0)
        async with serving(socket):
            assert await task == 7


async def test_the_desired_state_is_followed_over_the_ends_of_streams(socket: Path) -> None:
    seen: list[int | None] = []
    async with serving(socket), ControlClient(socket) as client:
        stream = client.desired()
        async with contextlib.aclosing(stream):  # type: ignore[type-var]
            async for item in stream:
                seen.append(item.version if item else None)
                if len(seen) == 5:
                    break
    assert seen == [None, 1, 2, None, 1]


async def test_acknowledgements(socket: Path) -> None:
    async with ControlClient(socket) as client, serving(socket):
        assert await client.acknowledged(1, 5)
        assert not await client.acknowledged(2, 5)


async def test_without_a_control_plane_nothing_counts_as_acknowledged_or_not(socket: Path) -> None:
    async with ControlClient(socket) as client, asyncio.TaskGroup() as group:
        task = group.create_task(client.acknowledged(1, 0.01))
        await asyncio.wait([task], timeout=0.05)
        assert not task.done()
        async with serving(socket):
            assert await task


async def test_containers_are_attached_by_whichever_control_plane_answers(socket: Path) -> None:
    async with ControlClient(socket) as client, asyncio.TaskGroup() as group:
        task = group.create_task(client.attach("shop", 0.5))
        await asyncio.sleep(0)
        async with serving(socket):
            answer = await task
    assert answer.taken
    assert [(one.name, one.project) for one in answer.items] == [("shop-web-1", "shop")]


async def test_certificates(socket: Path) -> None:
    async with ControlClient(socket) as client:
        with pytest.raises(IssueError, match="the control plane gave no certificate"):
            await client.issue("csr", IDENTITY)
        async with serving(socket):
            assert (await client.issue("csr", IDENTITY)).chain == "default/web"
            with pytest.raises(IssueError, match="status 422"):
                await client.issue("bad", IDENTITY)
