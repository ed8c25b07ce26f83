"""Stands for `nc`: `talk.py HOST PORT CONNECTIONS` sends a line on each of many connections, and counts who answered."""

from __future__ import annotations

import socket
import sys
from collections import Counter


def answer(host: str, port: int) -> str:
    with socket.create_connection((host, port), timeout=10) as connection:
        stream = connection.makefile("rw")
        stream.write("hello\n")
        stream.flush()
        return stream.readline().partition(" ")[0]


if __name__ == "__main__":
    answers = Counter(answer(sys.argv[1], int(sys.argv[2])) for _ in range(int(sys.argv[3])))
    for word, count in sorted(answers.items()):
        print(word, count)
