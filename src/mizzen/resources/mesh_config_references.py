"""Checks that a mesh has one MeshConfig. Pure; a part of :mod:`mizzen.resources.references`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from mizzen.resources.mesh_config import MeshConfigSpec
from mizzen.resources.problems import Problem
from mizzen.resources.resource import Resource


def mesh_configs(resources: Iterable[Resource[Any]]) -> list[Resource[MeshConfigSpec]]:
    """Returns the MeshConfigs, the oldest first, which is the one that counts."""
    found = (one for one in resources if isinstance(one.spec, MeshConfigSpec))
    return sorted(found, key=lambda one: one.age)


def several(resources: Iterable[Resource[Any]]) -> Iterator[Problem]:
    """Yields an error for each MeshConfig but the oldest."""
    for later in (first := mesh_configs(resources))[1:]:
        message = f"a mesh has one MeshConfig, and {first[0].key} at {first[0].source.position()} is there already"
        hint = "put all into one, or delete one of them"
        yield Problem("SeveralMeshConfigs", message, position=later.source.position(), resource=later.key, hint=hint)
