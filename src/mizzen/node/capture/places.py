"""What all places with transparent capture have in common: the ports of an instance and those of its proxy. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from mizzen.compile.names import RESERVED_PORTS
from mizzen.node.capturing import CaptureError, DeclaredPort
from mizzen.registry.reports import InstancePort


def check_ports(instance: str, ports: Sequence[DeclaredPort], otherwise: str = "use --capture explicit") -> None:
    """Raises :class:`CaptureError` for a port that the proxy needs itself; ``otherwise`` says what else could be done."""
    reserved = sorted({port.number for port in ports} & RESERVED_PORTS)
    if reserved:
        numbers = ", ".join(map(str, reserved))
        raise CaptureError(
            f"{instance} declares a port that its proxy needs ({numbers}): declare another one, or {otherwise}"
        )


def captured_ports(ports: Sequence[DeclaredPort]) -> tuple[InstancePort, ...]:
    """Returns the ports as others see them: where applications need no setting, all numbers are the declared one."""
    return tuple(
        InstancePort(number=port.number, application=port.number, inbound=port.number, name=port.name) for port in ports
    )
