from __future__ import annotations

import pytest

from mizzen.registry.found import service_labels, service_of_run, united
from mizzen.registry.reports import FoundPort, FoundService


def found(name: str = "web", *, account: str = "a", selected: str = "", **ports: int) -> FoundService:
    """A service; ports are given as ``http=8080``."""
    return FoundService(
        name=name,
        namespace="default",
        ports=tuple(FoundPort(number=number, name=port) for port, number in ports.items()),
        selector=service_labels((selected or name,)),
        accounts=(account,),
    )


def test_a_run_offers_a_service_with_its_ports_and_its_identity() -> None:
    made = service_of_run("web", "shop", [(8080, "http"), (9000, "grpc-api")], "web")
    assert (made.namespace, made.name, made.accounts, made.of_run) == ("shop", "web", ("web",), True)
    assert made.selector == {"service.mizzen.dev/web": "true"}
    assert [(port.number, port.name) for port in made.ports] == [(8080, "http"), (9000, "grpc-api")]


def test_what_is_called_differently_stays_as_it_is() -> None:
    services = (found("a", http=80), found("b", tcp=81))
    assert united(services) == (services, ())
    assert united(()) == ((), ())


def test_two_of_one_name_are_one_service() -> None:
    (one,), problems = united([found(account="b", http=8080), found(account="a", http=8080, grpc=9000)])
    assert problems == ()
    assert [(port.number, port.name) for port in one.ports] == [(8080, "http"), (9000, "grpc")]
    assert one.accounts == ("a", "b")
    assert not one.of_run


@pytest.mark.parametrize("more", [[], [found(http=8080)], [found(tcp=8080)]])
def test_where_they_disagree_bytes_are_passed_and_it_is_said(more: list[FoundService]) -> None:
    (one,), (problem,) = united([found(http=8080), found(grpc=8080), *more])
    assert one.ports == (FoundPort(number=8080, name="tcp-8080", app_protocol="tcp"),)
    assert problem.startswith("service web: port 8080 is said to be grpc and http")


def test_a_container_that_is_called_so_by_a_name_that_is_no_label() -> None:
    (one,), (problem,) = united([found("my-db", selected="my_db", tcp=80), found("my-db", tcp=80)])
    assert one.selector == {"service.mizzen.dev/my_db": "true"}
    assert "rename one" in problem
