from __future__ import annotations

import dataclasses

import pytest

from mizzen.node.capturing import Place
from mizzen.node.environment import environment, expand
from mizzen.registry.reports import InstancePort, OutboundPort, ServiceName

PLACE = Place(
    namespace="default",
    instance="web-0",
    capture="explicit",
    address="127.0.0.1",
    ports=(
        InstancePort(number=9080, application=20001, inbound=20002, name="http"),
        InstancePort(number=9090, application=20003, inbound=20004, name="grpc-web"),
        InstancePort(number=9091, application=20005, inbound=20006),
    ),
    http_proxy=20007,
)
TRANSPARENT = dataclasses.replace(PLACE, capture="transparent", address="10.0.0.2", http_proxy=0)


def service(name: str, *ports: int, namespace: str = "default", port_names: tuple[str, ...] = ()) -> ServiceName:
    host = f"{name}.{namespace}.svc.cluster.local"
    return ServiceName(
        host=host, name=name, namespace=namespace, address="240.240.0.7", ports=ports, port_names=port_names
    )


SERVICES = (
    service("product-page", 9080, 9443, 9999, port_names=("http", "grpc-web", "")),
    service("other", 80, namespace="prod"),
    service("headless"),
)
OUTBOUND = tuple(
    OutboundPort(host=item.host, port=port, local=20100 + index * 10 + number)
    for index, item in enumerate(SERVICES)
    for number, port in enumerate(item.ports)
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("--port=$(PORT)", "--port=80"),
        ("$(PORT)$(PORT)", "8080"),
        ("$$(PORT)", "$(PORT)"),
        ("$$$(PORT)", "$80"),
        ("$(UNKNOWN)", "$(UNKNOWN)"),
        ("$(date +%s) $PORT ${PORT} $", "$(date +%s) $PORT ${PORT} $"),
        ("$()", "$()"),
        ("$(PORT", "$(PORT"),
        ("", ""),
    ],
)
def test_references_are_expanded_as_kubernetes_does(text: str, expected: str) -> None:
    assert expand(text, {"PORT": "80"}) == expected


def test_the_ports_to_listen_on() -> None:
    env = environment({}, PLACE, (), (), ())
    assert env["PORT"] == "20001"
    assert env["PORT_HTTP"] == "20001"
    assert env["PORT_GRPC_WEB"] == "20003"


def test_services_of_the_namespace_are_at_local_ports() -> None:
    env = environment({}, PLACE, SERVICES, OUTBOUND, ())
    assert env["PRODUCT_PAGE_SERVICE_HOST"] == "127.0.0.1"
    assert env["PRODUCT_PAGE_SERVICE_PORT"] == "20100"
    by_name = {name: value for name, value in env.items() if name.startswith("PRODUCT_PAGE_SERVICE_PORT_")}
    assert by_name == {"PRODUCT_PAGE_SERVICE_PORT_HTTP": "20100", "PRODUCT_PAGE_SERVICE_PORT_GRPC_WEB": "20101"}
    assert not [name for name in env if name.startswith(("OTHER_", "HEADLESS_"))]


def test_services_have_their_own_addresses_where_capture_is_transparent() -> None:
    env = environment({}, TRANSPARENT, SERVICES, (), ())
    assert env["PRODUCT_PAGE_SERVICE_HOST"] == "240.240.0.7"
    assert env["PRODUCT_PAGE_SERVICE_PORT"] == env["PRODUCT_PAGE_SERVICE_PORT_HTTP"] == "9080"


def test_the_sidecar_is_the_http_proxy_where_capture_is_explicit() -> None:
    env = environment({"http_proxy": "http://corporate", "no_proxy": "x"}, PLACE, SERVICES, OUTBOUND, ())
    assert env["http_proxy"] == env["HTTP_PROXY"] == "http://127.0.0.1:20007"
    assert env["no_proxy"] == env["NO_PROXY"] == "localhost,127.0.0.1"


def test_a_proxy_of_the_user_is_not_asked_for_services_of_the_mesh() -> None:
    env = environment({"http_proxy": "http://corporate", "no_proxy": "x"}, TRANSPARENT, SERVICES, (), ())
    assert env["http_proxy"] == "http://corporate"
    direct = env["no_proxy"].split(",")
    assert direct[0] == "x"
    assert {"localhost", "product-page", "product-page.default", "other.prod.svc.cluster.local"} <= set(direct)
    assert "no_proxy" not in environment({}, TRANSPARENT, SERVICES, (), ())


def test_declared_variables_are_strongest_and_may_use_those_before_them() -> None:
    declared = [("A", "1"), ("B", "$(A)-$(PORT)-$(LATER)"), ("HOME", "/app"), ("LATER", "x")]
    env = environment({"HOME": "/root", "KEPT": "yes"}, PLACE, (), (), declared)
    assert (env["B"], env["HOME"], env["KEPT"]) == ("1-20001-$(LATER)", "/app", "yes")
