"""Runs the load generator (load.py), in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict

from bench.load import Result, Task


def generate(task: Task) -> Result:
    """Sends what the task says; raises RuntimeError if a request fails."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.load"],
        input=json.dumps(asdict(task)),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    result = Result(**json.loads(done.stdout))
    if result.failures:
        raise RuntimeError(f"{len(result.failures)} requests failed, such as {result.failures[:3]}")
    return result
