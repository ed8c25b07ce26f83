from __future__ import annotations

from tests.support.worlds import instances_of, read
from tests.support.written import service, workload

from mizzen.mesh.model import Service, ServicePort
from mizzen.registry.reports import Instance
from mizzen.registry.services import build_services, host_of, services_in
from mizzen.resources.protocols import Protocol


def built(*texts: str, instances: tuple[Instance, ...] = ()) -> dict[str, Service]:
    resources = read(*texts)
    addresses = {host_of(one): "240.240.0.9" for one in services_in(resources) if one.name == "reviews"}
    return build_services(resources, instances, addresses, "example.org")


def test_services_by_host_in_order() -> None:
    found = built(service("reviews", namespace="far"), service("ratings"))
    assert list(found) == ["ratings.default.svc.cluster.local", "reviews.far.svc.cluster.local"]
    one = found["reviews.far.svc.cluster.local"]
    assert (one.name, one.namespace, one.address) == ("reviews", "far", "240.240.0.9")
    assert str(one.origin) == "Service far/reviews"


def test_protocols_of_ports() -> None:
    (one,) = built(
        service("a", ("grpc-api", 1), ("odd", 2), ("mail", 25), {"name": "tcp", "port": 3, "appProtocol": "http"})
    ).values()
    assert one.ports == (
        ServicePort(1, Protocol.GRPC, "grpc-api"),
        ServicePort(2, Protocol.UNDECLARED, "odd"),
        ServicePort(25, Protocol.TCP, "mail"),
        ServicePort(3, Protocol.HTTP, "tcp"),
    )


def test_identities_are_those_of_all_workloads_behind_a_service() -> None:
    (one,) = built(
        service("a"),
        workload("v1", labels={"app": "a", "version": "v1"}, serviceAccount="one"),
        workload("v2", labels={"app": "a", "version": "v2"}),
        workload("other", serviceAccount="other"),
        workload("elsewhere", labels={"app": "a"}, namespace="far", serviceAccount="far"),
    ).values()
    assert [str(identity) for identity in one.identities] == [
        "spiffe://example.org/ns/default/sa/default",
        "spiffe://example.org/ns/default/sa/one",
    ]


def test_replicas_of_an_earlier_generation_keep_their_identity_until_they_are_gone() -> None:
    earlier = instances_of(read(workload("a", serviceAccount="earlier", replicas=2)))
    now = (service("a"), workload("a", serviceAccount="now"))
    (one,) = built(*now, instances=earlier).values()
    assert [identity.service_account for identity in one.identities] == ["earlier", "now"]


def test_a_service_without_a_selector_has_no_identities() -> None:
    (one,) = built(service("a", selector={}), workload("a")).values()
    assert one.identities == ()


def test_replicas_that_come_and_go_change_no_service() -> None:
    texts = (service("a"), workload("a", replicas=3))
    replicas = instances_of(read(*texts))
    assert built(*texts) == built(*texts, instances=replicas) == built(*texts, instances=replicas[:1])
