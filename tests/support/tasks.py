"""The mesh of examples/tasks, with a server in the place of the Internet, and what its READMEs do there."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import yaml
from tests.support.meshes import BOOKINFO, ROOT, Mesh, running
from tests.support.outside import Outside, outside
from tests.support.visitors import Visitor

EXAMPLE = ROOT / "examples" / "tasks"


class Town:
    """The mesh of the tasks, from a copy of the example with certificates; somebody outside, and ``servers`` there.

    ``nginx`` is the port of the task's server that wants certificates of its clients, at the address of ``servers``.
    """

    def __init__(self, mesh: Mesh, folder: Path, servers: Outside, nginx: int) -> None:
        self.mesh = mesh
        self.servers = servers
        self.nginx = nginx
        self.certificates = folder / "certificates"
        self.outside = Visitor(self.certificates / "ca.pem")
        self.member = Visitor(self.outside.ca, (self.certificates / "client.pem", self.certificates / "client-key.pem"))

    @contextlib.contextmanager
    def applied(self, *names: str) -> Iterator[None]:
        """Has files in force while the context lasts, by their paths from the example; one may be written over another."""
        try:
            for name in names:
                self.apply(name)
            yield
        finally:
            self._delete(*names)

    def apply(self, name: str) -> None:
        """Applies a file, with the addresses of servers on this host in the place of those of the Internet's."""
        text = (EXAMPLE / f"{name}.yaml").read_text()
        nginx = {
            "targetPort: 8444": f"targetPort: {self.nginx}",
            "address: 127.0.0.1": f"address: {self.servers.address}",
        }
        text = self.servers.here(text) if "my-nginx" not in text else text
        for written, here in nginx.items():
            text = text.replace(written, here)
        self.mesh.apply_text(text)

    def _delete(self, *names: str) -> None:
        documents = [one for name in names for one in yaml.safe_load_all((EXAMPLE / f"{name}.yaml").read_text())]
        once = {(one["kind"], one["metadata"]["name"]): one for one in documents}
        self.mesh.delete("-f", "-", "--ignore-not-found", text=yaml.safe_dump_all(once.values()))

    def sent(self, url: str, *options: str) -> Counter[str]:
        """Calls from the client as the READMEs do; returns how often there was which answer."""
        said = self.mesh.cli("exec", "curl", "--", "python3", "load.py", *options, url).stdout
        return _counted(line.split(maxsplit=1)[::-1] for line in said.splitlines())

    def asked(self, url: str, *options: str) -> str:
        """Calls once from the client; returns the body and the status, which is 000 where nobody answers."""
        certified = ("--cacert", self.servers.chain)
        line = ("curl", "-sS", "--max-time", "10", *certified, "-w", " %{http_code}", *options, url)
        return self.mesh.cli("exec", "curl", "--", *line, check=False).stdout.strip()

    def page(self, user: str = "") -> tuple[float, str]:
        """Returns how long Bookinfo's page took for somebody, and what it says."""
        fetch = f'curl -sS -w "\\n%{{time_total}}" "http://productpage:9080/productpage?u={user}"'
        page, _, seconds = self.mesh.cli("exec", "productpage-v1", "--", "sh", "-c", fetch).stdout.rpartition("\n")
        return float(seconds), page

    def served(self, version: str) -> Counter[str]:
        """Returns the requests that a version of httpbin has had."""
        return Counter(self.mesh.cli("logs", f"httpbin-{version}").stdout.splitlines())

    def overflowed(self) -> int:
        """Returns how many requests to httpbin the client's proxy has refused because too many waited."""
        name = r"outbound.8000..httpbin.default.svc.cluster.local.upstream_rq_pending_overflow$"
        (proxy,) = (one["id"] for one in self.mesh.get("/v1/proxies")["items"] if one["id"].startswith("curl-"))
        return sum(self.mesh.stats(proxy, name).values())

    def at(self, host: str, address: str = "") -> tuple[str, str]:
        """Returns the options by which the client calls a host at an address, by default where the Internet's servers are."""
        return ("--connect-to", f"{host}:443:{address or self.servers.address}:443")

    def port(self, number: int) -> int:
        """Returns where a port of the gateway is on this host."""
        return self.mesh.gateway_port(number, "istio-ingressgateway")

    def talked(self, port: int, connections: int) -> Counter[str]:
        """Says something on many connections to a port of this host; returns who answered how often."""
        line = [sys.executable, str(EXAMPLE / "servers" / "talk.py"), "127.0.0.1", str(port), str(connections)]
        said = subprocess.run(line, check=True, capture_output=True, text=True, timeout=60).stdout
        return _counted(line.split() for line in said.splitlines())

    def left(self, port: int, host: str, what: str = "cx") -> int:
        """Returns how many connections (``cx``) or requests (``rq``) the egress gateway has sent to a port of a host."""
        return self._counted_at_egress(f"cluster.outbound|{port}||{host}.upstream_{what}_total")

    def came_by_mutual_tls(self) -> int:
        """Returns how many handshakes the egress gateway has had with clients that it knows."""
        return self._counted_at_egress("listener.", ".ssl.handshake")

    def _counted_at_egress(self, beginning: str, end: str = "") -> int:
        instances = self.mesh.get("/v1/workloads")["items"]
        (gateway,) = (one for one in instances if one["workload"] == "istio-egressgateway")
        counters = self.mesh.stats(f"{gateway['name']}.{gateway['namespace']}", "_total$|ssl.handshake$")
        return sum(n for name, n in counters.items() if name.startswith(beginning) and name.endswith(end))

    def give(
        self, name: str, secret: str = "", *, folder: str = ".", mutual: bool = False, namespace: str = "istio-system"
    ) -> None:
        """Applies somebody's certificate as the task's Secret for it."""
        files = [f"{name}.pem", f"{name}-key.pem", *(["ca.pem"] if mutual else [])]
        script = ROOT / "examples" / "gateways" / "secret.sh"
        command = ["sh", str(script), f"{namespace}/{secret or f'{name}-credential'}", *files]
        where = self.certificates / folder
        text = subprocess.run(command, check=True, capture_output=True, text=True, cwd=where).stdout
        self.mesh.apply_text(text)


def _counted(pairs: Iterator[list[str]]) -> Counter[str]:
    return Counter({answer: int(count) for answer, count in pairs})


@contextlib.contextmanager
def running_town(folder: Path, *, captured: bool) -> Iterator[Town]:
    """Runs the mesh in a copy of the example while the context lasts; what leaves it is for tests with captured traffic."""
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("certificates"))
    subprocess.run(["sh", str(folder / "certificates.sh")], check=True, capture_output=True)
    bookinfo = folder / "bookinfo.yaml"
    bookinfo.write_text(_bookinfo())
    capture, ports = ("transparent", (80, 443)) if captured else ("explicit", (0, 0))
    with (
        running(folder / "mesh.yaml", bookinfo, capture=capture) as mesh,
        outside(folder, captured=captured, ports=ports) as servers,
        _nginx(folder, servers.address) as port,
    ):
        yield Town(mesh, folder, servers, port)


@contextlib.contextmanager
def _nginx(folder: Path, address: str) -> Iterator[int]:
    """Runs the server outside the mesh that takes nobody without a certificate, while the context lasts."""
    with socket.create_server((address, 0)) as probe:
        port = probe.getsockname()[1]
    files = [str(folder / "certificates" / name) for name in ("external.pem", "external-key.pem", "ca.pem")]
    process = subprocess.Popen([sys.executable, folder / "servers" / "nginx.py", f"{address}:{port}", *files])
    try:
        yield port
    finally:
        process.terminate()
        process.wait(timeout=10)


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
