"""The stubs of Envoy's API need no package that is not there, so that every value of an EnvoyFilter can be read."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

import mizzen.stubs
from mizzen.envoy_api.types import find

IMPORTED = re.compile(r"^from (google\.[\w.]+) import (\w+)", re.MULTILINE)


def test_what_the_stubs_import_is_there() -> None:
    files = Path(mizzen.stubs.__path__[0]).rglob("*_pb2.py")
    needed = {f"{package}.{module}" for file in files for package, module in IMPORTED.findall(file.read_text())}
    assert "google.protobuf.any_pb2" in needed
    assert [name for name in sorted(needed) if not _is_there(name)] == []


def _is_there(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


@pytest.mark.parametrize(
    "name",
    [
        "envoy.extensions.filters.http.rbac.v3.RBAC",
        "envoy.extensions.filters.network.rbac.v3.RBAC",
        "envoy.extensions.rate_limit_descriptors.expr.v3.Descriptor",
        "xds.type.v3.TypedStruct",
        "xds.type.v3.CelExpression",
    ],
)
def test_types_that_need_expressions_are_found(name: str) -> None:
    found = find(name)
    assert found is not None
    assert found.full_name == name
