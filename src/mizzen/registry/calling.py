"""Finds what runs by the names that people call it by, the same for all commands. Pure.

From the most exact to the least: an instance with its namespace (`web-0.default`), as `mizzen status` shows it; a container,
by the name that its engine has; an instance (`web-0`); a workload, of which there may be several instances.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the command line imports this, and should start soon
    from mizzen.registry.reports import ContainerState, Instance


def called(
    name: str, namespace: str, instances: Iterable[Instance], containers: Iterable[ContainerState]
) -> list[Instance]:
    """Returns the instances that a name means in a namespace, "" for any; a name with its namespace is of that one.

    Containers `web_1` and `web-1` would both be the instance `web-1`, which only one of them is. So where a container has
    exactly this name, what is another container's is not meant.
    """
    known = list(containers)
    exact = {_instance(one) for one in known if one.name == name and one.instance}
    others = {_instance(one) for one in known if one.name != name} if any(one.name == name for one in known) else set()
    every = [one for one in instances if _key(one) in exact or _key(one) not in others]
    here = [one for one in every if namespace in ("", one.namespace)]
    return (
        [one for one in every if f"{one.name}.{one.namespace}" == name]
        or [one for one in here if _key(one) in exact]
        or [one for one in here if one.name == name]
        or [one for one in every if f"{one.workload}.{one.namespace}" == name]
        or [one for one in here if one.workload == name]
    )


def excluded(name: str, containers: Iterable[ContainerState]) -> ContainerState | None:
    """Returns the container of this name if it is no instance, neither in the mesh nor beside it."""
    return next((one for one in containers if one.name == name and not one.instance), None)


def _key(instance: Instance) -> tuple[str, str]:
    return (instance.namespace, instance.name)


def _instance(container: ContainerState) -> tuple[str, str]:
    return (container.namespace, container.instance)
