from __future__ import annotations

import msgspec
from tests.support.worlds import instances_of, read, snapshot_of
from tests.support.written import gateway_workload, service, sidecar, workload

from mizzen.registry.egress import egress_names
from mizzen.registry.reports import EgressNames

TEXTS = (
    service("web"),
    workload("web", replicas=2),
    workload("free", namespace="far"),
    workload("lone"),
    gateway_workload(),
    sidecar("./*", workloadSelector={"labels": {"app": "web"}}),
    sidecar(
        {"port": {"number": 80, "protocol": "HTTP", "name": "a"}, "hosts": ["*/a.com"]},
        {"port": {"number": 3128, "protocol": "HTTP_PROXY", "name": "b"}, "hosts": ["*/b.com"]},
        "far/*",
        name="rest",
    ),
)


def test_instances_under_a_sidecar_and_what_its_listeners_select() -> None:
    resources = read(*TEXTS)
    found = egress_names(snapshot_of(resources).sidecars, instances_of(resources), "istio-system")
    assert found == (
        EgressNames(namespace="default", instances=("web-0", "web-1"), hosts=((0, ("./*",)),)),
        EgressNames(
            namespace="default",
            instances=("lone-0",),
            hosts=((80, ("*/a.com",)), (0, ("*/b.com",)), (0, ("far/*",))),
        ),
    )
    assert msgspec.json.decode(msgspec.json.encode(found), type=tuple[EgressNames, ...]) == found


def test_a_sidecar_without_egress_hides_nothing() -> None:
    resources = read(workload("web"), sidecar(outboundTrafficPolicy={"mode": "REGISTRY_ONLY"}))
    assert egress_names(snapshot_of(resources).sidecars, instances_of(resources), "istio-system") == ()
