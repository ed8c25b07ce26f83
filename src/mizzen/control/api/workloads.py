"""Workloads: their replicas, how to run a command beside one, restarts, and logs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from mizzen.control.api.answers import BadRequestError, answer, not_found
from mizzen.control.logs import follow, tail
from mizzen.control.world import World
from mizzen.registry.reports import Instance
from mizzen.resources.key import Key
from mizzen.settings import Settings

_HINT = "`mizzen get workloads` lists them"


def routes(world: World, settings: Settings) -> Sequence[Route]:
    async def workloads(_: Request) -> Response:
        return answer({"items": await _instances(world)})

    async def exec_context(request: Request) -> Response:
        namespace, name = request.path_params["namespace"], request.path_params["name"]
        published = await world.included(0)
        known = published.report.exec_contexts if published.report else ()
        contexts = {one.instance: one for one in known if one.namespace == namespace}
        chosen = _chosen(await _instances(world), namespace, name)
        ready = sorted((one for one in chosen if one.name in contexts), key=lambda one: not one.ready)
        if not ready:
            return not_found(f"there is no workload or instance {name} in namespace {namespace} that runs", _HINT)
        return answer(contexts[ready[0].name])

    async def restart(request: Request) -> Response:
        namespace, name = request.path_params["namespace"], request.path_params["name"]
        published = await world.included(0)
        if Key("Workload", namespace, name) not in published.contents.resources:
            return not_found(f"there is no workload {name} in namespace {namespace}", _HINT)
        return answer({"version": (await world.included(world.restart(namespace, name))).snapshot.version})

    async def logs(request: Request) -> Response:
        query = request.query_params
        namespace, name = query.get("namespace", "default"), query.get("name", "")
        proxy = query.get("proxy") == "true"

        def files() -> dict[str, Path]:
            published = world.published.get()
            instances = published.report.instances if published and published.report else ()
            chosen = _chosen(instances, namespace, name)
            return {one.name: settings.log_file(namespace, one.name, proxy=proxy) for one in chosen}

        await world.included(0)
        if not (now := files()):
            return not_found(f"there is no workload or instance {name} in namespace {namespace}", _HINT)
        lines = _number(query.get("tail", "-1"))
        # A workload that is restarted has other instances than before.
        source = follow(now, lines, files) if query.get("follow") == "true" else tail(now, lines)
        return StreamingResponse(source, media_type="text/plain; charset=utf-8")

    return [
        Route("/v1/workloads", workloads),
        Route("/v1/workloads/{namespace}/{name}/exec", exec_context),
        Route("/v1/workloads/{namespace}/{name}/restart", restart, methods=["POST"]),
        Route("/v1/logs", logs),
    ]


async def _instances(world: World) -> tuple[Instance, ...]:
    report = (await world.included(0)).report
    return report.instances if report else ()


def _chosen(instances: Sequence[Instance], namespace: str, name: str) -> list[Instance]:
    """Returns the instance of this name, or all instances of the workload of this name."""
    mine = [instance for instance in instances if instance.namespace == namespace]
    return [one for one in mine if one.name == name] or [one for one in mine if one.workload == name]


def _number(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise BadRequestError(f"tail={text} is no number of lines") from None
