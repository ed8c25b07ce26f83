from __future__ import annotations

import asyncio
import time
from pathlib import Path

from tests.support import certificates as files

from mizzen.compile.resource import SECRET
from mizzen.identity import Authority
from mizzen.mesh.spiffe import SpiffeId
from mizzen.node.sds import Certificates
from mizzen.registry.reports import FileSecret, IssuedCertificate
from mizzen.stubs.envoy.extensions.transport_sockets.tls.v3.secret_pb2 import Secret
from mizzen.xds.source import Node


def node(instance: str) -> Node:
    return Node(f"sidecar~127.0.0.1~{instance}.default~default.svc.cluster.local", "sidecar", "", instance, "default")


async def test_each_proxy_gets_the_secrets_of_its_own_account_and_only_while_it_is_held(tmp_path: Path) -> None:
    authority = Authority.open(tmp_path / "ca", "cluster.local", clock=time.time)
    asked: list[str] = []

    async def issue(csr: str, identity: SpiffeId) -> IssuedCertificate:
        asked.append(identity.service_account)
        return authority.sign(csr, identity, 3600.0)

    certificates = Certificates(issue, "cluster.local")
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        task = group.create_task(certificates.run())
        change = group.create_task(certificates.changed(0))
        assert certificates.config(node("web-0")) is None
        await certificates.hold("default", "web-0", "web")
        assert await change > 0
        await certificates.hold("default", "web-1", "web")
        await certificates.hold("default", "api-0", "api")
        web, same, api = (certificates.config(node(name)) for name in ("web-0", "web-1", "api-0"))
        assert web
        assert same
        assert api
        assert web.resources is same.resources
        assert set(web.resources[SECRET]) == {"default", "ROOTCA"}
        assert web.resources[SECRET]["default"] != api.resources[SECRET]["default"]
        shared = certificates.config(Node("node~127.0.0.1~host.mizzen-system~...", "node", "", "host", "mizzen-system"))
        assert shared
        web_id, api_id = (f"spiffe://cluster.local/ns/default/sa/{name}" for name in ("web", "api"))
        assert set(shared.resources[SECRET]) == {web_id, api_id, "ROOTCA"}
        assert Secret.FromString(shared.resources[SECRET][web_id].body).name == web_id
        certificates.release("default", "web-0")
        assert certificates.config(node("web-0")) is None
        assert certificates.config(node("web-1"))
        certificates.release("default", "web-1")
        certificates.release("default", "unknown")
        task.cancel()
    assert asked == ["web", "api"]


async def test_every_proxy_has_the_roots_of_the_operating_system(tmp_path: Path) -> None:
    authority = Authority.open(tmp_path / "ca", "cluster.local", clock=time.time)

    async def issue(csr: str, identity: SpiffeId) -> IssuedCertificate:
        return authority.sign(csr, identity, 3600.0)

    certificates = Certificates(issue, "cluster.local", tmp_path / "roots.pem")
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        task = group.create_task(certificates.run())
        await certificates.hold("default", "web-0", "web")
        own = certificates.config(node("web-0"))
        shared = certificates.config(Node("node~127.0.0.1~host.mizzen-system~...", "node", "", "host", "mizzen-system"))
        assert own
        assert shared
        for config in (own, shared):
            secret = Secret.FromString(config.resources[SECRET]["file-root:system"].body)
            assert secret.validation_context.trusted_ca.filename == str(tmp_path / "roots.pem")
            assert secret.validation_context.watched_directory.path == str(tmp_path)
        task.cancel()


async def test_an_instance_has_the_secrets_of_its_files_beside_its_own(tmp_path: Path) -> None:
    authority = Authority.open(tmp_path / "ca", "cluster.local", clock=time.time)

    async def issue(csr: str, identity: SpiffeId) -> IssuedCertificate:
        return authority.sign(csr, identity, 3600.0)

    certificates = Certificates(issue, "cluster.local")
    (tmp_path / "files").mkdir()
    certificate, key = files.Authority(tmp_path / "files").issue("shop")
    wanted = FileSecret(name="file-cert:shop", certificate=str(certificate), key=str(key))
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        task = group.create_task(certificates.run())
        await certificates.hold("default", "edge-0", "edge")
        await certificates.hold("default", "web-0", "edge")
        before = await certificates.changed(0)
        certificates.files.take({("default", "edge-0"): (wanted,)})
        assert await certificates.changed(before) > before
        edge, web = (certificates.config(node(name)) for name in ("edge-0", "web-0"))
        assert edge
        assert web
        assert set(edge.resources[SECRET]) == {"default", "ROOTCA", "file-cert:shop"}
        assert set(web.resources[SECRET]) == {"default", "ROOTCA"}
        shared, same = (
            certificates.config(Node("node~127.0.0.1~host.mizzen-system~...", "node", "", "host", "mizzen-system"))
            for _ in range(2)
        )
        assert shared
        assert same
        assert set(shared.resources[SECRET]) == {
            "spiffe://cluster.local/ns/default/sa/edge",
            "ROOTCA",
            "edge-0.default/file-cert:shop",
        }
        assert shared.resources[SECRET] is same.resources[SECRET]
        task.cancel()
