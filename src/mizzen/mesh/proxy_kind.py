"""The kinds of proxies."""

from __future__ import annotations

import enum


class ProxyKind(enum.StrEnum):
    """What a proxy is: an Envoy beside one workload, one Envoy for all workloads of a host, a gateway, or a gRPC library."""

    SIDECAR = "sidecar"
    NODE = "node"
    GATEWAY = "router"  # as Istio calls it
    PROXYLESS = "proxyless"
