"""How a workload's ports are served under its Sidecar (Istio 1.5, ingress).

An ingress listener says how one port is served. The workload's other ports are served as it declares them: in Istio, too, what
comes for them gets through.
"""

from __future__ import annotations

from dataclasses import replace

from mizzen.mesh.model import Capture, InboundPort, Instance, Sidecar
from mizzen.resources.sidecar import UNIX, IngressListener, SidecarPort

_ANY = "0.0.0.0"
_OWN_ADDRESS = frozenset({_ANY, "[::]"})
_LOOPBACK_V6 = "::1"


def with_ingress(instance: Instance, sidecar: Sidecar | None) -> Instance:
    """Returns an instance whose ports are served as its Sidecar says."""
    if sidecar is None or not sidecar.spec.ingress:
        return instance
    ports = {port.number: port for port in instance.inbound}
    for listener in sidecar.spec.ingress:
        port = listener.port  # refused without one when it was written
        if port and (made := _port(listener, port, ports.get(port.number), instance)):
            ports[made.number] = made
    return replace(instance, inbound=tuple(ports.values()))


def _port(
    listener: IngressListener, port: SidecarPort, declared: InboundPort | None, instance: Instance
) -> InboundPort | None:
    """Returns how a port is served; None for one that is nowhere."""
    number, explicit = port.number, instance.capture is Capture.EXPLICIT
    if declared is None:
        if explicit and not listener.default_endpoint:
            return None  # the application has been given no such port
        declared = InboundPort(number, number, number, port.speaks)
    endpoint, application = _endpoint(listener.default_endpoint, declared, instance)
    opened = listener.capture_mode == "NONE" or (explicit and not any(one.number == number for one in instance.inbound))
    return replace(
        declared,
        protocol=port.speaks,
        application=application,
        endpoint=endpoint,
        bind=_opened_at(listener.bind, instance) if opened else "",
    )


def _opened_at(written: str, instance: Instance) -> str:
    """Returns where a port is opened.

    Where capture is transparent the listener of a port at all addresses is that of services which are called there: Envoy has one
    of an address, and who comes from elsewhere calls the instance's.
    """
    everywhere = written == _ANY and instance.capture is Capture.TRANSPARENT
    return instance.address if everywhere or not written else written


def _endpoint(written: str, declared: InboundPort, instance: Instance) -> tuple[str, int]:
    """Returns where the application is: an address or the path of a socket, "" for 127.0.0.1, and its port."""
    if not written:
        return "", declared.application
    if written.startswith(UNIX):
        return written.removeprefix(UNIX).removeprefix("//"), 0
    host, _, number = written.rpartition(":")
    if host in _OWN_ADDRESS:
        return instance.address, int(number)
    return (_LOOPBACK_V6 if host == "[::1]" else ""), int(number)
