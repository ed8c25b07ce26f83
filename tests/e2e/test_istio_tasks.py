"""Istio's traffic tasks, by the files of examples/tasks as they are: one mesh, and a test for each task.

Documentation: istio.io, "Tasks", "Traffic Management". Tasks that have an example elsewhere have their tests elsewhere, too;
examples/tasks/README.md says where.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import MARKS
from tests.support.meshes import BOOKINFO
from tests.support.outside import outside
from tests.support.polling import eventually
from tests.support.tasks import EXAMPLE, Town, running_town
from tests.support.visitors import Visitor

pytestmark = [pytest.mark.e2e, pytest.mark.envoy, pytest.mark.timeout(180)]

HTTPBIN, HELLOWORLD, NGINX = "httpbin.example.com", "helloworld.example.com", "nginx.example.com"
RULE = "../bookinfo/networking/virtual-service"
PLACES = ("region1.zone1", "region1.zone2", "region2.zone3", "region3.zone4")


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    captured = not MARKS["privileged"]()
    with running_town(tmp_path_factory.mktemp("tasks") / "tasks", captured=captured) as found:
        yield found


def test_request_timeouts(town: Town) -> None:
    town.mesh.apply(BOOKINFO / "networking" / "destination-rule-all.yaml")
    with town.applied("request-timeouts/reviews-v2", "request-timeouts/ratings-delay"):
        seconds, page = town.page()
        assert 2 <= seconds < 3
        assert "reviews are currently unavailable" not in page
        town.mesh.apply(EXAMPLE / "request-timeouts" / "reviews-timeout.yaml")
        seconds, page = town.page()
        # Twice half a second: the page asks again.
        assert 1 <= seconds < 2
        assert "reviews are currently unavailable" in page


def test_fault_injection(town: Town) -> None:
    """What jason sees; tests/e2e/test_bookinfo.py has the files in every runtime."""
    town.mesh.apply(BOOKINFO / "networking" / "destination-rule-all.yaml")
    with town.applied(f"{RULE}-reviews-test-v2", f"{RULE}-ratings-test-delay"):
        seconds, page = town.page("jason")
        # Twice three seconds, in which the reviews wait for ratings that would take seven.
        assert 6 <= seconds < 7
        assert "reviews are currently unavailable" in page
        town.apply(f"{RULE}-ratings-test-abort")
        seconds, page = town.page("jason")
        assert seconds < 2
        assert "Ratings service is currently unavailable" in page


def test_tcp_traffic_shifting(town: Town) -> None:
    with town.applied("tcp-traffic-shifting/tcp-echo-all-v1"):
        port = town.port(31400)
        assert town.talked(port, 100) == {"one": 100}
        town.apply("tcp-traffic-shifting/tcp-echo-20-v2")
        counts = town.talked(port, 100)
        assert counts.keys() == {"one", "two"}
        # Five standard deviations of what is drawn 100 times.
        assert counts["two"] <= 40


def test_circuit_breaking(town: Town) -> None:
    with town.applied("circuit-breaking/httpbin"):
        assert town.sent("http://httpbin:8000/get", "-n", "10") == {"200": 10}
        before = town.overflowed()
        # One request is with the server and one waits. Each takes a while, so that the third caller is always one too many.
        answers = town.sent("http://httpbin:8000/delay/0.1", "-c", "3", "-n", "30")
        assert answers.keys() == {"200", "503"}
        assert answers["200"] >= 2
        assert answers["503"] >= 5
        assert town.overflowed() - before == answers["503"]
    assert town.sent("http://httpbin:8000/delay/0.1", "-c", "3", "-n", "12") == {"200": 12}


def test_mirroring(town: Town) -> None:
    with town.applied("mirroring/all-to-v1"):
        before = {version: town.served(version) for version in ("v1", "v2")}
        town.sent("http://httpbin:8000/headers", "-n", "5")
        assert town.served("v1") - before["v1"] == {"GET /headers for httpbin:8000": 5}
        assert town.served("v2") == before["v2"]
        town.mesh.apply(EXAMPLE / "mirroring" / "mirror-to-v2.yaml")
        town.sent("http://httpbin:8000/headers", "-n", "5")
        assert town.served("v1") - before["v1"] == {"GET /headers for httpbin:8000": 10}
        eventually(
            lambda: town.served("v2") - before["v2"] == {"GET /headers for httpbin:8000": 5},
            "the second version has had a copy of each request",
        )


HELLO = ("http://helloworld.sample:5000/hello", "--bodies")


def test_locality_failover(town: Town) -> None:
    with town.applied("locality-load-balancing/failover"):
        drained: list[str] = []
        try:
            for place in PLACES:
                eventually(partial(_all_go_to, town, place), f"all calls go to {place}, as {drained} are not ready")
                if place != PLACES[-1]:
                    drained.append(place)
                    _tell(town, place, "drain")
        finally:
            for place in drained:
                _tell(town, place, "resume")


def _all_go_to(town: Town, place: str) -> bool:
    return town.sent(*HELLO, "-n", "10") == {f"Hello version: {place}": 10}


def _tell(town: Town, place: str, what: str) -> None:
    workload = f"helloworld-{place.replace('.', '-')}"
    tell = f'curl -sS --noproxy "*" "http://127.0.0.1:$PORT/{what}"'
    town.mesh.cli("exec", "-n", "sample", workload, "--", "sh", "-c", tell)


def test_locality_weighted_distribution(town: Town) -> None:
    with town.applied("locality-load-balancing/distribute"):
        wanted = {"region1.zone1": 70, "region1.zone2": 20, "region3.zone4": 10}
        expected = {f"Hello version: {place}" for place in wanted}
        eventually(lambda: town.sent(*HELLO, "-n", "50").keys() == expected, "every place is ready again")
        answers = town.sent(*HELLO, "-c", "2", "-n", "500")
        assert answers.keys() == expected
        for place, share in wanted.items():
            # Four standard deviations of what is drawn 500 times.
            allowed = 4 * (500 * share / 100 * (1 - share / 100)) ** 0.5
            assert abs(answers[f"Hello version: {place}"] - 5 * share) <= allowed, answers


def test_ingress(town: Town) -> None:
    with town.applied("ingress/one-host"):
        port = town.port(80)
        assert town.outside.get(port, HTTPBIN, "/status/200").status == 200
        assert town.outside.get(port, HTTPBIN, "/status/418").status == 418
        assert town.outside.get(port, HTTPBIN, "/headers").status == 404
        assert town.outside.get(port, "other.example.com", "/status/200").status == 404
        town.mesh.apply(EXAMPLE / "ingress" / "any-host.yaml")
        assert town.outside.get(port, "other.example.com", "/headers").status == 200
        assert town.outside.get(port, "other.example.com", "/status/200").status == 404


def test_secure_ingress(town: Town) -> None:
    town.give("httpbin")
    with town.applied("secure-ingress/one-host"):
        port = town.port(443)
        eventually(lambda: _status(town.outside, port, HTTPBIN, "/status/418") == 418, "HTTPS is served")
        # Another authority: who knows the first one does not believe the certificate any more.
        town.give("httpbin", folder="new")
        elsewhere = Visitor(town.certificates / "new" / "ca.pem")
        eventually(lambda: _status(elsewhere, port, HTTPBIN, "/status/418") == 418, "the new certificate is shown")
        assert _status(town.outside, port, HTTPBIN, "/status/418") == 0
        town.give("httpbin")
        town.give("helloworld")
        with town.applied("secure-ingress/two-hosts"):
            eventually(lambda: _status(town.outside, port, HELLOWORLD, "/hello") == 200, "the second host is served")
            assert _status(town.outside, port, HTTPBIN, "/status/418") == 418
            for host in (HTTPBIN, HELLOWORLD):
                assert _certified(town, port, host) == host
        town.give("httpbin", mutual=True)
        town.mesh.apply(EXAMPLE / "secure-ingress" / "mutual.yaml")
        eventually(lambda: _status(town.member, port, HTTPBIN, "/status/418") == 418, "clients with certificates are")
        assert _status(town.outside, port, HTTPBIN, "/status/418") == 0


def test_ingress_without_tls_termination(town: Town) -> None:
    with town.applied("ingress-without-tls-termination/nginx"):
        port = town.port(443)
        assert "Welcome to nginx!" in town.outside.get(port, NGINX, secure=True).body
        assert _certified(town, port, NGINX) == NGINX
        assert _status(town.outside, port, HTTPBIN, "/") == 0


def _status(who: Visitor, port: int, host: str, path: str) -> int:
    """Returns the status of what is got by HTTPS, or 0 where there is no connection."""
    try:
        return who.get(port, host, path, secure=True).status
    except OSError:
        return 0


def _certified(town: Town, port: int, host: str) -> str:
    """Returns for which host the certificate is that is shown for a host."""
    with town.outside.connected(port, host) as connection:
        shown = connection.getpeercert()
    assert shown
    names: Any = shown["subjectAltName"]
    return str(dict(names)["DNS"])


CNN, WIKIPEDIA, NGINX_OUTSIDE = "edition.cnn.com", "www.wikipedia.org", "my-nginx.mesh-external.svc.cluster.local"
# Of a block for documents (RFC 5737): there is nobody.
NOBODY = "198.51.100.1"


@pytest.mark.privileged
def test_egress_control(town: Town) -> None:
    google, cnn = "https://www.google.com/", f"https://{CNN}/"
    assert town.asked(google, *town.at("www.google.com")) == "https www.google.com 200"
    with town.applied("egress-control/registry-only"):
        assert town.asked(google, *town.at("www.google.com")) == "000"
        assert town.asked(cnn, *town.at(CNN)) == "000"
        with town.applied("egress-control/httpbin-ext", "egress-control/google"):
            assert town.asked("http://httpbin.org/headers") == "http httpbin.org 200"
            assert town.asked(google) == "https www.google.com 200"
            assert town.asked(cnn, *town.at(CNN)) == "000"
            with town.applied("egress-control/timeout"):
                began = time.monotonic()
                assert town.asked("http://httpbin.org/delay/5").endswith(" 504")
                assert 3 <= time.monotonic() - began < 5


@pytest.mark.privileged
def test_egress_tls_origination(town: Town) -> None:
    http, https = f"http://{CNN}/politics", f"https://{CNN}/politics"
    with town.applied("egress-tls-origination/http"):
        assert town.asked(http) == f"http {CNN} 200"
        assert town.asked(https) == f"https {CNN} 200"
        with town.applied("egress-tls-origination/tls-origination"):
            assert town.asked(http) == f"https {CNN} 200"
            assert town.asked(https) == f"https {CNN} 200"


@pytest.mark.privileged
def test_egress_mutual_tls_origination(town: Town) -> None:
    url = f"http://{NGINX_OUTSIDE}/"
    with town.applied("egress-tls-origination/nginx", "egress-tls-origination/mutual-tls"):
        # The Secret comes after the rule, as it may.
        assert town.asked(url).endswith(" 503")
        town.give("client", mutual=True, namespace="default")
        eventually(lambda: "Welcome to nginx!" in town.asked(url), "the Secret is there")


@pytest.mark.privileged
def test_egress_gateway(town: Town) -> None:
    with town.applied("egress-gateway/http"):
        before = town.left(80, CNN, "rq")
        assert town.asked(f"http://{CNN}/politics") == f"http {CNN} 200"
        assert town.left(80, CNN, "rq") == before + 1
        # What the application encrypts goes to the host.
        assert town.asked(f"https://{CNN}/politics") == f"https {CNN} 200"
        assert town.left(443, CNN) == 0
    with town.applied("egress-gateway/https"):
        before = town.left(443, CNN)
        assert town.asked(f"https://{CNN}/politics") == f"https {CNN} 200"
        assert town.left(443, CNN) == before + 1


@pytest.mark.privileged
def test_egress_gateway_tls_origination(town: Town) -> None:
    with town.applied("egress-gateway-tls-origination/tls-origination"):
        before, known = town.left(443, CNN, "rq"), town.came_by_mutual_tls()
        assert town.asked(f"http://{CNN}/politics") == f"https {CNN} 200"
        assert (town.left(443, CNN, "rq"), town.came_by_mutual_tls()) == (before + 1, known + 1)


@pytest.mark.privileged
def test_egress_gateway_mutual_tls_origination(town: Town) -> None:
    url, known = f"http://{NGINX_OUTSIDE}/", town.came_by_mutual_tls()
    with town.applied("egress-gateway-tls-origination/nginx", "egress-gateway-tls-origination/mutual-tls"):
        # The Secret comes after the rule, as it may.
        assert town.asked(url).endswith(" 503")
        town.give("client", mutual=True)
        eventually(lambda: "Welcome to nginx!" in town.asked(url), "the Secret is there")
        assert town.came_by_mutual_tls() == known + 1
        before = town.left(443, NGINX_OUTSIDE, "rq")
        assert "Welcome to nginx!" in town.asked(url)
        assert town.left(443, NGINX_OUTSIDE, "rq") == before + 1


@pytest.mark.privileged
def test_wildcard_egress_hosts(town: Town) -> None:
    sites = ("en.wikipedia.org", "de.wikipedia.org")
    with town.applied("egress-control/registry-only"):
        assert town.asked(f"https://{sites[0]}/", *town.at(sites[0])) == "000"
        with town.applied("wildcard-egress-hosts/direct"):
            for site in sites:
                assert town.asked(f"https://{site}/", *town.at(site)) == f"https {site} 200"
        with town.applied("wildcard-egress-hosts/gateway"):
            before = town.left(443, WIKIPEDIA)
            for site in sites:
                assert town.asked(f"https://{site}/", *town.at(site, NOBODY)) == f"https {site} 200"
            assert town.left(443, WIKIPEDIA) == before + 2


@pytest.mark.privileged
def test_wildcard_egress_hosts_on_any_server(town: Town, tmp_path: Path) -> None:
    """With resolution DYNAMIC_DNS; what the gateway's host looks up is itself."""
    with outside(tmp_path, captured=False, loopback="127.0.0.1") as here:
        folder = EXAMPLE / "wildcard-egress-hosts"
        gateway = (folder / "gateway.yaml").read_text().replace("wikipedia.org", "localhost")
        names = (folder / "any-server.yaml").read_text().replace("wikipedia.org", "localhost")
        names = names.replace("protocol: TLS\n", f"protocol: TLS\n    targetPort: {here.https}\n", 1)
        town.mesh.apply_text(gateway)
        town.mesh.apply_text(names)
        for host in ("de.localhost", "fr.localhost"):
            options = ("--cacert", here.chain, *town.at(host, NOBODY))
            assert town.asked(f"https://{host}/", *options) == f"https {host} 200"
        town.mesh.delete("-f", "-", text=names)
        town.mesh.delete("-f", "-", "--ignore-not-found", text=gateway)
