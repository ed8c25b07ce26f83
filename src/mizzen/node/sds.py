"""The certificates of this node's proxies: held fresh by the Renewer, served over SDS by the xDS server.

Keys never leave this process but to the proxy that they are for, over a Unix socket in a folder that only this user
may enter.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from mizzen.compile.resource import SECRET, XdsResource
from mizzen.identity.renewal import KeyMaterial
from mizzen.identity.renewer import Issue, Renewer
from mizzen.identity.secrets import by_name, secrets, secrets_by_identity, system_roots_secret
from mizzen.mesh.proxy_kind import ProxyKind
from mizzen.mesh.spiffe import SpiffeId
from mizzen.node.file_secrets import FileSecrets
from mizzen.xds.source import Config, Node


class Certificates:
    """A :class:`mizzen.xds.source.ConfigSource` whose resources are secrets; see :class:`mizzen.node.host.Identities`.

    Instances with the same service account share one certificate. A sidecar has that of its instance, under Istio's name;
    the node's proxy has those of all instances, each under the name of its identity. ``tell`` is called with what is wrong with
    ``files``, the secrets beside these, and with those whose they are.
    """

    def __init__(
        self,
        issue: Issue,
        trust_domain: str,
        system_roots: Path | None = None,
        tell: Callable[[str, Sequence[tuple[str, str]]], None] = lambda problem, whose: None,  # noqa: ARG005 - it is reported, too
    ) -> None:
        self._trust_domain = trust_domain
        self._renewer = Renewer(issue=issue, publish=self._publish, clock=time.time, chance=random.SystemRandom())
        self._holders: dict[tuple[str, str], SpiffeId] = {}
        self._configs: dict[SpiffeId, Config] = {}
        # The roots of the operating system, for TLS towards servers outside; what needs them fails where there are none.
        self._common = by_name([system_roots_secret(str(system_roots))] if system_roots else [])
        self._by_identity: dict[str, XdsResource] = dict(self._common)
        self._version = 0
        self._changed = asyncio.Condition()
        self._news = asyncio.Event()
        self._of_node: tuple[Mapping[str, XdsResource], Mapping[str, XdsResource], Mapping[str, XdsResource]] | None = (
            None
        )
        self.files = FileSecrets(self._bump, tell, str(system_roots or ""))

    async def run(self) -> None:
        """Renews, and wakes whoever waits for a change, until it is cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._renewer.run())
            group.create_task(self.files.run())
            while True:
                await self._news.wait()
                self._news.clear()
                async with self._changed:
                    self._changed.notify_all()

    async def hold(self, namespace: str, instance: str, service_account: str) -> None:
        identity = SpiffeId(self._trust_domain, namespace, service_account)
        self._holders[namespace, instance] = identity
        self._renewer.add(identity)
        await self._renewer.ready(identity)
        # Another instance may have brought the certificate: the new proxy's configuration is news all the same.
        self._bump()

    def release(self, namespace: str, instance: str) -> None:
        identity = self._holders.pop((namespace, instance), None)
        if identity and identity not in self._holders.values():
            self._renewer.remove(identity)
            self._configs.pop(identity, None)
            self._by_identity = {name: one for name, one in self._by_identity.items() if name != str(identity)}

    def config(self, node: Node) -> Config | None:
        if node.kind == ProxyKind.NODE:
            return Config(self._version, {SECRET: self._of_all()})
        identity = self._holders.get((node.namespace, node.name))
        config = self._configs.get(identity) if identity else None
        if config is None:
            return None
        files = self.files.of((node.namespace, node.name))
        return Config(self._version, {SECRET: {**config.resources[SECRET], **files}} if files else config.resources)

    def _of_all(self) -> Mapping[str, XdsResource]:
        """Returns the secrets of all instances: the same object for as long as they are the same."""
        identities, files = self._by_identity, self.files.of_all()
        known = self._of_node
        if known is None or known[0] is not identities or known[1] is not files:
            known = self._of_node = (identities, files, {**identities, **files})
        return known[2]

    async def changed(self, version: int) -> int:
        async with self._changed:
            await self._changed.wait_for(lambda: self._version > version)
        return self._version

    def _publish(self, identity: SpiffeId, material: KeyMaterial) -> None:
        self._configs[identity] = Config(0, {SECRET: {**secrets(material), **self._common}})
        self._by_identity = self._by_identity | secrets_by_identity(str(identity), material)
        self._bump()

    def _bump(self) -> None:
        self._version += 1
        self._news.set()
