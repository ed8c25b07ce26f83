"""How the API answers: JSON, and problems when something is wrong."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from mizzen.control.changes import RefusedError
from mizzen.resources.problems import Problem
from mizzen.resources.problems_json import problem_to_json
from mizzen.store.contents import NotFoundError, ReadOnlyError, StoreError


def answer(content: object, status: int = 200) -> Response:
    """Returns a JSON response; ``content`` may hold msgspec structs."""
    return Response(msgspec.json.encode(content), status, media_type="application/json")


def refusal(status: int, problems: Iterable[Problem]) -> Response:
    return answer({"problems": [problem_to_json(problem) for problem in problems]}, status)


def not_found(message: str, hint: str = "") -> Response:
    return refusal(404, [Problem(code="NotFound", message=message, hint=hint)])


async def body(request: Request) -> Any:
    """Returns the decoded JSON body; raises :class:`BadRequestError`."""
    try:
        return msgspec.json.decode(await request.body())
    except (msgspec.DecodeError, RecursionError) as error:
        raise BadRequestError(f"the request's body is no JSON: {error}") from error


class BadRequestError(Exception):
    """A request that does not follow the API."""


def on_bad_request(_: Request, error: Exception) -> Response:
    return refusal(400, [Problem(code="BadRequest", message=str(error))])


def on_refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, RefusedError)
    return refusal(422, error.problems)


def on_store_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, StoreError)
    status = 404 if isinstance(error, NotFoundError) else 409 if isinstance(error, ReadOnlyError) else 500
    return refusal(status, error.problems)
