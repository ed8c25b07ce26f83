"""The names of xDS resources: Istio's, because tools and people know them."""

from __future__ import annotations

BLACK_HOLE = "BlackHoleCluster"
PASSTHROUGH = "PassthroughCluster"
DYNAMIC_DNS = "AllowAnyDynamicDNSCluster"
HTTP_PROXY = "http_proxy"
VIRTUAL_OUTBOUND = "virtualOutbound"
VIRTUAL_INBOUND = "virtualInbound"
UID_METADATA = "UID"
"""What an Envoy says in the metadata of its node: which instance it is for, of all that ever had the name."""
ELSEWHERE = "virtualOutbound-catchall-tcp"
"""The filter chain, and the filter in it, for connections that are for no known service."""
REQUESTS_ELSEWHERE = "virtualOutbound-catchall-http"
"""The filter chain for those of these connections on which requests are read."""
_READING = "sni|"
_LOOKING_UP = "dynamic|"
HIDDEN = (_READING, _LOOKING_UP)
"""What the names of listeners and clusters begin with that are inside the proxy, and not in Istio's."""
SDS_CLUSTER = "sds-grpc"
WORKLOAD_SECRET = "default"  # noqa: S105 - the name under which Istio serves a workload's certificate
SYSTEM_ROOTS_SECRET = "file-root:system"  # noqa: S105 - the name under which Istio serves the roots of the operating system
ROOT_SECRET = "ROOTCA"  # noqa: S105 - the name under which Istio serves the trusted roots
COMMON_SECRETS = frozenset({ROOT_SECRET, SYSTEM_ROOTS_SECRET})
"""What is the same for all, and secret to nobody."""

OUTBOUND_CAPTURE_PORT = 15001
INBOUND_CAPTURE_PORT = 15006
PROXY_DNS_PORT = 15054
"""Where a captured proxy asks, in its own network namespace, what names mean outside the mesh."""
# Ports of the sidecar itself; a service on one of them gets no listener (Istio 2.15).
RESERVED_PORTS = frozenset({OUTBOUND_CAPTURE_PORT, INBOUND_CAPTURE_PORT, 15020, 15021, 15053, PROXY_DNS_PORT, 15090})


def seat_prefix(instance: str) -> str:
    """What the names of an instance's resources begin with in a proxy that serves several."""
    return f"{instance}/"


def outbound_cluster(port: int, subset: str, host: str) -> str:
    return f"outbound|{port}|{subset}|{host}"


def inbound_cluster(port: int) -> str:
    return f"inbound|{port}||"


def sni(port: int, subset: str, host: str) -> str:
    """The server name that a sidecar sends to another sidecar: the cluster's name in characters that SNI allows."""
    return f"outbound_.{port}_.{subset}_.{host}"


def sni_listener(port: int, host: str) -> str:
    """The listener inside a proxy that reads which server name a client of a TLS port asks for."""
    return f"{_READING}{port}|{host}"


def server_name_listener(port: int, subset: str, host: str) -> str:
    """The listener inside a proxy that looks up the server name which a client of a TLS port asks for, and the cluster
    behind it.
    """
    return f"{_LOOKING_UP}{port}|{subset}|{host}" if subset else f"{_LOOKING_UP}{port}|{host}"


def service_route(host: str, port: int) -> str:
    """The route configuration of one port of one service, where a listener leads to it alone."""
    return f"{host}:{port}"


def gateway_route(number: int, bind: str = "") -> str:
    """The route configuration of all servers that speak HTTP without TLS on one socket of a gateway."""
    return f"http.{number}.{bind}" if bind else f"http.{number}"


def gateway_server_route(reads: bool, number: int, port: str, gateway: str, namespace: str) -> str:
    """What routes the clients of one server of a Gateway: requests if it ``reads`` them, else connections."""
    return f"{'https' if reads else 'tcp'}.{number}.{port}.{gateway}.{namespace}"


def gateway_name_route(number: int, bind: str, sni: str) -> str:
    """The filter that passes on the connections to a gateway whose clients ask for one server name."""
    return f"tls.{number}.{bind}|{sni}" if bind else f"tls.{number}|{sni}"


def listener(address: str, port: int) -> str:
    return f"{address}_{port}"
