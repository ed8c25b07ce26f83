"""The API of a world, asked as its clients do."""

from __future__ import annotations

import json
from typing import Any

import httpx2
import msgspec
from tests.support.worlds import instances_of, read
from tests.support.written import service, workload

from mizzen.control.world import World
from mizzen.registry.reports import Report
from mizzen.settings import Settings
from mizzen.xds.status import Fleet

TEXTS = (service("a"), workload("a", replicas=2))
FILES = {"files": [{"name": "a.yaml", "text": "".join(TEXTS)}]}


class Api:
    """The API of a world in which two replicas of ``a`` run as soon as they are applied."""

    def __init__(self, client: httpx2.AsyncClient, world: World, settings: Settings, fleet: Fleet) -> None:
        self.client = client
        self.world = world
        self.settings = settings
        self.fleet = fleet

    async def get(self, path: str, status: int = 200, **query: Any) -> Any:
        said = await self.client.get(path, params=query)
        assert said.status_code == status, said.text
        return said.json()

    async def post(self, path: str, body: object = None, status: int = 200) -> Any:
        said = await self.client.post(path, content=json.dumps(body))
        assert said.status_code == status, said.text
        return said.json()

    async def put_report(self, **fields: Any) -> int:
        report = Report(node="n", instances=instances_of(read(*TEXTS)), **fields)
        said = await self.client.put("/v1/node/report", content=msgspec.json.encode(report))
        assert said.status_code == 200, said.text
        return int(said.json()["version"])


def codes(answer: Any) -> list[str]:
    return [problem["code"] for problem in answer["problems"]]
