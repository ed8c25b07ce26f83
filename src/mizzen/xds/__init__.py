"""Gives each proxy its configuration (xDS): what it asked for, in an order that breaks no request, until it has it.

    ConfigSource ──▶ Discovery ──▶ Stream ──▶ Session ──▶ Ordering ──▶ Subscription
    (source.py)      (server.py)   (gRPC in   (one        (make before  (one proxy,
                                    and out)   proxy)      break)        one type)

Everything from ``Session`` to the right is pure. ``delta`` and ``sotw`` are the two variants of the protocol, ``wire``
writes responses around encoded resources, ``status`` shows how far each proxy is.
"""

from mizzen.xds.server import AGGREGATED, SECRETS, Discovery, Service, serve
from mizzen.xds.source import Config, ConfigSource, Node
from mizzen.xds.status import Fleet, Progress, ProxyStatus, Rejection, State, TypeStatus

__all__ = [
    "AGGREGATED",
    "SECRETS",
    "Config",
    "ConfigSource",
    "Discovery",
    "Fleet",
    "Node",
    "Progress",
    "ProxyStatus",
    "Rejection",
    "Service",
    "State",
    "TypeStatus",
    "serve",
]
