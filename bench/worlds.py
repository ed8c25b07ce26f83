"""Worlds for a control plane without any process behind them: resources, and a node's report of what runs.

:func:`bookinfo` is the example with as many replicas as proxies are wanted; :func:`services` is a larger mesh in which
every proxy may call every service. Each has one route with two weights that can be changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from bench.mesh import BOOKINFO
from mizzen.registry.reports import Instance, InstancePort, OutboundPort, Report

_FIRST_PORT = 20000
_DOMAIN = "default.svc.cluster.local"
_BOOKINFO_WORKLOADS = ("productpage-v1", "details-v1", "reviews-v1", "reviews-v2", "reviews-v3", "ratings-v1")


@dataclass(frozen=True)
class World:
    """``texts`` are the resources; ``left`` and ``right`` are the destinations between which ``host`` is divided."""

    texts: tuple[str, ...]
    workloads: tuple[str, ...]
    hosts: tuple[str, ...]
    host: str
    left: dict[str, str]
    right: dict[str, str]

    def route(self, weight: int) -> str:
        """Returns the VirtualService that sends ``weight`` per cent to the left."""
        destinations = ((self.left, weight), (self.right, 100 - weight))
        spec = {
            "hosts": [self.host],
            "http": [{"route": [{"destination": one, "weight": share} for one, share in destinations]}],
        }
        return _yaml("networking.istio.io/v1", "VirtualService", self.host, spec)

    def report(self, count: int, capture: str = "explicit") -> Report:
        """Returns the report of a node on which ``count`` instances run."""
        workloads = [self.workloads[number % len(self.workloads)] for number in range(count)]
        instances = (self._instance(number, workload, capture) for number, workload in enumerate(workloads))
        return Report(node="bench", instances=tuple(instances))

    def _instance(self, number: int, workload: str, capture: str) -> Instance:
        app, _, version = workload.partition("-v")
        explicit = capture == "explicit"
        first = _FIRST_PORT + number * (len(self.hosts) + 3)
        port = InstancePort(number=9080, name="http", application=9080, inbound=9080)
        if explicit:
            port = InstancePort(number=9080, name="http", application=first, inbound=first + 1)
        outbound = (
            OutboundPort(host=f"{host}.{_DOMAIN}", port=9080, local=first + 3 + at)
            for at, host in enumerate(self.hosts)
        )
        return Instance(
            name=f"{workload}-{number // len(self.workloads)}",
            namespace="default",
            workload=workload,
            digest="bench",
            phase="Running",
            ready=True,
            labels={"app": app, "version": f"v{version}" if version else "v1"},
            capture=capture,
            address="127.0.0.1" if explicit else f"10.99.{number // 250}.{number % 250 + 2}",
            ports=(port,),
            outbound=tuple(outbound) if explicit else (),
            http_proxy=first + 2 if explicit else 0,
        )


def bookinfo() -> World:
    texts = [(BOOKINFO / "bookinfo.yaml").read_text()]
    texts.append((BOOKINFO / "networking" / "destination-rule-all.yaml").read_text())
    return World(
        texts=tuple(texts),
        workloads=_BOOKINFO_WORKLOADS,
        hosts=("productpage", "details", "reviews", "ratings"),
        host="reviews",
        left={"host": "reviews", "subset": "v1"},
        right={"host": "reviews", "subset": "v2"},
    )


def services(count: int) -> World:
    """Returns a mesh of ``count`` services; two services lead to each workload."""
    names = tuple(f"s{number:03}" for number in range(count))
    workloads = names[: count // 2]
    return World(
        texts=(_services(names, workloads),),
        workloads=workloads,
        hosts=names,
        host=names[1],
        left={"host": names[1]},
        right={"host": names[2]},
    )


def _services(names: Sequence[str], workloads: Sequence[str]) -> str:
    made = []
    for number, name in enumerate(names):
        app = workloads[number % len(workloads)]
        ports = [{"name": "http", "port": 9080}]
        made.append(_yaml("v1", "Service", name, {"selector": {"app": app}, "ports": ports}))
    for name in workloads:
        spec = {"command": ["serve"], "ports": [{"name": "http", "containerPort": 9080}]}
        made.append(_yaml("mizzen.dev/v1alpha1", "Workload", name, spec, {"app": name}))
    return "---\n".join(made)


def _yaml(api: str, kind: str, name: str, spec: dict[str, Any], labels: dict[str, str] | None = None) -> str:
    metadata = {"name": name, "labels": labels or {}}
    return yaml.safe_dump({"apiVersion": api, "kind": kind, "metadata": metadata, "spec": spec}, sort_keys=False)
