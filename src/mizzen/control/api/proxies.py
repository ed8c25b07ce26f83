"""Proxies: how far each is with what it was sent, and what its Envoy says of itself."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import httpx2
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from mizzen.control.api.answers import BadRequestError, answer, not_found, refusal
from mizzen.control.rejections import SetAside
from mizzen.control.world import Published, World
from mizzen.registry.processes import proxies_of
from mizzen.resources.problems import Problem
from mizzen.settings import Settings
from mizzen.xds.session import short_name
from mizzen.xds.status import Fleet, Progress, ProxyStatus, Rejection

_ADMIN_TIMEOUT = 10.0
_LONGEST_WAIT = 3600.0
# The phases that come after the first start of an instance's Envoy.
_CONFIGURED = frozenset({"Running", "Draining", "Backoff"})


def routes(world: World, settings: Settings, fleet: Fleet) -> Sequence[Route]:
    async def versions(request: Request) -> Response:
        version = int(request.path_params["version"])
        return answer(await _settled(world, fleet, version, _timeout(request)))

    async def proxies(_: Request) -> Response:
        published = await world.included(0)
        connected = {status.node.proxy: status for status in fleet.proxies()}
        absent: list[dict[str, Any]] = [
            {"id": proxy, "node": "", "connected": False, "connectedSince": None, "version": None, "types": {}}
            for proxy in published.snapshot.proxies
            if proxy not in connected
        ]
        return answer({"items": [*(_proxy(status) for status in connected.values()), *absent]})

    async def admin(request: Request) -> Response:
        published = await world.included(0)
        proxy, path = request.path_params["proxy"], request.path_params["path"]
        if proxy not in published.snapshot.proxies:
            return not_found(f"there is no proxy {proxy}", "`mizzen status` lists the proxies")
        name, _, namespace = proxy.rpartition(".")
        return await _ask_envoy(proxy, settings.admin_socket(namespace, name), path, request.url.query)

    return [
        Route("/v1/versions/{version:int}", versions),
        Route("/v1/proxies", proxies),
        Route("/v1/proxies/{proxy}/admin/{path:path}", admin),
    ]


def _timeout(request: Request) -> float:
    text = request.query_params.get("timeout", "0")
    try:
        timeout = float(text)
    except ValueError:
        timeout = math.nan
    if math.isnan(timeout):
        raise BadRequestError(f"timeout={text} is no number of seconds")
    return min(max(timeout, 0.0), _LONGEST_WAIT)


async def _ask_envoy(proxy: str, socket: Path, path: str, query: str) -> Response:
    """Passes a GET on to the administration interface of a proxy's Envoy."""
    transport = httpx2.AsyncHTTPTransport(uds=str(socket), verify=False)
    async with httpx2.AsyncClient(transport=transport, base_url="http://envoy", timeout=_ADMIN_TIMEOUT) as client:
        try:
            said = await client.get(f"/{path}?{query}" if query else f"/{path}")
        except httpx2.HTTPError as error:
            problem = Problem(
                code="ProxyUnreachable",
                message=f"the Envoy of {proxy} does not answer: {str(error) or type(error).__name__}",
                hint=f"it may be starting; `mizzen logs {proxy}` shows what it says",
            )
            return refusal(502, [problem])
    return Response(said.content, said.status_code, media_type=said.headers.get("content-type"))


def _proxy(status: ProxyStatus) -> dict[str, Any]:
    return {
        "id": status.node.proxy,
        "node": status.node.id,
        "connected": True,
        "connectedSince": status.connected_since,
        "version": status.version,
        "types": {name: asdict(state) for name, state in status.types.items()},
    }


async def _settled(world: World, fleet: Fleet, version: int, timeout: float) -> dict[str, Any]:  # noqa: ASYNC109
    """Waits for a version and, where it is rejected, for the one without what was rejected.

    Envoy stops at the first thing that it does not like, so the next may show only then; and what is said to stay in
    force is in force when this returns.
    """
    loop = asyncio.get_running_loop()
    end = loop.time() + timeout
    # The number may come from a control plane that was killed before it had noted how far it was. All that was stored
    # or reported then is in what its successor has published first.
    version = min(version, (await world.included(0)).snapshot.version)

    def live() -> list[str]:
        return _live(world.published.get())

    first = latest = await fleet.wait(version, timeout, live)
    rejections = _all(first)
    published = await world.rejections()
    while _goes_on(latest, published) and loop.time() < end:
        latest = await fleet.wait(published.snapshot.version, end - loop.time(), live)
        rejections += _all(latest)
        published = await world.rejections()
    return _progress(first, latest, rejections, published)


def _goes_on(latest: Progress, published: Published) -> bool:
    """Tells whether there is a newer version because something was rejected of the latest that was waited for.

    A proxy that is on its way to the newer one already does not reject the older any more.
    """
    aside = any(one.snapshot >= latest.version for one in published.set_aside.values())
    return latest.version < published.snapshot.version and (bool(latest.rejected) or aside)


def _live(published: Published | None) -> list[str]:
    """Returns the proxies that have a configuration and serve with it, be they connected or not."""
    instances = published.report.instances if published and published.report else ()
    serving = [one for one in instances if one.proxy_pid and one.phase in _CONFIGURED]
    return list(dict.fromkeys(proxy for one in serving for proxy in proxies_of(one)))


def _all(progress: Progress) -> list[Rejection]:
    return [one for rejections in progress.rejected.values() for one in rejections]


def _progress(
    first: Progress, latest: Progress, rejections: Sequence[Rejection], published: Published
) -> dict[str, Any]:
    """Returns who has a version; a rejection is told with the user's resource that it is about, where that is known."""
    aside = [one for one in published.set_aside.values() if one.snapshot >= first.version]
    traced = {(one.proxy, one.type_url, one.xds_resource) for one in aside}
    untraced = [
        _rejection(one)
        for one in dict.fromkeys(rejections)
        if (one.proxy, one.type_url, one.resource) not in traced and not _same(one, aside)
    ]
    return {
        "version": first.version,
        "synced": first.synced,
        "pending": [{"proxy": proxy, "types": types} for proxy, types in latest.pending.items()],
        "rejected": [*(_set_aside(one, published) for one in aside), *untraced],
    }


def _same(rejection: Rejection, aside: Sequence[SetAside]) -> bool:
    """Tells whether a rejection repeats one that is traced: by another proxy, or of another xDS resource that the same
    user's resource shaped, such as a second route configuration with its routes.
    """
    return any(one.message == rejection.message and one.key in rejection.origins for one in aside)


def _rejection(rejection: Rejection) -> dict[str, Any]:
    return {
        "proxy": rejection.proxy,
        "type": short_name(rejection.type_url),
        "message": f"{rejection.resource}: {rejection.message}",
        "resource": ", ".join(str(key) for key in rejection.origins),
        "position": "",
    }


def _set_aside(aside: SetAside, published: Published) -> dict[str, Any]:
    written = published.contents.resources.get(aside.key)
    return {
        "proxy": aside.proxy,
        "type": short_name(aside.type_url),
        "message": aside.message,
        "resource": str(aside.key),
        "position": str(aside.position(written)) if written else "",
    }
