"""Stands for fortio: `load.py -c CALLERS -n REQUESTS URL` sends requests, and prints how often it got which answer.

`--bodies` counts the first lines of the answers in place of their statuses.
"""

from __future__ import annotations

import argparse
import urllib.error
import urllib.request
from collections import Counter
from concurrent.futures import ThreadPoolExecutor


def call(url: str, bodies: bool) -> str:
    try:
        with urllib.request.urlopen(url, timeout=20) as answer:
            return str(answer.readline().decode().strip() if bodies else answer.status)
    except urllib.error.HTTPError as error:
        return str(error.code)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("-c", type=int, default=1, metavar="CALLERS", help="how many callers there are at a time")
    parser.add_argument("-n", type=int, default=20, metavar="REQUESTS", help="how many requests they send together")
    parser.add_argument("--bodies", action="store_true", help="count the first lines of the answers")
    parser.add_argument("url")
    options = parser.parse_args()
    with ThreadPoolExecutor(options.c) as callers:
        answers = Counter(callers.map(lambda _: call(options.url, options.bodies), range(options.n)))
    for answer, count in sorted(answers.items()):
        print(f"{count:5} {answer}")
