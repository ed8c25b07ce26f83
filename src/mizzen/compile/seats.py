"""Seats: how the resources of one instance are told apart from those of the others that its proxy serves. Pure.

A sidecar has one instance and one seat, ``ALONE``: names are Istio's, sockets are opened where the proxy runs, and the
certificate is the one of this proxy. A node proxy has a seat for each instance: every name begins with the instance's,
every socket is opened inside the instance's network namespace, and the certificate is that of its identity. So each
listener, cluster and certificate belongs to one instance, and nothing else in the compiler asks which kind of proxy it
builds for.

Instances of one node proxy are neighbours: a call between two of them crosses the proxy once. It leaves the caller's side
for an internal listener of the callee's side (``inside_listener``), and never the proxy's process.
"""

from __future__ import annotations

from dataclasses import dataclass

from mizzen.compile import names
from mizzen.compile.protos import socket_address
from mizzen.mesh.model import Instance
from mizzen.mesh.proxy_kind import ProxyKind
from mizzen.stubs.envoy.config.cluster.v3.cluster_pb2 import Cluster
from mizzen.stubs.envoy.config.core.v3.address_pb2 import Address


@dataclass(frozen=True)
class Seat:
    """``netns`` is a path, or "" for the namespace that the proxy runs in; ``secret`` is the certificate's name in SDS.

    ``caller`` is the identity that is told to neighbours, "" where there are none to tell.
    """

    prefix: str = ""
    netns: str = ""
    secret: str = names.WORKLOAD_SECRET
    caller: str = ""

    @property
    def shared(self) -> bool:
        """Whether the proxy has other seats."""
        return bool(self.prefix)

    def named(self, name: str) -> str:
        """Returns the name of one of the seat's resources: clusters, listeners, routes."""
        return f"{self.prefix}{name}"

    def secret_named(self, name: str) -> str:
        """Returns what the proxy calls the secret that the proxy of the workload alone would call so."""
        if name == names.WORKLOAD_SECRET:
            return self.secret
        return name if name in names.COMMON_SECRETS else self.named(name)

    def address(self, address: str, port: int) -> Address:
        """Returns an address to listen on, inside the seat's network namespace."""
        made = socket_address(address, port)
        made.socket_address.network_namespace_filepath = self.netns
        return made

    def open_inside(self, cluster: Cluster, source: str = "0.0.0.0") -> None:
        """Has a cluster's connections begin inside the seat's network namespace; ``source`` is their local address."""
        if self.netns:
            cluster.upstream_bind_config.source_address.CopyFrom(self.address(source, 0).socket_address)


ALONE = Seat()


def seat_of(kind: ProxyKind, instance: Instance) -> Seat:
    """Returns the seat of an instance in its proxy."""
    if kind is not ProxyKind.NODE:
        return ALONE
    return Seat(
        prefix=names.seat_prefix(instance.id),
        netns=instance.netns,
        secret=instance.identity,
        caller=instance.identity,
    )


def inside_listener(instance: str, port: int) -> str:
    """Returns the name of the internal listener through which neighbours call a port of an instance."""
    return f"{names.seat_prefix(instance)}inside_{port}"
