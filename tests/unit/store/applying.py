"""A program for test_kill: applies and prints the committed versions until it is killed; then does it again.

One line of input starts a process that opens the database given as argument, prints its process id, and goes on for
ever. When that process has ended the line ``ended`` is printed.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from mizzen.resources.key import Key
from mizzen.resources.loading import load
from mizzen.store import SqliteStore

_TEXT = """\
apiVersion: v1
kind: Service
metadata:
  name: {name}
  labels:
    generation: "{generation}"
spec:
  ports:
  - port: 80
"""
PAIR = ("left", "right")
NEWEST = 5


def key(name: str) -> Key:
    return Key("Service", "default", name)


async def apply_for_ever(path: Path) -> None:
    """Each version holds a pair that belongs together, and the names of the last few generations."""
    store = await SqliteStore.open(path)
    while True:
        generation = store.contents.version + 1
        text = "---\n".join(_TEXT.format(name=name, generation=generation) for name in (*PAIR, f"number-{generation}"))
        old = key(f"number-{generation - NEWEST}")
        delete = [old] if old in store.contents.resources else []
        outcome = await store.change(apply=load(text, "generation.yaml").resources, delete=delete)
        print(outcome.version, flush=True)


def main() -> None:
    for _ in sys.stdin:
        child = os.fork()
        if child == 0:
            print("pid", os.getpid(), flush=True)
            asyncio.run(apply_for_ever(Path(sys.argv[1])))
        os.waitpid(child, 0)
        print("ended", flush=True)


if __name__ == "__main__":
    main()
