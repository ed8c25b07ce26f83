"""What the xDS server asks: the configuration of a proxy in the latest snapshot."""

from __future__ import annotations

from mizzen.compile.compiler import Compiler
from mizzen.compile.names import UID_METADATA
from mizzen.compile.patches.idle import idle_patches
from mizzen.control.idle import idle_settings
from mizzen.control.world import Published, World
from mizzen.mesh.model import Proxy, Snapshot
from mizzen.mesh.proxy_kind import ProxyKind
from mizzen.resources.problems import Problem
from mizzen.xds.source import Config, Node
from mizzen.xds.status import Rejection


class Configs:
    """Implements :class:`mizzen.xds.source.ConfigSource` by compiling the world's latest snapshot."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._compiler = Compiler()
        self._idle: tuple[Published | None, tuple[Problem, ...]] = (None, ())

    def config(self, node: Node) -> Config | None:
        published = self._world.published.get()
        if published is None:
            return None
        proxy = proxy_of(node, published.snapshot)
        if proxy is None:
            return None
        return Config(published.snapshot.version, self._compiler.compile(proxy, published.snapshot))

    def is_current(self, rejection: Rejection) -> bool:
        """Tells whether a sidecar would be sent again what it rejects.

        If not, the rejection is of the past: the resource was corrected meanwhile. Proxyless clients do not count:
        gRPC knows only a part of xDS, and what it refuses must not be taken away from everybody else.
        """
        published = self._world.published.get()
        proxy = published.snapshot.proxies.get(rejection.proxy) if published else None
        if published is None or proxy is None:
            return False
        compiled = self._compiler.compile(proxy, published.snapshot).get(rejection.type_url, {})
        return rejection.resource in compiled and compiled[rejection.resource].version == rejection.version

    def idle(self) -> tuple[Problem, ...]:
        """Returns the patches of EnvoyFilters that change nothing now, and what says how proxies start and is not, or not yet, for
        all.
        """
        published = self._world.published.get()
        if published is None:
            return ()
        if self._idle[0] is not published:
            snapshot, written = published.snapshot, published.contents.resources
            found = (*idle_patches(self._compiler, snapshot), *idle_settings(snapshot, written, published.report))
            self._idle = (published, found)
        return self._idle[1]

    async def changed(self, version: int) -> int:
        published = await self._world.published.until(
            lambda value: value is not None and value.snapshot.version > version
        )
        return published.snapshot.version if published else version


def proxy_of(node: Node, snapshot: Snapshot) -> Proxy | None:
    """Returns the proxy that a node identifier means: a sidecar that a node has reported, or a gRPC client.

    A gRPC client says so in its metadata, as Istio's agent has it (``GENERATOR: grpc``); it runs as the user who runs
    the mesh, who alone can reach the socket, and sees what its namespace sees.
    """
    if node.metadata.get("GENERATOR") == "grpc" or node.agent.startswith("gRPC"):
        namespace = node.namespace or str(node.metadata.get("NAMESPACE") or "default")
        return Proxy(id=node.proxy, namespace=namespace, kind=ProxyKind.PROXYLESS)
    proxy = snapshot.proxies.get(node.proxy)
    if proxy and proxy.kind is not ProxyKind.NODE and proxy.instances[0].uid != node.metadata.get(UID_METADATA, ""):
        return None  # The Envoy is ahead of the report, and what is known is of one that had this name before.
    return proxy
