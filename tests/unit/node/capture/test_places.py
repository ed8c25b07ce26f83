import pytest

from mizzen.node.capture.places import captured_ports, check_ports
from mizzen.node.capturing import CaptureError, DeclaredPort
from mizzen.registry.reports import InstancePort


def test_all_numbers_of_a_port_are_the_declared_one() -> None:
    assert captured_ports([DeclaredPort(9080, "http"), DeclaredPort(3306)]) == (
        InstancePort(number=9080, application=9080, inbound=9080, name="http"),
        InstancePort(number=3306, application=3306, inbound=3306),
    )


def test_a_port_of_the_proxy_cannot_be_declared() -> None:
    check_ports("web", [DeclaredPort(80)])
    with pytest.raises(
        CaptureError, match=r"web declares a port that its proxy needs \(15001, 15053\): .*, or give up"
    ):
        check_ports("web", [DeclaredPort(15053), DeclaredPort(80), DeclaredPort(15001)], "give up")
