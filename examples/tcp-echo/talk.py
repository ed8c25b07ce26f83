"""Connects to tcp-echo as often as it is told, sends a line each time, and counts who answered."""

from __future__ import annotations

import os
import socket
import sys
from collections import Counter


def answer(address: tuple[str, int]) -> str:
    with socket.create_connection(address, timeout=10) as connection:
        stream = connection.makefile("rw")
        stream.readline()  # the greeting
        stream.write("hello\n")
        stream.flush()
        return stream.readline().partition(" ")[0]


def main() -> None:
    address = os.environ["TCP_ECHO_SERVICE_HOST"], int(os.environ["TCP_ECHO_SERVICE_PORT"])
    times = int(sys.argv[1]) if len(sys.argv) > 1 else 1
    for word, count in sorted(Counter(answer(address) for _ in range(times)).items()):
        print(word, count)


if __name__ == "__main__":
    main()
