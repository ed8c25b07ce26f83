"""What nodes have found, beside what users wrote: services and their identities, names, and who is outside the mesh."""

from __future__ import annotations

from typing import Any

import msgspec
from tests.support.worlds import TRUST_DOMAIN, instances_of, read
from tests.support.written import service, workload

from mizzen.compile.route_views import RouteViews
from mizzen.compile.routes import Source
from mizzen.control.views import Inputs, build_snapshot
from mizzen.mesh.model import Snapshot
from mizzen.mesh.scope import scope_of
from mizzen.registry.reports import FoundPort, FoundService, Instance, InstancePort, Report
from mizzen.registry.unwritten import found_services, found_workloads
from mizzen.resources.key import Key
from mizzen.resources.references import check_references

HOST = "my-db.default.svc.cluster.local"
FOUND = FoundService(
    name="my-db",
    namespace="default",
    ports=(FoundPort(number=8080, name="http-8080", app_protocol="http"),),
    selector={"service.mizzen.dev/my_db": "true"},
    accounts=("my-db", "another"),
    aliases=("my_db",),
)


def container(**changes: Any) -> Instance:
    made = Instance(
        name="my-db",
        namespace="default",
        workload="my-db",
        digest="1",
        phase="Running",
        ready=True,
        labels={"service.mizzen.dev/my_db": "true", "version": "v1"},
        service_account="my-db",
        address="10.89.0.2",
        capture="transparent",
        ports=(InstancePort(number=8080, application=8080, inbound=8080, name="http-8080", app_protocol="http"),),
    )
    return msgspec.structs.replace(made, **changes)


def snapshot(*instances: Instance) -> Snapshot:
    report = Report(node="n", instances=instances, services=(FOUND,))
    resources: dict[Key, Any] = dict(found_services(report))
    return build_snapshot(Inputs(TRUST_DOMAIN, resources, report, {HOST: "240.240.0.9"}), 1)


def test_a_found_service_has_endpoints_and_the_identities_of_all_that_may_stand_behind_it() -> None:
    world = snapshot(container())
    found = world.services[HOST]
    assert [str(one) for one in found.identities] == [
        "spiffe://cluster.local/ns/default/sa/another",
        "spiffe://cluster.local/ns/default/sa/my-db",
    ]
    (endpoint,) = world.endpoints[HOST, 8080]
    assert (endpoint.address, endpoint.port, endpoint.tls) == ("10.89.0.2", 8080, True)
    assert snapshot().services[HOST] == found, "containers that stop change no service"


def test_who_is_outside_the_mesh_is_called_in_plaintext_and_has_no_proxy() -> None:
    world = snapshot(container(capture="none"))
    (endpoint,) = world.endpoints[HOST, 8080]
    assert not endpoint.tls
    assert world.proxies == {}


def test_a_service_is_called_by_its_aliases_in_its_own_namespace() -> None:
    world = snapshot(container())
    own, other = (RouteViews(scope_of(world, namespace)) for namespace in ("default", "far"))
    (host,) = own.of_port(8080, Source("default")).hosts
    assert "my_db" in host.domains
    (host,) = other.of_port(8080, Source("far")).hosts
    assert "my_db" not in host.domains


def test_rules_may_refer_to_what_was_found() -> None:
    text = """
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: my-db}
spec:
  host: my-db
  subsets:
  - {name: v1, labels: {version: v1}}
"""
    (rule,) = read(text)
    assert [problem.code for problem in check_references([rule])] != []
    report = Report(node="n", instances=(container(),), services=(FOUND,))
    known = [rule, *found_services(report).values(), *found_workloads(report, ()).values()]
    assert check_references(known) == []


def test_replicas_of_written_workloads_are_not_found_again() -> None:
    resources = read(service("a"), workload("a"))
    report = Report(node="n", instances=(*instances_of(resources), container()))
    assert list(found_workloads(report, [one.key for one in resources])) == [Key("Workload", "default", "my-db")]
