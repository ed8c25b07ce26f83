"""Which proxy a name means, and which part of it: all of it, or the seat of one instance in the proxy of a node.

A seat's resources are named ``<instance>.<namespace>/...`` (``mizzen.compile.seats``), certificates by their identity.
Envoy is asked for a seat's own and for what belongs to none, and the prefix is taken off: so an instance looks the same,
whatever serves it. Names of other instances' listeners stay whole, since they say where a call goes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mizzen.cli.output import Complaint
from mizzen.registry.calling import called, excluded

if TYPE_CHECKING:
    from mizzen.cli.client import Client
    from mizzen.registry.reports import Instance

_OUTSIDE = "none"
_DEFAULT = "default"
# By what name each path of Envoy's administration interface takes a regular expression for the names of resources.
_FILTERS = {"config_dump": "name_regex", "clusters": "filter"}
_WHOLE = frozenset({"server_listener_name"})


@dataclass(frozen=True)
class Shown:
    """A proxy, and the instance whose seat in it is meant; None where all of the proxy is."""

    proxy: str
    seat: Instance | None = None

    def ask(self, client: Client, path: str, query: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Returns what the administration interface of its Envoy says under a path of those that take a filter."""
        if self.seat is None:
            return client.admin(self.proxy, path, query)
        filtered = {**(query or {}), _FILTERS[path]: names_of(self.seat)}
        found = without_prefix(client.admin(self.proxy, path, filtered), prefix_of(self.seat))
        return dict(found)

    def stats(self, client: Client, wanted: str, path: str, query: Mapping[str, str]) -> str:
        """Returns statistics of its Envoy whose names a regular expression fits; of a seat, those that name it."""
        name = wanted
        if self.seat is not None:
            own = re.escape(prefix_of(self.seat))
            name = f"{own}.*(?:{wanted})|(?:{wanted}).*{own}" if wanted else own
        return client.stats(self.proxy, path, {**query, **({"filter": name} if name else {})})


def proxies_of(instance: Instance) -> tuple[str, ...]:
    """Returns the ids of the proxies that serve an instance; the first is the one that serves it now."""
    if instance.capture == _OUTSIDE:
        return ()
    return instance.proxies or (f"{instance.name}.{instance.namespace}",)


def find(client: Client, name: str, namespace: str = "") -> Shown:
    """Finds a proxy by its id, or by what it serves (see :mod:`mizzen.registry.calling`); raises :class:`Complaint`.

    ``namespace`` is that of a name without one; "" stands for any.
    """
    instances = sorted(client.instances(), key=lambda each: (each.namespace, each.name))
    containers = client.containers().items
    if found := called(name, namespace, instances, containers):
        return _of(_of_one_namespace(name, found))
    if container := excluded(name, containers):
        raise Complaint(f"container {name} is not in the mesh: {container.reason}", hint="See: mizzen containers")
    ids = [proxy.id for proxy in client.proxies()]
    for proxy in ids:
        own, _, home = proxy.rpartition(".")
        if name == proxy or (name == own and namespace in ("", home)):
            return Shown(proxy)
    known = dict.fromkeys([f"{each.name}.{each.namespace}" for each in instances if proxies_of(each)] + sorted(ids))
    shown = "\n  ".join(known) or "none"
    where = f" in namespace {namespace}" if namespace else ""
    raise Complaint(f"there is no proxy {name}{where}", hint=f"Proxies:\n  {shown}")


def _of_one_namespace(name: str, found: Sequence[Instance]) -> Instance:
    """Returns the first instance; of several namespaces, that of `default`, which commands mean where none is given."""
    namespaces = sorted({one.namespace for one in found})
    if len(namespaces) > 1 and _DEFAULT not in namespaces:
        raise Complaint(
            f"there is a {name} in each of the namespaces {', '.join(namespaces)}",
            hint=f"Say which: {', '.join(f'{name}.{one}' for one in namespaces)}",
        )
    return next((one for one in found if one.namespace == _DEFAULT), found[0])


def _of(instance: Instance) -> Shown:
    own = f"{instance.name}.{instance.namespace}"
    ids = proxies_of(instance)
    if not ids:
        raise Complaint(
            f"{own} is a container outside the mesh, and has no proxy", hint=f"Attach it: mizzen attach {instance.name}"
        )
    return Shown(own) if ids[0] == own else Shown(ids[0], instance)


def prefix_of(seat: Instance) -> str:
    """Returns what the names of a seat's resources begin with."""
    return f"{seat.name}.{seat.namespace}/"


def names_of(seat: Instance) -> str:
    """Returns the regular expression (RE2) of the names of a seat's resources, and of those that are in no seat."""
    identity = f"/ns/{re.escape(seat.namespace)}/sa/{re.escape(seat.service_account)}"
    return f"^({re.escape(prefix_of(seat))}.*|[^/]*|spiffe://[^/]*{identity})$"


def without_prefix(message: Any, prefix: str) -> Any:
    """Returns a message of Envoy's in which no name begins with the prefix, but where a neighbour's could stand."""
    if isinstance(message, str):
        return message.removeprefix(prefix)
    if isinstance(message, Mapping):
        return {key: value if key in _WHOLE else without_prefix(value, prefix) for key, value in message.items()}
    if isinstance(message, list):
        return [without_prefix(each, prefix) for each in message]
    return message
