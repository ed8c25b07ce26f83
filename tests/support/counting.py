"""Sends requests one after the other on one connection, run as a program: ``counting.py SERVICE PORT COUNT PATH [HEADERS]``.

``HEADERS`` are JSON, in which ``{}`` stands for the number of the request. Prints how often which status came, as JSON, and the
headers of the last answer.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import sys
from collections import Counter

from asking import address  # type: ignore[import-not-found] # beside this program


def main(service: str, port: str, count: str, path: str, headers: str = "{}") -> None:
    statuses: Counter[int] = Counter()
    last: dict[str, str] = {}
    where: tuple[str, int] = address(service, port)
    with contextlib.closing(http.client.HTTPConnection(where[0], where[1], timeout=20)) as connection:
        for number in range(int(count)):
            sent = {name: value.format(number) for name, value in json.loads(headers).items()}
            connection.request(sent.pop(":method", "GET"), path, headers=sent)
            answer = connection.getresponse()
            answer.read()
            statuses[answer.status] += 1
            last = dict(answer.getheaders())
    print(json.dumps({"statuses": statuses, "headers": last}))


if __name__ == "__main__":
    main(*sys.argv[1:])
