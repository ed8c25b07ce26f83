"""Istio's published Bookinfo files, unchanged, do what Istio's documentation says, in both capture modes.

Documentation: istio.io, tasks "Request Routing" and "Traffic Shifting". Each test starts from all traffic on v1.
"""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from tests.support.meshes import BOOKINFO, Mesh
from tests.support.polling import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.envoy, pytest.mark.timeout(300)]

NETWORKING = BOOKINFO / "networking"
# v1 answers; v3 gets a copy of each request, and what it answers goes nowhere.
MIRROR = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews}
spec:
  hosts: [reviews]
  http:
  - route: [{destination: {host: reviews, subset: v1}}]
    mirror: {host: reviews, subset: v3}
    mirrorPercentage: {value: 100.0}
"""
CORS = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: ratings}
spec:
  hosts: [ratings]
  http:
  - route: [{destination: {host: ratings}}]
    corsPolicy:
      allowOrigins: [{exact: "https://shop.example"}]
      allowMethods: [GET]
      maxAge: 24h
      unmatchedPreflights: IGNORE
"""
REVIEWS = "http://reviews:9080/health"


def published(name: str) -> Path:
    return NETWORKING / f"{name}.yaml"


@pytest.fixture(autouse=True)
def all_on_v1(bookinfo: Mesh) -> None:
    bookinfo.apply(published("destination-rule-all"), published("virtual-service-all-v1"))


def versions(mesh: Mesh, count: int, *options: str) -> dict[str, int]:
    """Returns how many answers came from which version of reviews."""
    result = mesh.send("productpage-v1", REVIEWS, count, 500.0, *options)
    assert result["statuses"] == {"200": count}, result
    found: dict[str, int] = result["versions"]
    return found


def assert_share(found: dict[str, int], version: str, share: float) -> None:
    """Asserts that a version's share is within three standard deviations of what was asked for."""
    count = sum(found.values())
    allowed = 3 * math.sqrt(count * share * (1 - share))
    assert abs(found.get(version, 0) - count * share) <= allowed, found


def test_virtual_service_all_v1(bookinfo: Mesh) -> None:
    assert versions(bookinfo, 60) == {"v1": 60}


def test_virtual_service_reviews_v3(bookinfo: Mesh) -> None:
    bookinfo.apply(published("virtual-service-reviews-v3"))
    assert versions(bookinfo, 60) == {"v3": 60}


def test_virtual_service_reviews_50_v3(bookinfo: Mesh) -> None:
    bookinfo.apply(published("virtual-service-reviews-50-v3"))
    found = versions(bookinfo, 1000)
    assert set(found) == {"v1", "v3"}
    assert_share(found, "v3", 0.5)


def test_virtual_service_reviews_90_10_over_4000_requests(bookinfo: Mesh) -> None:
    bookinfo.apply(published("virtual-service-reviews-90-10"))
    found = versions(bookinfo, 4000)
    assert set(found) == {"v1", "v2"}
    assert_share(found, "v2", 0.1)


def test_virtual_service_reviews_test_v2(bookinfo: Mesh) -> None:
    bookinfo.apply(published("virtual-service-reviews-test-v2"))
    assert versions(bookinfo, 40, "--header", "end-user=jason") == {"v2": 40}
    assert versions(bookinfo, 40, "--header", "end-user=somebody") == {"v1": 40}
    assert versions(bookinfo, 40) == {"v1": 40}


def test_virtual_service_reviews_jason_v2_v3(bookinfo: Mesh) -> None:
    bookinfo.apply(published("virtual-service-reviews-jason-v2-v3"))
    assert versions(bookinfo, 40, "--header", "end-user=jason") == {"v2": 40}
    assert versions(bookinfo, 40) == {"v3": 40}


def test_the_page_shows_the_chosen_version(bookinfo: Mesh) -> None:
    """A call from the outside goes through three sidecars: productpage's, reviews' and ratings'."""
    bookinfo.apply(published("virtual-service-reviews-v3"))
    page = bookinfo.cli("exec", "productpage-v1", "--", "sh", "-c", 'curl -sS "http://productpage:9080/productpage"')
    assert "v3" in page.stdout
    assert "red" in page.stdout.lower()


def test_services_are_called_by_every_name_of_kubernetes(bookinfo: Mesh) -> None:
    for name in ("reviews", "reviews.default", "reviews.default.svc", "reviews.default.svc.cluster.local"):
        assert bookinfo.send("productpage-v1", f"http://{name}:9080/health", 5)["statuses"] == {"200": 5}, name


def test_service_variables_lead_into_the_mesh(bookinfo: Mesh) -> None:
    """Kubernetes' convention: ``REVIEWS_SERVICE_HOST`` and ``REVIEWS_SERVICE_PORT``."""
    bookinfo.apply(published("virtual-service-reviews-v3"))
    command = 'curl -sS --noproxy "*" -D - -o /dev/null "http://$REVIEWS_SERVICE_HOST:$REVIEWS_SERVICE_PORT/health"'
    answer = bookinfo.cli("exec", "productpage-v1", "--", "sh", "-c", command).stdout
    assert answer.startswith("HTTP/1.1 200")
    assert "x-bookinfo-version: v3" in answer


RATINGS = "http://ratings:9080/ratings/1"
AS_JASON = ("--header", "end-user=jason")


def test_virtual_service_ratings_test_delay(bookinfo: Mesh) -> None:
    """Istio's task "Fault Injection": jason waits seven seconds, nobody else does."""
    bookinfo.apply(published("virtual-service-ratings-test-delay"))
    delayed = bookinfo.send("productpage-v1", RATINGS, 2, 100.0, *AS_JASON)
    assert delayed["statuses"] == {"200": 2}
    assert 7000 <= delayed["p50"] < 10_000
    assert bookinfo.send("productpage-v1", RATINGS, 10, 100.0)["p50"] < 2000


def test_virtual_service_ratings_test_abort(bookinfo: Mesh) -> None:
    bookinfo.apply(published("virtual-service-ratings-test-abort"))
    assert bookinfo.send("productpage-v1", RATINGS, 20, 500.0, *AS_JASON)["statuses"] == {"500": 20}
    assert bookinfo.send("productpage-v1", RATINGS, 20, 500.0)["statuses"] == {"200": 20}


def test_a_mirror_gets_a_copy_of_each_request(bookinfo: Mesh) -> None:
    """Istio's task "Mirroring"."""
    bookinfo.apply_text(MIRROR)
    before = completed(bookinfo, "v3")
    assert versions(bookinfo, 60) == {"v1": 60}
    eventually(lambda: completed(bookinfo, "v3") == before + 60, "v3 has answered as many copies")


def completed(mesh: Mesh, version: str) -> int:
    """Returns how many requests productpage's proxy has had answered by a version of reviews."""
    instance = mesh.instance("productpage-v1")
    proxy = instance["proxies"][-1]
    name = rf"outbound.9080.{version}.reviews.default.svc.cluster.local.upstream_rq_completed$"
    found = mesh.stats(proxy, name)
    return sum(count for name, count in found.items() if not mesh.one_proxy or f".{instance['name']}." in name)


def test_a_cors_preflight_is_answered_by_the_callers_proxy(bookinfo: Mesh) -> None:
    bookinfo.apply_text(CORS)
    ask = 'curl -sS -D - -o /dev/null -X OPTIONS -H "Access-Control-Request-Method: GET"'
    answers = {
        origin: bookinfo.cli(
            "exec", "productpage-v1", "--", "sh", "-c", f'{ask} -H "Origin: {origin}" {RATINGS}'
        ).stdout
        for origin in ("https://shop.example", "https://elsewhere.example")
    }
    mine, other = answers.values()
    assert mine.startswith("HTTP/1.1 200")
    assert "access-control-allow-origin: https://shop.example" in mine
    assert "access-control-max-age: 86400" in mine
    assert "access-control-allow-origin" not in other


def test_every_proxy_is_in_sync(bookinfo: Mesh) -> None:
    proxies = bookinfo.get("/v1/proxies")["items"]
    assert len(proxies) == (1 if bookinfo.one_proxy else 6)
    states = {state["state"] for proxy in proxies for state in proxy["types"].values()}
    assert states == {"SYNCED"}
