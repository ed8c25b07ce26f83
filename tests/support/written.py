"""Resources as users write them, in few words: each function returns the YAML of one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml


def _resource(api: str, kind: str, name: str, namespace: str, spec: Mapping[str, Any], **metadata: Any) -> str:
    document = {
        "apiVersion": api,
        "kind": kind,
        "metadata": {"name": name, "namespace": namespace, **metadata},
        "spec": dict(spec),
    }
    return "---\n" + yaml.safe_dump(document, sort_keys=False)


def service(name: str, *ports: Mapping[str, Any] | tuple[str, int], namespace: str = "default", **spec: Any) -> str:
    """A Service that picks ``app: <name>``; a port is its name and number, or all that can be said of it."""
    written = [dict(zip(("name", "port"), port, strict=True)) if isinstance(port, tuple) else port for port in ports]
    spec = {"selector": {"app": name}, **spec}
    return _resource("v1", "Service", name, namespace, {**spec, "ports": written or [{"name": "http", "port": 9080}]})


def workload(
    name: str,
    *ports: Mapping[str, Any] | tuple[str, int],
    namespace: str = "default",
    labels: Mapping[str, str] | None = None,
    **spec: Any,
) -> str:
    """A Workload with the label ``app: <name>`` and one HTTP port."""
    written = [
        dict(zip(("name", "containerPort"), port, strict=True)) if isinstance(port, tuple) else port for port in ports
    ]
    spec = {"command": ["serve"], "ports": written or [{"name": "http", "containerPort": 9080}], **spec}
    return _resource(
        "mizzen.dev/v1alpha1", "Workload", name, namespace, spec, labels={"app": name} if labels is None else labels
    )


def virtual_service(
    name: str, *http: Mapping[str, Any], hosts: list[str] | None = None, namespace: str = "default", **spec: Any
) -> str:
    """A VirtualService for the host of its own name, a delegate with no hosts; without routes, to that host."""
    hosts = [name] if hosts is None else hosts
    routes = list(http) or [to(hosts[0])]
    return _resource(
        "networking.istio.io/v1", "VirtualService", name, namespace, {"hosts": hosts, "http": routes, **spec}
    )


def gateway_workload(name: str = "ingress", namespace: str = "default", **spec: Any) -> str:
    """A gateway with the label ``istio: <name>gateway``."""
    labels = {"istio": f"{name}gateway"}
    return _resource("mizzen.dev/v1alpha1", "Workload", name, namespace, {"gateway": {}, **spec}, labels=labels)


def gateway(name: str, *servers: Mapping[str, Any], namespace: str = "default", **spec: Any) -> str:
    """A Gateway for the gateway ``ingress``."""
    spec = {"selector": {"istio": "ingressgateway"}, "servers": list(servers), **spec}
    return _resource("networking.istio.io/v1", "Gateway", name, namespace, spec)


def server(number: int = 80, *hosts: str, protocol: str = "HTTP", **fields: Any) -> dict[str, Any]:
    """A server of a Gateway, for all hosts unless some are named."""
    name = "-".join([protocol.lower(), str(number), *(host.strip("*./") for host in hosts)])
    port = {"number": number, "name": name, "protocol": protocol}
    return {"port": port, "hosts": list(hosts) or ["*"], **fields}


def destination_rule(name: str, *, host: str | None = None, namespace: str = "default", **spec: Any) -> str:
    """A DestinationRule for the host of its own name."""
    return _resource("networking.istio.io/v1", "DestinationRule", name, namespace, {"host": host or name, **spec})


def service_entry(
    name: str,
    *ports: Mapping[str, Any] | tuple[str, int],
    namespace: str = "default",
    labels: Mapping[str, str] | None = None,
    **spec: Any,
) -> str:
    """A ServiceEntry for the host ``<name>.example.com`` and HTTP; a port is its protocol and number, or all of it."""
    written = [
        dict(port)
        if isinstance(port, Mapping)
        else {"number": port[1], "name": f"{port[0].lower()}-{port[1]}", "protocol": port[0]}
        for port in ports or (("HTTP", 80),)
    ]
    spec = {"hosts": [f"{name}.example.com"], "ports": written, **spec}
    return _resource("networking.istio.io/v1", "ServiceEntry", name, namespace, spec, labels=dict(labels or {}))


def workload_entry(
    name: str, address: str, namespace: str = "default", labels: Mapping[str, str] | None = None, **spec: Any
) -> str:
    """A WorkloadEntry with the label ``app: <name>``."""
    labels = {"app": name} if labels is None else labels
    return _resource(
        "networking.istio.io/v1", "WorkloadEntry", name, namespace, {"address": address, **spec}, labels=dict(labels)
    )


def sidecar(*egress: str | Mapping[str, Any], name: str = "default", namespace: str = "default", **spec: Any) -> str:
    """A Sidecar; hosts are those of one egress listener without a port."""
    hosts = [one for one in egress if isinstance(one, str)]
    listeners = [one for one in egress if not isinstance(one, str)] + ([{"hosts": hosts}] if hosts else [])
    return _resource(
        "networking.istio.io/v1", "Sidecar", name, namespace, ({"egress": listeners} if listeners else {}) | spec
    )


def envoy_filter(name: str, *patches: Mapping[str, Any], namespace: str = "default", **spec: Any) -> str:
    spec = ({"configPatches": list(patches)} if patches else {}) | spec
    return _resource("networking.istio.io/v1alpha3", "EnvoyFilter", name, namespace, spec)


def proxy_config(name: str, namespace: str = "default", **spec: Any) -> str:
    return _resource("networking.istio.io/v1beta1", "ProxyConfig", name, namespace, spec)


def patch(target: str, operation: str, value: Mapping[str, Any] | None = None, **match: Any) -> dict[str, Any]:
    """A patch of an EnvoyFilter, with the conditions of its match."""
    written = {"operation": operation} | ({} if value is None else {"value": dict(value)})
    return {"applyTo": target, "patch": written} | ({"match": match} if match else {})


def typed(name: str, type_name: str, **config: Any) -> dict[str, Any]:
    """A filter of this name, with a configuration of one of Envoy's types (the end of its name)."""
    return {
        "name": name,
        "typed_config": {"@type": f"type.googleapis.com/envoy.extensions.filters.{type_name}", **config},
    }


def mesh_config(name: str = "mesh", **spec: Any) -> str:
    return _resource("mizzen.dev/v1alpha1", "MeshConfig", name, "default", spec)


def rate_limit(name: str, /, **spec: Any) -> str:
    return _resource("mizzen.dev/v1alpha1", "RateLimit", name, "default", spec)


def to(host: str, subset: str = "", **route: Any) -> dict[str, Any]:
    """A route to one destination."""
    return {"route": [{"destination": {"host": host} | ({"subset": subset} if subset else {})}], **route}


def subset(name: str, **policy: Any) -> dict[str, Any]:
    """A subset of what carries ``version: <name>``."""
    return {"name": name, "labels": {"version": name}} | ({"trafficPolicy": policy} if policy else {})
