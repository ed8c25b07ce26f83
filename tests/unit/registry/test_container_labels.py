from __future__ import annotations

import pytest

from mizzen.registry.container_labels import PROTOCOLS, Written, read_labels
from mizzen.resources.protocols import declared_protocol


def read(**labels: str) -> Written:
    return read_labels("shop_db_1", {f"mizzen.dev/{name.replace('_', '-')}": text for name, text in labels.items()})


def test_labels_of_others_say_nothing() -> None:
    assert read_labels("db", {"app": "x", "mizzen.device/x": "y", "com.docker.compose.service": "db"}) == Written()


def test_all_labels() -> None:
    assert read(
        mesh="true",
        service="reviews",
        namespace="shop",
        service_account="reader.reviews",
        version="v1.2_b",
        ports="9080/http, 3306 ,9090/grpc",
        protocol="http2",
        proxy="node",
    ) == Written(
        mesh=True,
        service="reviews",
        namespace="shop",
        service_account="reader.reviews",
        version="v1.2_b",
        ports=((9080, "http"), (3306, ""), (9090, "grpc")),
        protocol="http2",
        proxy="node",
    )


def test_protocols_are_those_that_ports_of_services_have() -> None:
    assert all(declared_protocol("", protocol) for protocol in PROTOCOLS)


@pytest.mark.parametrize(
    ("labels", "port", "protocol"),
    [
        ({}, 9080, "http"),
        ({}, 8080, "http"),
        ({}, 3306, "tcp"),
        ({}, 443, "tcp"),
        ({"protocol": "grpc"}, 3306, "grpc"),
        ({"protocol": "tcp"}, 9080, "tcp"),
        ({"ports": "3306/http"}, 3306, "http"),
        ({"ports": "3306", "protocol": "http"}, 3306, "http"),
        ({"ports": "9080/tcp", "protocol": "http"}, 9080, "tcp"),
        ({"ports": "9080"}, 9080, "http"),
    ],
)
def test_the_protocol_of_a_port(labels: dict[str, str], port: int, protocol: str) -> None:
    assert read(**labels).protocol_of(port) == protocol


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("mesh", "no", "'no' is not allowed; use true or false"),
        ("mesh", "", "'' is not allowed; use true or false"),
        ("service", "My_DB", "'My_DB' is not allowed; use at most 63 of a-z, 0-9 and -, with a letter or digit first and last"),
        ("namespace", "a.b", "'a.b' is not allowed; use at most 63 of a-z"),
        ("service-account", "a/b", "'a/b' is not allowed; use a-z, 0-9, - and ., with a letter"),
        ("version", "v 1", "'v 1' is not allowed; use at most 63 letters"),
        ("version", "", "'' is not allowed"),
        ("protocol", "htp", "'htp' is not allowed; use http, http2, grpc, grpc-web, https, tls or tcp"),
        ("proxy", "none", "'none' is not allowed; use sidecar or node"),
        ("ports", "", "'' is not a port; write numbers from 1 to 65535, each with a protocol or none: 9080/http,3306"),
        ("ports", "0", "'0' is not a port"),
        ("ports", "65536/http", "'65536/http' is not a port"),
        ("ports", "9080:http", "'9080:http' is not a port"),
        ("ports", "9080,", "'' is not a port"),
        ("ports", "٣", "'٣' is not a port"),
        ("ports", "53/udp", "'53/udp' has no protocol that a mesh carries; use http, http2, grpc"),
        ("ports", "80/http,80", "port 80 is there 2 times; write it once"),
        ("versoin", "v1", "there is no such label; did you mean mizzen.dev/version?"),
        ("qqq", "v1", "there is no such label; there are mesh, namespace, ports, protocol, proxy, service, service-account or version"),
    ],
)  # fmt: skip
def test_a_mistake_says_where_and_what_is_allowed(name: str, text: str, message: str) -> None:
    (problem,) = read(**{name: text}).problems
    assert problem.startswith(f"container shop_db_1: label mizzen.dev/{name}: {message}")


def test_every_mistake_is_told_and_nothing_else_counts() -> None:
    made = read(ports="x,y/udp", versoin="v1", protocol="http")
    assert len(made.problems) == 3
    assert made == Written(problems=made.problems)


@pytest.mark.parametrize(("text", "mesh"), [("true", True), ("false", False), ("perhaps", None)])
def test_whether_it_wants_to_be_in_the_mesh_counts_beside_mistakes(text: str, mesh: bool | None) -> None:
    assert read(mesh=text, protocol="htp").mesh is mesh


def test_labels_that_mizzen_sets_are_for_nobody_else() -> None:
    (problem,) = read_labels("web", {"service.mizzen.dev/db": "true"}).problems
    assert problem == (
        "container web: label service.mizzen.dev/db: only Mizzen sets it; name the service with mizzen.dev/service"
    )
