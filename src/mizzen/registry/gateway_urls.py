"""How a gateway's ports are called from its host."""

from __future__ import annotations

from mizzen.registry.reports import GatewaySocket

_USUAL = {"http": 80, "https": 443}
_THIS_HOST = {"0.0.0.0": "127.0.0.1", "::": "::1"}


def url(socket: GatewaySocket, address: str) -> str:
    """Returns the URL of a socket of a gateway that listens on ``address``; "" for one that has got no port."""
    if not socket.local:
        return ""
    host = _THIS_HOST.get(socket.bind or address, socket.bind or address)
    shown = f"[{host}]" if ":" in host else host
    port = "" if socket.local == _USUAL.get(socket.scheme) else f":{socket.local}"
    return f"{socket.scheme}://{shown}{port}"
