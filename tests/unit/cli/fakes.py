"""A fake of the HTTP API, and how tests run a command line."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from click.testing import CliRunner, Result
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from mizzen.cli.application import application
from mizzen.registry.reports import ContainerState, Instance, InstancePort

StartMesh = Callable[..., Path]

LONG_AGO = (3 * 24 + 12) * 3600 + 1800
"""Seconds that are shown as 3d12h, with half an hour to spare."""


class FakeApi:
    """Answers as told by ``METHOD /path`` and keeps what was asked."""

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {}
        self.asked: list[tuple[str, dict[str, str], Any]] = []

    def reset(self) -> None:
        self.answers.clear()
        self.asked.clear()

    def on(self, what: str, answer: Any, status: int = 200) -> None:
        """``answer`` is JSON, text, or a function of (query, body) that returns either, or that and a status."""
        self.answers[what] = (answer, status)

    def bodies(self, what: str) -> list[Any]:
        return [body for asked, _, body in self.asked if asked == what]

    def queries(self, what: str) -> list[dict[str, str]]:
        return [query for asked, query, _ in self.asked if asked == what]

    async def respond(self, request: Request) -> Response:
        what = f"{request.method} {request.url.path}"
        raw = await request.body()
        body = json.loads(raw) if raw else None
        self.asked.append((what, dict(request.query_params), body))
        answer, status = self.answers.get(what, ({"problems": [{"code": "NotFaked", "message": what}]}, 404))
        if callable(answer):
            answer = answer(dict(request.query_params), body)
        if isinstance(answer, tuple):
            answer, status = answer
        if isinstance(answer, str):
            return PlainTextResponse(answer, status)
        return JSONResponse(msgspec.to_builtins(answer), status)


def run(*arguments: str, stdin: str | bytes | None = None) -> Result:
    """Runs a command line, as from a pipe."""
    return CliRunner().invoke(application, list(arguments), input=stdin)


def out(*arguments: str, stdin: str | None = None) -> str:
    """Runs a command line that must succeed and say nothing on stderr; returns what it answers."""
    result = run(*arguments, stdin=stdin)
    assert (result.exit_code, result.stderr) == (0, ""), result.output
    return result.stdout


def instance(name: str, workload: str, **changes: Any) -> Instance:
    facts: dict[str, Any] = {
        "name": name,
        "namespace": "default",
        "workload": workload,
        "digest": "d",
        "phase": "Running",
        "ready": True,
        "pid": 100,
        "started": time.time() - LONG_AGO,
        "ports": (InstancePort(number=9080, application=40001, inbound=40002, name="http"),),
    }
    return Instance(**(facts | changes))


def container(name: str, state: str = "Attached", **changes: Any) -> ContainerState:
    facts = {"id": f"{name.encode().hex()}00" * 4, "project": "shop", "instance": name, "namespace": "default"}
    return ContainerState(name=name, state=state, **(facts | changes))
