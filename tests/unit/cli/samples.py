"""Resources as the API lists them."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def virtual_service(name: str = "reviews", **changes: Any) -> dict[str, Any]:
    return _item("networking.istio.io/v1", "VirtualService", name, changes) | {
        "spec": {"hosts": ["reviews"], "http": [{"route": [{"destination": {"host": "reviews", "subset": "v1"}}]}]}
    }


def destination_rule(name: str = "reviews") -> dict[str, Any]:
    return _item("networking.istio.io/v1", "DestinationRule", name, {}) | {
        "spec": {"host": "reviews", "subsets": [{"name": "v1", "labels": {"version": "v1"}}, {"name": "v2"}]}
    }


def service(name: str = "reviews") -> dict[str, Any]:
    return _item("v1", "Service", name, {}) | {
        "spec": {"selector": {"app": "reviews"}, "ports": [{"name": "http", "port": 9080}, {"port": 53}]}
    }


def workload(name: str = "reviews-v1", replicas: int = 1) -> dict[str, Any]:
    return _item("mizzen.dev/v1alpha1", "Workload", name, {}) | {
        "spec": {"command": ["python", "reviews.py"], "replicas": replicas, "serviceAccount": "reviews"}
    }


def _item(api_version: str, kind: str, name: str, changes: dict[str, Any]) -> dict[str, Any]:
    item = {
        "apiVersion": api_version,
        "kind": kind,
        "metadata": {"name": name, "namespace": "default", "labels": {}, "annotations": {}, "creationOrder": 7},
        "spec": {},
        "status": {"conditions": [{"type": "Accepted", "status": "True", "reason": "Accepted", "message": ""}]},
        "source": {"file": f"{Path.cwd()}/bookinfo.yaml", "line": 3, "text": "..."},
    }
    return item | changes
