from __future__ import annotations

from typing import Any

import pytest

from mizzen.node import specs
from mizzen.node.capturing import DeclaredPort
from mizzen.node.probes import Exec, HttpGet, Probe, Rule, TcpSocket
from mizzen.node.specs import Revision, SpecError, Workload
from mizzen.registry.reports import DesiredWorkload, InstancePort

PORTS = (
    InstancePort(number=9080, application=20001, inbound=20002, name="http"),
    InstancePort(number=9090, application=20003, inbound=20004),
)


def workload(**spec: Any) -> Workload:
    ports = [{"containerPort": 9080, "name": "http"}, {"containerPort": 9090}]
    full = {"command": ["run"], "ports": ports} | spec
    return specs.read(DesiredWorkload(namespace="default", name="web", digest="d", spec=full, restarts=2))


def test_what_is_read() -> None:
    read = workload(terminationGracePeriodSeconds=7)
    assert (read.key, read.revision, read.grace) == (("default", "web"), Revision("d", 2), 7.0)
    assert read.ports == (DeclaredPort(9080, "http"), DeclaredPort(9090))


def test_a_spec_of_another_version_is_an_error_that_names_the_field() -> None:
    with pytest.raises(SpecError, match=r"cannot read its spec .*later"):
        workload(later=1)


@pytest.mark.parametrize(
    ("probe", "action"),
    [
        ({"httpGet": {"port": "http", "path": "/ok"}}, HttpGet(20001, "/ok")),
        ({"httpGet": {"port": 9090, "scheme": "HTTPS", "host": "10.0.0.1"}}, HttpGet(20003, "/", "10.0.0.1", True)),
        (
            {"httpGet": {"port": 9080, "httpHeaders": [{"name": "A", "value": "1"}]}},
            HttpGet(20001, headers=(("A", "1"),)),
        ),
        ({"tcpSocket": {"port": 9090}}, TcpSocket(20003)),
        ({"tcpSocket": {"port": 15000}}, TcpSocket(15000)),
        ({"exec": {"command": ["check", "it"]}}, Exec(("check", "it"))),
    ],
)
def test_probes_ask_where_the_application_listens(probe: dict[str, Any], action: HttpGet | TcpSocket | Exec) -> None:
    spec = workload(readinessProbe=probe, livenessProbe=probe).spec
    assert specs.readiness(spec, PORTS) == specs.liveness(spec, PORTS) == Probe(action)


def test_the_rule_of_a_probe() -> None:
    rule = {"initialDelaySeconds": 1, "periodSeconds": 2, "timeoutSeconds": 3, "successThreshold": 4}
    probe = rule | {"failureThreshold": 5, "tcpSocket": {"port": 1}}
    found = specs.readiness(workload(readinessProbe=probe).spec, PORTS)
    assert found
    assert found.rule == Rule(1, 2, 3, 4, 5)


def test_without_a_probe_the_first_port_is_asked() -> None:
    spec = workload().spec
    assert specs.readiness(spec, PORTS) == Probe(TcpSocket(20001))
    assert specs.readiness(spec, ()) is None
    assert specs.liveness(spec, PORTS) is None


def test_commands_are_asked_less_often() -> None:
    assert specs.hurry(Probe(Exec(("x",)))) > specs.hurry(Probe(TcpSocket(1)))
