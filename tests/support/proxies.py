"""A connected proxy that does as told."""

from __future__ import annotations

from mizzen.xds.source import Node
from mizzen.xds.status import ProxyStatus, Standing


class PlayedProxy:
    """A :class:`mizzen.xds.status.Member` that is where ``now`` says."""

    def __init__(self, name: str, now: Standing) -> None:
        self.node = Node(name)
        self.now = now

    def status(self) -> ProxyStatus:
        return ProxyStatus(self.node, 0.0, self.now.target, {})

    def standing(self) -> Standing:
        return self.now
