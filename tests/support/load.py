"""Sends requests at a fixed rate, whatever comes back (open loop), and counts what did: ``python -m tests.support.load``.

It runs where a workload runs (``mizzen exec``), so it works the same in every capture mode: where there is an HTTP proxy
in the environment it is used, as an application would. It ends after ``--count`` requests, or when its standard input
ends, and prints one line of JSON:

    {"sent": 400, "statuses": {"200": 400}, "versions": {"v1": 361, "v3": 39}, "failed": 0, "failures": [], "p50": 2.1, "p99": 7.4}
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import statistics
import sys
from collections import Counter
from dataclasses import dataclass, field
from urllib.parse import urlsplit

TIMEOUT = 15.0


@dataclass
class Tally:
    sent: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    versions: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    milliseconds: list[float] = field(default_factory=list)

    def to_json(self) -> str:
        cuts = statistics.quantiles(self.milliseconds, n=100) if len(self.milliseconds) > 1 else [0.0] * 99
        return json.dumps(
            {
                "sent": self.sent,
                "statuses": dict(self.statuses),
                "versions": dict(self.versions),
                "failed": len(self.failures),
                "failures": self.failures[:20],
                "p50": round(cuts[49], 2),
                "p99": round(cuts[98], 2),
            }
        )


class Client:
    """As much of an HTTP/1.1 client as is needed, and no more: the machine that runs the mesh also runs this.

    Connections are kept and used again, the latest first, unless the server has closed them, as an application's pool
    does. Through a proxy the request names the whole URL. With ``again`` a request is sent again, over a new connection,
    if a kept one was closed before it answered anything (RFC 9110, 9.2.2), which no server can rule out that closes an idle
    connection.
    """

    def __init__(self, url: str, headers: dict[str, str], *, again: bool = False) -> None:
        self._again = again
        target = urlsplit(url)
        proxy = os.environ.get("http_proxy")
        at = urlsplit(proxy) if proxy else target
        self._address = (at.hostname or "", at.port or 80)
        lines = [f"GET {url if proxy else target.path or '/'} HTTP/1.1", f"Host: {target.netloc}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        self._request = "\r\n".join([*lines, "", ""]).encode()
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def get(self) -> tuple[int, dict[str, str], bytes]:
        if kept := self._kept():
            try:
                return await self._exchange(*kept)
            except (EOFError, ConnectionError):
                if not self._again:
                    raise
        return await self._exchange(*await asyncio.open_connection(*self._address))

    async def _exchange(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> tuple[int, dict[str, str], bytes]:
        try:
            writer.write(self._request)
            status, headers, body = await self._answer(reader)
        except BaseException:
            writer.close()
            raise
        if headers.get("connection") == "close":
            writer.close()
        else:
            self._idle.append((reader, writer))
        return status, headers, body

    def _kept(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        while self._idle:
            reader, writer = self._idle.pop()
            if not reader.at_eof():
                return reader, writer
            writer.close()
        return None

    async def _answer(self, reader: asyncio.StreamReader) -> tuple[int, dict[str, str], bytes]:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
        if headers.get("transfer-encoding") == "chunked":
            body = b""
            while size := int(await reader.readline(), 16):
                body += (await reader.readexactly(size + 2))[:-2]
            await reader.readline()
        else:
            body = await reader.readexactly(int(headers.get("content-length", 0)))
        return int(head[0].split()[1]), headers, body

    def close(self) -> None:
        for _, writer in self._idle:
            writer.close()


async def _one(client: Client, due: float, tally: Tally) -> None:
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(TIMEOUT):
            status, headers, body = await client.get()
    except (OSError, EOFError, TimeoutError) as error:
        tally.failures.append(f"{type(error).__name__} after {loop.time() - due:.1f} s: {error}")
        return
    tally.milliseconds.append((loop.time() - due) * 1000)
    tally.statuses[str(status)] += 1
    tally.versions[headers.get("x-bookinfo-version", "")] += 1
    if status != 200:
        tally.failures.append(f"{status} after {loop.time() - due:.1f} s: {body[:200]!r} {headers}")


async def _end_of_input(stop: asyncio.Event) -> None:
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    await reader.read()
    stop.set()


async def run(options: argparse.Namespace) -> Tally:
    tally, stop, loop = Tally(), asyncio.Event(), asyncio.get_running_loop()
    client = Client(options.url, dict(header.split("=", 1) for header in options.header), again=options.again)
    async with asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(_end_of_input(stop)) if not options.count else None
        due = loop.time()
        while not stop.is_set() and (not options.count or tally.sent < options.count):
            due += random.expovariate(options.rate)
            if (early := due - loop.time()) > 0:
                await asyncio.sleep(early)
            tasks.create_task(_one(client, due, tally))
            await asyncio.sleep(0)
            tally.sent += 1
            if tally.sent == 1:
                print("started", file=sys.stderr, flush=True)
        if waiting:
            waiting.cancel()
    client.close()
    return tally


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("--rate", type=float, default=200.0, help="requests a second, in Poisson intervals")
    parser.add_argument("--count", type=int, default=0, help="how many requests; 0: until standard input ends")
    parser.add_argument("--header", action="append", default=[], help="NAME=VALUE")
    parser.add_argument("--again", action="store_true", help="send again what a kept connection never answered")
    print(asyncio.run(run(parser.parse_args())).to_json(), flush=True)


if __name__ == "__main__":
    main()
