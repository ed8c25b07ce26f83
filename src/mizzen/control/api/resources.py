"""Resources: list, apply, delete, history."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from mizzen.control.api.answers import BadRequestError, answer, body, refusal
from mizzen.control.changes import Changed, Changes
from mizzen.control.world import Published, World
from mizzen.registry.found import behind, of_ended_runs
from mizzen.registry.reports import Report
from mizzen.registry.unwritten import FOUND, RUN
from mizzen.resources.envoy_filter import EnvoyFilterSpec
from mizzen.resources.key import Key
from mizzen.resources.kinds import kind_of
from mizzen.resources.problems import Problem, errors
from mizzen.resources.problems_json import problem_to_json
from mizzen.resources.proxy_config import ProxyConfigSpec
from mizzen.resources.resource import Resource
from mizzen.resources.service import ServiceSpec
from mizzen.resources.service_entry import ServiceEntrySpec
from mizzen.store.stores import Stores


class _File(msgspec.Struct):
    name: str
    text: str


class _Apply(msgspec.Struct, rename="camel"):
    files: list[_File]
    namespace: str = "default"
    dry_run: bool = False
    force: bool = False


class _Key(msgspec.Struct):
    kind: str
    namespace: str
    name: str


class _Delete(msgspec.Struct):
    keys: list[_Key]
    force: bool = False


def routes(
    stores: Stores, world: World, changes: Changes, idle: Callable[[], Sequence[Problem]] = tuple
) -> Sequence[Route]:
    async def listing(request: Request) -> Response:
        published = await world.included(0)
        wanted = {name: request.query_params.get(name, "") for name in ("kind", "namespace", "name")}
        every = {**published.contents.resources, **published.found}
        chosen = [resource for key, resource in every.items() if _matches(key, wanted)]
        idling = idle()
        return answer(
            {
                "items": [_item(resource, published, idling) for resource in chosen],
                "problems": [problem_to_json(problem) for problem in (*published.problems, *idling)],
            }
        )

    async def apply(request: Request) -> Response:
        wish = _convert(await body(request), _Apply)
        files = [(file.name, file.text) for file in wish.files]
        changed = await changes.apply(files, namespace=wish.namespace, dry_run=wish.dry_run, force=wish.force)
        return _changed(changed)

    async def delete(request: Request) -> Response:
        wish = _convert(await body(request), _Delete)
        keys = [Key(key.kind, key.namespace, key.name) for key in wish.keys]
        published = await world.included(0)
        ended = of_ended_runs(published.report or Report(node=""))
        unwritten = [key for key in keys if key in published.found and key not in stores.contents.resources]
        if kept := [key for key in unwritten if (key.namespace, key.name) not in ended]:
            return refusal(409, (_not_written(published.found[key], published.report) for key in kept))
        return _changed(await changes.delete(keys, force=wish.force))

    async def history(request: Request) -> Response:
        query = request.query_params
        key = Key(query.get("kind", ""), query.get("namespace", "default"), query.get("name", ""))
        return answer({"items": await stores.history(key)})

    return [
        Route("/v1/resources", listing),
        Route("/v1/resources/apply", apply, methods=["POST"]),
        Route("/v1/resources/delete", delete, methods=["POST"]),
        Route("/v1/resources/history", history),
    ]


def _convert(value: Any, struct: type[msgspec.Struct]) -> Any:
    try:
        return msgspec.convert(value, struct)
    except msgspec.ValidationError as error:
        raise BadRequestError(str(error)) from error


def _matches(key: Key, wanted: Mapping[str, str]) -> bool:
    return all(not value or getattr(key, name) == value for name, value in wanted.items())


def _changed(changed: Changed) -> Response:
    results = [{**_key(key), "action": action} for key, action in changed.actions.items()]
    warnings = [problem_to_json(problem) for problem in changed.warnings]
    return answer({"version": changed.version, "results": results, "warnings": warnings})


def _key(key: Key) -> dict[str, str]:
    return {"kind": key.kind, "namespace": key.namespace, "name": key.name}


def _not_written(resource: Resource[Any], report: Report | None) -> Problem:
    source, key = resource.source, resource.key
    origin = f"found by {source.file}, and is there as long as its containers"
    if source is RUN and report:
        (service,) = [one for one in report.services if (one.namespace, one.name) == (key.namespace, key.name)]
        runs = ", ".join(one.name for one in behind(service, report.instances))
        origin = f"offered by `{source.file}` ({runs}), and can be deleted when that has ended, or goes 5 minutes later"
    return Problem(
        code="ReadOnly",
        message=f"nobody wrote it: it was {origin}",
        hint="to change it, apply a Service of this name; deleting that brings back what was found",
        resource=key,
    )


def _item(resource: Resource[Any], published: Published, idle: Sequence[Problem]) -> dict[str, Any]:
    """Returns a resource as a document; what was found and nobody wrote stands in no line of its source."""
    source, said = resource.source, resource.spec.to_document()
    kind = kind_of(resource.api_version, resource.key.kind)
    flat = kind is not None and kind.flat
    return {
        "apiVersion": resource.api_version,
        "kind": resource.key.kind,
        "metadata": {
            "name": resource.name,
            "namespace": resource.namespace,
            "labels": dict(resource.labels),
            "annotations": dict(resource.annotations),
            "creationOrder": resource.created,
        },
        **(said if flat else {"spec": said}),
        "status": _status(resource, published, idle),
        "source": {"file": source.file, "line": 0 if source in (FOUND, RUN) else source.line, "text": source.text},
    }


def _status(resource: Resource[Any], published: Published, idle: Sequence[Problem]) -> dict[str, Any]:
    status: dict[str, Any] = {"conditions": [_accepted(resource.key, published)]}
    if isinstance(resource.spec, EnvoyFilterSpec):
        status["conditions"].append(_applied("PatchesApplied", resource.key, idle))
    if isinstance(resource.spec, ProxyConfigSpec):
        status["conditions"].append(_applied("ProxiesStarted", resource.key, idle))
    if resource.source in (FOUND, RUN):
        status["foundBy"] = resource.source.file
    mine = published.snapshot.by_origin.get(resource.key, ())
    if isinstance(resource.spec, ServiceSpec) and mine:
        # What the mesh answers to whoever asks for the service's name; where capture is explicit its proxies know it, too.
        status["address"] = mine[0].address
    if isinstance(resource.spec, ServiceEntrySpec):
        status["addresses"] = [{"value": one.address, "host": one.host} for one in mine if one.address]
    return status


def _applied(condition: str, key: Key, idle: Sequence[Problem]) -> dict[str, str]:
    """Returns the condition that says whether all that a resource says has an effect."""
    mine = [problem for problem in idle if problem.resource == key]
    if not mine:
        return {"type": condition, "status": "True", "reason": condition, "message": ""}
    message = "; ".join(f"{problem.path}: {problem.message}" for problem in mine)
    return {"type": condition, "status": "False", "reason": mine[0].code, "message": message}


def _accepted(key: Key, published: Published) -> dict[str, str]:
    """Returns the condition that says whether what is written is in force, in the form of Kubernetes' conditions."""
    mine: list[Problem] = errors(problem for problem in published.problems if problem.resource == key)
    if key in published.set_aside:
        reason, message = "RejectedByEnvoy", published.set_aside[key].message
    elif mine:
        reason, message = mine[0].code, mine[0].message
    else:
        return {"type": "Accepted", "status": "True", "reason": "Accepted", "message": ""}
    return {"type": "Accepted", "status": "False", "reason": reason, "message": message}
