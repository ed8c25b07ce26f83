"""Containers: how those of the nodes' engines stand to the mesh, and which of them are its members."""

from __future__ import annotations

import asyncio
import difflib
import re
from collections.abc import Collection, Iterable, Sequence

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from mizzen.control.api.answers import BadRequestError, answer, refusal
from mizzen.control.world import Published, World
from mizzen.registry.containers import dns_label
from mizzen.registry.membership import EVERYTHING, OUTSIDE
from mizzen.registry.reports import ContainerState, Report
from mizzen.resources.problems import Problem

_LONGEST_WAIT = 600.0
_LONGEST_LOOK = 10.0
_UNDER_WAY = frozenset({"Attaching", "Detaching"})
# What engines take for the name of a container; ids and Compose projects are of the same form.
_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*", re.ASCII)
_ID = re.compile(r"[0-9a-f]{4,64}", re.ASCII)


class Membership(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What a user asks for: the ``targets``, their ``proxy`` (see :class:`mizzen.registry.reports.Attachment`), and how
    many seconds to wait until it is so. ``existing`` refuses targets that mean nothing which exists or was attached.
    """

    targets: tuple[str, ...]
    proxy: str = ""
    timeout: float = 0.0
    existing: bool = False


def routes(world: World) -> Sequence[Route]:
    async def containers(request: Request) -> Response:
        targets = request.query_params.getlist("target") or [EVERYTHING]
        if request.query_params.get("look") != "true":
            return answer(_answer(await world.included(0), targets))
        published = await world.seen(_LONGEST_LOOK)
        return answer(_answer(published, targets, all_=True) | {"waiting": _waiting(published)})

    async def attach(request: Request) -> Response:
        wish = _read(await request.body())
        if missing := await _missing(world, wish):
            return refusal(404, missing)
        number = [world.attach(target, wish.proxy) for target in wish.targets][-1]
        try:
            async with asyncio.timeout(min(max(wish.timeout, 0.0), _LONGEST_WAIT)):
                await world.published.until(lambda published: _settled(published, number, wish.targets))
        except TimeoutError:
            pass  # how far it is stands in the answer
        published = await world.included(0)
        told = _answer(published, wish.targets, all_=wish.proxy == OUTSIDE)
        return answer(told | {"taken": _taken(published, number)})

    return [Route("/v1/containers", containers), Route("/v1/attachments", attach, methods=["POST"])]


def _read(body: bytes) -> Membership:
    try:
        wish = msgspec.json.decode(body, type=Membership)
    except (msgspec.DecodeError, RecursionError) as error:
        raise BadRequestError(str(error)) from error
    if not wish.targets or not all(wish.targets):
        raise BadRequestError("a target is empty: name a container or a Compose project, or * for all")
    for target in wish.targets:
        if target != EVERYTHING and not _NAME.fullmatch(target):
            raise BadRequestError(f"{target} is no name of a container or a Compose project, no id, and not *")
    if wish.proxy not in ("", "sidecar", "node", OUTSIDE):
        raise BadRequestError(f"proxy={wish.proxy} is not one of sidecar, node, none")
    return wish


async def _missing(world: World, wish: Membership) -> list[Problem]:
    """Returns a problem for each target that means nothing; none where that cannot be found out."""
    published = await world.included(0)
    is_detached = wish.proxy == OUTSIDE
    said = {one.target for one in published.desired.attachments if is_detached or one.proxy != OUTSIDE}
    names = [one for one in wish.targets if one not in {EVERYTHING, *said}] if wish.existing else []
    running = published.report.containers if published.report else ()
    if all(meant(running, [one]) for one in names):
        return []
    published = await world.seen(_LONGEST_LOOK)
    if published.report is None or published.report.look.problem:
        return []
    known = _all(published)
    near = {name for one in known for name in (one.name, one.project) if name}
    later = "" if is_detached else "--future attaches what will be called so"
    return [
        _not_found(name, difflib.get_close_matches(name, near, n=1), later)
        for name in names
        if not meant(known, [name])
    ]


def _not_found(name: str, near: Sequence[str], later: str) -> Problem:
    hints = [*(f"did you mean {one}?" for one in near), *([later] if later else [])]
    message = f"there is no container or Compose project {name}"
    return Problem(code="NotFound", message=message, hint=" ".join(hints) or "mizzen containers lists them")


def _all(published: Published) -> Sequence[ContainerState]:
    report = published.report
    return (*report.containers, *report.look.containers) if report else ()


def _waiting(published: Published) -> list[str]:
    """Returns what is attached and means nothing that exists."""
    attached = [one.target for one in published.desired.attachments if one.proxy != OUTSIDE]
    return [one for one in attached if one != EVERYTHING and not meant(_all(published), [one])]


def _taken(published: Published | None, number: int) -> bool:
    """Tells whether the node knows the attachments of this number, so that what it says of containers is about them."""
    return bool(published and published.report and published.report.attachments_version >= number)


def _settled(published: Published | None, number: int, targets: Iterable[str]) -> bool:
    """Tells whether the node has done what the attachments of this number ask for, as far as it can."""
    if published is None or published.report is None or not _taken(published, number):
        return False
    return not any(one.state in _UNDER_WAY for one in meant(published.report.containers, targets))


def meant(containers: Sequence[ContainerState], targets: Iterable[str]) -> list[ContainerState]:
    """Returns the containers that targets mean, as the node reads them, and those too that their labels keep outside."""
    wanted = tuple(targets)
    exact = {name for one in containers for name in (one.name, one.project)}
    return [one for one in containers if any(_means(target, one, exact) for target in wanted)]


def _means(target: str, container: ContainerState, exact: Collection[str]) -> bool:
    if target in {EVERYTHING, container.name, container.project or container.name}:
        return True
    is_id = _ID.fullmatch(target) is not None and container.id.startswith(target)
    return target not in exact and (is_id or target == dns_label(container.name))


def _answer(published: Published, targets: Sequence[str], *, all_: bool = False) -> dict[str, object]:
    """Returns the containers that targets mean, and as ``unmatched`` the targets that mean none which runs now.

    ``all_`` are also those that the node does not watch, as it saw them last.
    """
    report = published.report or Report(node="")
    known = [one for one in _all(published) if one.state != "Stopped"] if all_ else report.containers
    unseen = [report.look.problem] if all_ and report.look.problem and not report.problems else []
    return {
        "items": meant(known, targets),
        "unmatched": [one for one in targets if one != EVERYTHING and not meant(known, [one])],
        "problems": [*report.problems, *unseen],
        "version": published.snapshot.version,
    }
