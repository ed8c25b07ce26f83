"""Load on a mesh while tests change it: :mod:`tests.support.load` beside a workload, and what came of it."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.support.meshes import Mesh

_PROGRAM = str(Path(__file__).with_name("load.py"))


@dataclass
class Load:
    """Load that runs; ``result`` is there when its context has ended."""

    process: subprocess.Popen[str]
    result: dict[str, Any] = field(default_factory=dict)

    def assert_nothing_failed(self, at_least: int) -> None:
        assert self.result["failures"] == [], self.result
        assert self.result["statuses"] == {"200": self.result["sent"]}, self.result
        assert self.result["sent"] >= at_least, self.result


def command_of(workload: str, url: str, *options: str) -> list[str]:
    return ["exec", workload, "--", sys.executable, _PROGRAM, url, *options]


@contextlib.contextmanager
def running_load(mesh: Mesh, workload: str, url: str, *options: str) -> Iterator[Load]:
    process = subprocess.Popen(
        mesh.command(*command_of(workload, url, *options)),
        env=mesh.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    load = Load(process)
    try:
        assert process.stderr
        assert process.stderr.readline().strip() == "started"
        yield load
    finally:
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    load.result = json.loads(out)
