"""The resource files of examples/bookinfo: what Istio publishes, and what Mizzen runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.unit.examples.bookinfo_shop import BOOKINFO

from mizzen.resources.loading import load


def rule(name: str, *versions: str) -> dict[str, Any]:
    subsets = [{"name": version, "labels": {"version": version}} for version in versions]
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "DestinationRule",
        "metadata": {"name": name},
        "spec": {"host": name, "subsets": subsets},
    }


def routes(name: str, *http: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": name},
        "spec": {"hosts": [name], "http": list(http)},
    }


def to(host: str, **weights: int | None) -> dict[str, Any]:
    return {
        "route": [
            {"destination": {"host": host, "subset": subset}} | ({} if weight is None else {"weight": weight})
            for subset, weight in weights.items()
        ]
    }


def faulty(**fault: Any) -> dict[str, Any]:
    rest = to("ratings", v1=None)
    return routes("ratings", JASON | {"fault": fault} | rest, rest)


JASON = {"match": [{"headers": {"end-user": {"exact": "jason"}}}]}
# What Istio publishes under these names; two of its files end with an empty document.
PUBLISHED: dict[str, list[dict[str, Any] | None]] = {
    "destination-rule-all": [
        rule("productpage", "v1"),
        rule("reviews", "v1", "v2", "v3"),
        rule("ratings", "v1", "v2", "v2-mysql", "v2-mysql-vm"),
        rule("details", "v1", "v2"),
        None,
    ],
    "virtual-service-all-v1": [
        *(routes(name, to(name, v1=None)) for name in ("productpage", "reviews", "ratings", "details")),
        None,
    ],
    "virtual-service-reviews-v3": [routes("reviews", to("reviews", v3=None))],
    "virtual-service-reviews-50-v3": [routes("reviews", to("reviews", v1=50, v3=50))],
    "virtual-service-reviews-90-10": [routes("reviews", to("reviews", v1=90, v2=10))],
    "virtual-service-reviews-test-v2": [
        routes("reviews", JASON | to("reviews", v2=None), to("reviews", v1=None)),
    ],
    "virtual-service-reviews-jason-v2-v3": [
        routes("reviews", JASON | to("reviews", v2=None), to("reviews", v3=None)),
    ],
    "virtual-service-ratings-test-delay": [faulty(delay={"percentage": {"value": 100.0}, "fixedDelay": "7s"})],
    "virtual-service-ratings-test-abort": [faulty(abort={"percentage": {"value": 100.0}, "httpStatus": 500})],
}


def test_the_networking_files_say_what_istio_publishes() -> None:
    found = {path.stem: list(yaml.safe_load_all(path.read_text())) for path in (BOOKINFO / "networking").iterdir()}
    assert found == PUBLISHED


@pytest.mark.parametrize("path", sorted(BOOKINFO.rglob("*.yaml")), ids=lambda path: path.stem)
def test_mizzen_reads_the_files(path: Path) -> None:
    loaded = load(path.read_text(), str(path))
    assert loaded.problems == ()
    assert len(loaded.resources) == len([item for item in yaml.safe_load_all(path.read_text()) if item])


def test_the_workloads_match_what_istio_runs() -> None:
    documents = list(yaml.safe_load_all((BOOKINFO / "bookinfo.yaml").read_text()))
    services = {item["metadata"]["name"]: item for item in documents if item["kind"] == "Service"}
    workloads = {item["metadata"]["name"]: item for item in documents if item["kind"] == "Workload"}
    assert services.keys() == {"details", "ratings", "reviews", "productpage"}
    assert workloads.keys() == {"details-v1", "ratings-v1", "reviews-v1", "reviews-v2", "reviews-v3", "productpage-v1"}
    for name, item in services.items():
        assert item["spec"] == {"selector": {"app": name}, "ports": [{"name": "http", "port": 9080}]}
    for name, item in workloads.items():
        app, version = name.split("-")
        assert item["metadata"]["labels"] == {"app": app, "version": version}
        spec = item["spec"]
        assert spec["serviceAccount"] == f"bookinfo-{app}"
        assert spec["command"] == ["python3", "-m", f"services.{app}", "--port", "$(PORT)"]
        assert spec["ports"] == [{"name": "http", "containerPort": 9080}]
        assert {"name": "SERVICE_VERSION", "value": version} in spec["env"]
        assert (BOOKINFO / spec["workingDir"] / "services" / f"{app}.py").is_file()
