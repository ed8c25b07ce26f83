"""What users write, for the tests of the stores."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mizzen.resources.key import Key
from mizzen.resources.loading import load
from mizzen.resources.resource import Resource
from mizzen.store import Contents
from mizzen.store.database import Database


def virtual_service(name: str, timeout: int = 1, namespace: str = "") -> str:
    """The text of a VirtualService; ``timeout`` tells one generation from another."""
    where = f"\n  namespace: {namespace}" if namespace else ""
    return f"""\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: {name}{where}
spec:
  hosts: [{name}]
  http:
  - route:
    - destination:
        host: {name}
    timeout: {timeout}s
"""


def documents(*texts: str) -> str:
    return "---\n".join(texts)


def key(name: str, namespace: str = "default") -> Key:
    return Key("VirtualService", namespace, name)


def resource(name: str, timeout: int = 1, file: str = "applied.yaml", namespace: str = "default") -> Resource[Any]:
    loaded = load(virtual_service(name, timeout), file, default_namespace=namespace)
    assert not loaded.problems
    return loaded.resources[0]


def timeouts(contents: Contents) -> dict[str, int]:
    """The generation of each resource, by name."""
    return {key.name: int(resource.spec.http[0].timeout) for key, resource in contents.resources.items()}


def codes(contents: Contents) -> list[str]:
    return [problem.code for problem in contents.problems]


def limit_pages(database: Database, pages: int | None = None) -> None:
    """Fills the disk, as SQLite sees it: the file may not grow beyond so many pages, by default what it has."""
    database._connection.execute(f"PRAGMA max_page_count = {pages or 1}")


def table(path: Path, query: str) -> list[tuple[Any, ...]]:
    """Looks into a database that no store has open."""
    connection = sqlite3.connect(path)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def execute(path: Path, statements: Iterable[str]) -> None:
    connection = sqlite3.connect(path)
    try:
        for statement in statements:
            connection.execute(statement)
        connection.commit()
    finally:
        connection.close()
