"""What the node tells of gateways: where they are called."""

from __future__ import annotations

from dataclasses import dataclass

from mizzen.node.events import InstanceEvent


@dataclass(frozen=True)
class GatewayListens(InstanceEvent):
    """A gateway has a port for one that Gateways ask for; ``url`` is "" where none can be had."""

    number: int
    url: str

    @property
    def line(self) -> str:
        if not self.url:
            return f"{self.who}: neither port {self.number} nor any in its place can be had on this host: no listener for it"
        return f"{self.who} takes port {self.number} at {self.url}"
