"""Finds what a Service's selector picks, and which Services pick something, without looking at all of either.

A selector picks what is in its own namespace and has every one of its labels; an empty selector picks nothing
(Kubernetes). Both indexes give what they find in the order in which it came in.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Generic, TypeVar

from mizzen.resources.resource import Resource
from mizzen.resources.service import ServiceSpec

ItemT = TypeVar("ItemT")
_Label = tuple[str, str, str]


def picks(service: Resource[ServiceSpec], namespace: str, labels: Mapping[str, str]) -> bool:
    """Tells whether a Service picks what has these labels in this namespace."""
    selector = service.spec.selector
    return bool(selector) and namespace == service.namespace and selector.items() <= labels.items()


class Labelled(Generic[ItemT]):
    """Things with a namespace and labels, for Services that pick them."""

    def __init__(self, items: Iterable[tuple[str, Mapping[str, str], ItemT]]) -> None:
        self._by_label: defaultdict[_Label, list[tuple[str, Mapping[str, str], ItemT]]] = defaultdict(list)
        for item in items:
            for name, value in item[1].items():
                self._by_label[item[0], name, value].append(item)

    def picked(self, service: Resource[ServiceSpec]) -> list[ItemT]:
        """Returns what a Service picks."""
        return self.with_labels(service.namespace, service.spec.selector)

    def with_labels(self, namespace: str, selector: Mapping[str, str]) -> list[ItemT]:
        """Returns what has all labels of a selector in a namespace; nothing for an empty one."""
        candidates = [self._by_label.get((namespace, name, value), []) for name, value in selector.items()]
        fewest = min(candidates, key=len, default=[])
        return [item for _, labels, item in fewest if selector.items() <= labels.items()]


class Services:
    """Service resources, for what they pick."""

    def __init__(self, services: Iterable[Resource[ServiceSpec]]) -> None:
        self._by_label: defaultdict[_Label, list[tuple[int, Resource[ServiceSpec]]]] = defaultdict(list)
        for number, service in enumerate(services):
            if service.spec.selector:
                # One of its labels is enough to find it by; the least in the alphabet is as good as any.
                name, value = min(service.spec.selector.items())
                self._by_label[service.namespace, name, value].append((number, service))

    def picking(self, namespace: str, labels: Mapping[str, str]) -> list[Resource[ServiceSpec]]:
        """Returns the Services that pick what has these labels."""
        candidates = [
            entry for name, value in labels.items() for entry in self._by_label.get((namespace, name, value), ())
        ]
        return [
            service
            for _, service in sorted(candidates, key=lambda entry: entry[0])
            if picks(service, namespace, labels)
        ]
