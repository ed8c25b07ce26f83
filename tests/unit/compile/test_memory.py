from __future__ import annotations

import gc
import weakref

from tests.support.worlds import Snapshots, read
from tests.support.written import service, to, virtual_service, workload

from mizzen.compile.compiler import Compiler
from mizzen.compile.memory import remember_in_use
from mizzen.compile.resource import ROUTES, XdsResource


def test_what_somebody_holds_is_made_once_and_what_nobody_holds_is_forgotten() -> None:
    made = []

    def build(view: str) -> XdsResource:
        made.append(view)
        return XdsResource(view, "", b"")

    remembered = remember_in_use(build)
    held = remembered("held")
    remembered("dropped")
    gc.collect()
    assert remembered("held") is held
    remembered("dropped")
    assert made == ["held", "dropped", "dropped"]


def test_routes_that_are_no_longer_served_are_not_kept() -> None:
    """A route configuration has all hosts of a port: it may be of a megabyte, and each change of a route makes another."""
    compiler, snapshots = Compiler(), Snapshots("transparent")

    def served(timeout: str) -> weakref.ref[XdsResource]:
        now = snapshots.next(read(service("a"), workload("client"), virtual_service("a", to("a", timeout=timeout))))
        return weakref.ref(compiler.compile(now.proxies["client-0.default"], now)[ROUTES]["9080"])

    first = served("1s")
    assert first()
    for timeout in ("2s", "3s"):  # what was before a change is held until the next one
        last = served(timeout)
    gc.collect()
    assert first() is None
    assert last()
