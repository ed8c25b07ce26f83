"""Workloads: their replicas, how to run a command beside one, restarts, and logs.

A container is a replica of a workload that nobody wrote: its engine starts it, restarts it, and keeps its log.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from mizzen.control.api.answers import BadRequestError, answer, not_found, refusal
from mizzen.control.logs import follow, tail
from mizzen.control.world import Published, World
from mizzen.registry.calling import called, excluded
from mizzen.registry.membership import OUTSIDE
from mizzen.registry.processes import proxies_of
from mizzen.registry.reports import ContainerState, Instance
from mizzen.resources.key import Key
from mizzen.resources.problems import Problem
from mizzen.settings import Settings

_HINT = "`mizzen get workloads` and `mizzen containers` list them"


def routes(world: World, settings: Settings) -> Sequence[Route]:
    async def workloads(_: Request) -> Response:
        report = (await world.included(0)).report
        return answer({"items": report.instances if report else ()})

    async def exec_context(request: Request) -> Response:
        return _exec_context(await world.included(0), request.path_params["namespace"], request.path_params["name"])

    async def restart(request: Request) -> Response:
        namespace, name = request.path_params["namespace"], request.path_params["name"]
        published = await world.included(0)
        if Key("Workload", namespace, name) in published.contents.resources:
            return answer({"version": (await world.included(world.restart(namespace, name))).snapshot.version})
        if containers := _containers(published, _chosen(published, namespace, name)):
            return _engines("restart", "restarted", containers)
        return not_found(f"there is no workload {name} in namespace {namespace}", "`mizzen get workloads` lists them")

    async def logs(request: Request) -> Response:
        query = request.query_params
        namespace, name = query.get("namespace", "default"), query.get("name", "")
        proxy = query.get("proxy") == "true"

        def files() -> dict[str, Path]:
            published = world.published.get()
            if published is None:
                return {}
            kind = _proxy_files if proxy else _application_files
            return kind(settings, published, namespace, name)

        published = await world.included(0)
        if not (now := files()):
            return _no_log(published, namespace, name, proxy=proxy)
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


def _exec_context(published: Published, namespace: str, name: str) -> Response:
    known = published.report.exec_contexts if published.report else ()
    contexts = {(one.namespace, one.instance): one for one in known}
    chosen = _chosen(published, namespace, name)
    ready = sorted((one for one in chosen if (one.namespace, one.name) in contexts), key=lambda one: not one.ready)
    if ready:
        return answer(contexts[ready[0].namespace, ready[0].name])
    return _outside(chosen) or _gateway(chosen) or _nothing(published, namespace, name)


def _chosen(published: Published, namespace: str, name: str) -> list[Instance]:
    report = published.report
    return called(name, namespace, report.instances, report.containers) if report else []


def _excluded(published: Published, name: str) -> ContainerState | None:
    return excluded(name, published.report.containers if published.report else ())


def _nothing(published: Published, namespace: str, name: str) -> Response:
    """Returns the answer about a name that means nothing that runs in the mesh or beside it."""
    if one := _excluded(published, name):
        message = f"container {one.name} is not in the mesh: {one.reason}"
        return refusal(409, [Problem(code="Outside", message=message, hint=_HINT)])
    return not_found(f"there is no workload or instance {name} in namespace {namespace} that runs", _HINT)


def _containers(published: Published, instances: Sequence[Instance]) -> list[str]:
    """Returns the names of the containers among instances, as their engine knows them."""
    known = published.report.containers if published.report else ()
    names = {(one.namespace, one.instance): one.name for one in known}
    return [names[one.namespace, one.name] for one in instances if (one.namespace, one.name) in names]


def _application_files(settings: Settings, published: Published, namespace: str, name: str) -> dict[str, Path]:
    chosen = _chosen(published, namespace, name)
    # All that a gateway says its proxy says.
    return {
        one.name: settings.log_file(namespace, one.name, proxy=one.gateway)
        for one in chosen
        if not _containers(published, [one])
    }


def _proxy_files(settings: Settings, published: Published, namespace: str, name: str) -> dict[str, Path]:
    """Returns the logs of the proxies of what is chosen, or that of the proxy itself that has this name."""
    ids = dict.fromkeys(proxy for one in _chosen(published, namespace, name) for proxy in proxies_of(one))
    if not ids and not _excluded(published, name) and (itself := f"{name}.{namespace}") in published.snapshot.proxies:
        ids = {itself: None}
    found = {}
    for proxy in ids:
        instance, _, its_namespace = proxy.rpartition(".")
        found[instance] = settings.log_file(its_namespace, instance, proxy=True)
    return found


def _no_log(published: Published, namespace: str, name: str, *, proxy: bool) -> Response:
    chosen = _chosen(published, namespace, name)
    if not proxy and (containers := _containers(published, chosen)):
        return _engines("logs", "logged", containers)
    return _outside(chosen) or _nothing(published, namespace, name)


def _outside(chosen: Sequence[Instance]) -> Response | None:
    """Returns the answer about containers that are no members of the mesh; None where there are none."""
    names = [one.name for one in chosen if one.capture == OUTSIDE]
    if not names:
        return None
    message = f"{', '.join(names)}: a container outside the mesh has no proxy, and no command runs beside it"
    return refusal(409, [Problem(code="Outside", message=message, hint=f"attach it: mizzen attach {names[0]}")])


def _gateway(chosen: Sequence[Instance]) -> Response | None:
    """Returns the answer about gateways, beside which no command runs; None where there are none."""
    names = [one.name for one in chosen if one.gateway]
    if not names:
        return None
    message = f"{', '.join(names)}: a gateway has no application, and no command runs beside it"
    return refusal(
        409, [Problem(code="Gateway", message=message, hint="its clients are outside the mesh: mizzen status")]
    )


def _engines(command: str, done: str, containers: Sequence[str]) -> Response:
    """Returns the answer about what only a container's engine does."""
    message = f"{', '.join(containers)}: what runs in a container is {done} by its engine"
    hint = f"podman {command} {containers[0]}, or docker {command} {containers[0]}"
    return refusal(409, [Problem(code="ByEngine", message=message, hint=hint)])


def _number(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise BadRequestError(f"tail={text} is no number of lines") from None
