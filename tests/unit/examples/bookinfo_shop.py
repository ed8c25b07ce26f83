"""What the tests of examples/bookinfo stand on: its services as processes, and names that lead to them.

A forward proxy takes the mesh's place: the services find it in ``http_proxy``, as in explicit capture, and it leads the
names ``details``, ``reviews``... to the loopback port of a process or to an answer made up by the test.
"""

from __future__ import annotations

import contextlib
import dataclasses
import http.client
import json
import subprocess
import urllib.parse
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

BOOKINFO = Path(__file__).parents[3] / "examples" / "bookinfo"
V2 = {"ENABLE_RATINGS": "true", "SERVICE_VERSION": "v2"}
V3 = {"ENABLE_RATINGS": "true", "SERVICE_VERSION": "v3", "STAR_COLOR": "red"}

Stub = Callable[[str], tuple[int, bytes]]


@dataclasses.dataclass
class Got:
    status: int
    body: bytes
    headers: http.client.HTTPMessage

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def text(self) -> str:
        return self.body.decode()


def fetch(
    port: int, path: str, headers: Mapping[str, str] = {}, *, method: str = "GET", body: bytes | None = None
) -> Got:
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=20)) as connection:
        connection.request(method, path, body=body, headers=dict(headers))
        response = connection.getresponse()
        return Got(response.status, response.read(), response.headers)


class Names:
    """The forward proxy: where each name leads, and what was asked of it."""

    def __init__(self) -> None:
        self.targets: dict[str, int | Stub] = {}
        self.asked: list[tuple[str, str, dict[str, str]]] = []
        self.port = 0

    def headers_to(self, name: str) -> dict[str, str]:
        return next(headers for host, _, headers in reversed(self.asked) if host == name)

    def paths_of(self, name: str) -> list[str]:
        return [path for host, path, _ in self.asked if host == name]

    def answer(self, url: str, headers: dict[str, str]) -> tuple[int, bytes, dict[str, str]]:
        parts = urllib.parse.urlsplit(url)
        assert (parts.scheme, parts.port) == ("http", 9080)
        assert parts.hostname is not None
        assert headers["host"] == parts.netloc
        self.asked.append((parts.hostname, parts.path, headers))
        target = self.targets.get(parts.hostname)
        if target is None:
            return 503, b"no healthy upstream", {}
        if callable(target):
            status, body = target(parts.path)
            return status, body, {}
        got = fetch(target, parts.path, headers)
        return got.status, got.body, {k: v for k, v in got.headers.items() if k.startswith("x-bookinfo-")}


@dataclasses.dataclass
class App:
    process: subprocess.Popen[str]
    port: int
    greeting: str

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline()


Start = Callable[..., App]
