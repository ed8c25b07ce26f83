"""A gateway on the host of containers that are members of the mesh: of those that publish a port, too."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.support.meshes import running
from tests.support.visitors import Visitor
from tests.support.written import gateway, gateway_workload, server, to, virtual_service

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.envoy,
    pytest.mark.privileged,
    pytest.mark.containers,
    pytest.mark.timeout(180),
]


def under(path: str, host: str) -> dict[str, object]:
    return {"match": [{"uri": {"prefix": path}}], **to(host)}


@pytest.mark.parametrize("runtime", ["container-sidecar", "container-node"])
def test_containers_are_called_from_outside(runtime: str, tmp_path: Path) -> None:
    routes = [under("/reviews", "reviews"), under("/", "productpage")]
    (tmp_path / "edge.yaml").write_text(
        gateway_workload()
        + gateway("edge", server(8080))
        + virtual_service("edge", *routes, hosts=["*"], gateways=["edge"])
    )
    with running(tmp_path, capture=runtime) as mesh:
        facts = json.loads(mesh.cli("status", "-o", "json").stdout)
        (ingress,) = (one for one in facts["instances"] if one["gateway"])
        (socket,) = ingress["sockets"]
        with mesh.at_host():
            outside = Visitor(tmp_path)
            assert outside.get(socket["local"], "shop.example.com", "/reviews/0").status == 200
            assert outside.get(socket["local"], "shop.example.com", "/health").status == 200
