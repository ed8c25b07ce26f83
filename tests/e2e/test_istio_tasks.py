"""Istio's traffic tasks, by the files of examples/tasks as they are: one mesh, and a test for each task.

Documentation: istio.io, "Tasks", "Traffic Management". Tasks that have an example elsewhere have their tests elsewhere, too;
examples/tasks/README.md says where.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.support.meshes import BOOKINFO, ROOT, Mesh, running
from tests.support.polling import eventually
from tests.support.visitors import Visitor

pytestmark = [pytest.mark.e2e, pytest.mark.envoy, pytest.mark.timeout(180)]

EXAMPLE = ROOT / "examples" / "tasks"
HTTPBIN, HELLOWORLD, NGINX = "httpbin.example.com", "helloworld.example.com", "nginx.example.com"
PLACES = ("region1.zone1", "region1.zone2", "region2.zone3", "region3.zone4")


class Town:
    """The mesh of the tasks, from a copy of the example with certificates, and somebody outside."""

    def __init__(self, mesh: Mesh, folder: Path) -> None:
        self.mesh = mesh
        self.certificates = folder / "certificates"
        self.outside = Visitor(self.certificates / "ca.pem")
        self.member = Visitor(self.outside.ca, (self.certificates / "client.pem", self.certificates / "client-key.pem"))

    @contextlib.contextmanager
    def applied(self, *names: str) -> Iterator[None]:
        """Has files of the example in force while the context lasts; a file may be written over the one before it."""
        self.mesh.apply(*(EXAMPLE / f"{name}.yaml" for name in names[:1]))
        try:
            for name in names[1:]:
                self.mesh.apply(EXAMPLE / f"{name}.yaml")
            yield
        finally:
            self._delete(*names)

    def _delete(self, *names: str) -> None:
        documents = [one for name in names for one in yaml.safe_load_all((EXAMPLE / f"{name}.yaml").read_text())]
        once = {(one["kind"], one["metadata"]["name"]): one for one in documents}
        self.mesh.delete("-f", "-", text=yaml.safe_dump_all(once.values()))

    def sent(self, url: str, *options: str) -> Counter[str]:
        """Calls from the client as the READMEs do; returns how often there was which answer."""
        said = self.mesh.cli("exec", "curl", "--", "python3", "load.py", *options, url).stdout
        return Counter({answer: int(count) for count, answer in (line.split(maxsplit=1) for line in said.splitlines())})

    def port(self, number: int) -> int:
        """Returns where a port of the gateway is on this host."""
        return self.mesh.gateway_port(number, "istio-ingressgateway")

    def give(self, name: str, *, mutual: bool = False) -> None:
        """Applies a host's certificate as the task's Secret for it."""
        files = [f"{name}.pem", f"{name}-key.pem", *(["ca.pem"] if mutual else [])]
        script = ROOT / "examples" / "gateways" / "secret.sh"
        command = ["sh", str(script), f"istio-system/{name}-credential", *files]
        text = subprocess.run(command, check=True, capture_output=True, text=True, cwd=self.certificates).stdout
        self.mesh.apply_text(text)


def _bookinfo() -> str:
    """Returns as much of Bookinfo as a page with stars needs."""
    documents = yaml.safe_load_all((BOOKINFO / "bookinfo.yaml").read_text())
    needed = [
        one
        for one in documents
        if one["kind"] == "Service" or one["metadata"]["name"] in ("productpage-v1", "reviews-v2", "ratings-v1")
    ]
    for one in needed:
        if one["kind"] == "Workload":
            one["spec"]["workingDir"] = str(BOOKINFO)
    return yaml.safe_dump_all(needed)


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    folder = tmp_path_factory.mktemp("tasks") / "tasks"
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("certificates"))
    subprocess.run(["sh", str(folder / "certificates.sh")], check=True, capture_output=True)
    bookinfo = folder / "bookinfo.yaml"
    bookinfo.write_text(_bookinfo())
    with running(folder / "mesh.yaml", bookinfo) as mesh:
        yield Town(mesh, folder)


def test_request_timeouts(town: Town) -> None:
    town.mesh.apply(BOOKINFO / "networking" / "destination-rule-all.yaml")
    with town.applied("request-timeouts/reviews-v2", "request-timeouts/ratings-delay"):
        seconds, page = _page(town)
        assert 2 <= seconds < 3
        assert "reviews are currently unavailable" not in page
        town.mesh.apply(EXAMPLE / "request-timeouts" / "reviews-timeout.yaml")
        seconds, page = _page(town)
        # Twice half a second: the page asks again.
        assert 1 <= seconds < 2
        assert "reviews are currently unavailable" in page


def _page(town: Town) -> tuple[float, str]:
    """Returns how long Bookinfo's page took, and what it says."""
    fetch = 'curl -sS -w "\\n%{time_total}" http://productpage:9080/productpage'
    page, _, seconds = town.mesh.cli("exec", "productpage-v1", "--", "sh", "-c", fetch).stdout.rpartition("\n")
    return float(seconds), page


def test_circuit_breaking(town: Town) -> None:
    with town.applied("circuit-breaking/httpbin"):
        assert town.sent("http://httpbin:8000/get", "-n", "10") == {"200": 10}
        before = _overflowed(town)
        # One request is with the server and one waits. Each takes a while, so that the third caller is always one too many.
        answers = town.sent("http://httpbin:8000/delay/0.1", "-c", "3", "-n", "30")
        assert answers.keys() == {"200", "503"}
        assert answers["200"] >= 2
        assert answers["503"] >= 5
        assert _overflowed(town) - before == answers["503"]
    assert town.sent("http://httpbin:8000/delay/0.1", "-c", "3", "-n", "12") == {"200": 12}


def _overflowed(town: Town) -> int:
    """Returns how many requests the client's proxy has refused because too many waited."""
    name = r"outbound.8000..httpbin.default.svc.cluster.local.upstream_rq_pending_overflow$"
    (proxy,) = (one["id"] for one in town.mesh.get("/v1/proxies")["items"] if one["id"].startswith("curl-"))
    return sum(town.mesh.stats(proxy, name).values())


def test_mirroring(town: Town) -> None:
    with town.applied("mirroring/all-to-v1"):
        before = {version: _served(town, version) for version in ("v1", "v2")}
        town.sent("http://httpbin:8000/headers", "-n", "5")
        assert _served(town, "v1") - before["v1"] == {"GET /headers for httpbin:8000": 5}
        assert _served(town, "v2") == before["v2"]
        town.mesh.apply(EXAMPLE / "mirroring" / "mirror-to-v2.yaml")
        town.sent("http://httpbin:8000/headers", "-n", "5")
        assert _served(town, "v1") - before["v1"] == {"GET /headers for httpbin:8000": 10}
        eventually(
            lambda: _served(town, "v2") - before["v2"] == {"GET /headers for httpbin:8000": 5},
            "the second version has had a copy of each request",
        )


def _served(town: Town, version: str) -> Counter[str]:
    return Counter(town.mesh.cli("logs", f"httpbin-{version}").stdout.splitlines())


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
