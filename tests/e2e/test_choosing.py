"""Who gets a request or a connection: by hash of a header, a cookie or the source, and by routes for TCP and TLS."""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.conftest import RUNTIMES
from tests.support import small
from tests.support.meshes import Mesh
from tests.support.programs import ASK, CONNECT, CONNECT_TLS, GREETER, KEEP, SECURE, write_certificate

pytestmark = [pytest.mark.e2e, pytest.mark.envoy, pytest.mark.timeout(120)]


GREET = ("python3", "-c", GREETER, "$(PORT)")
SECURELY = ("python3", "-c", SECURE, "$(PORT)")
PASSTHROUGH = {"loadBalancer": {"simple": "PASSTHROUGH"}}
VERSIONS = ("v1", "v2", "v3")
WEB = {"web-a-0", "web-b-0", "web-c-0"}


def servers(folder: Path) -> Iterator[small.Server]:
    yield from (small.Server(f"web-{one}", app="web") for one in "abc")
    secrets = {name: (folder / f"{name.lower()}.pem").read_text() for name in ("CHAIN", "KEY")}
    for version in VERSIONS:
        yield small.Server(f"echo-{version}", app="echo", command=GREET, protocol="tcp", version=version)
        yield small.Server(
            f"secure-{version}", app="secure", command=SECURELY, protocol="tls", version=version, env=secrets
        )
    yield small.Server("client")


def address(mesh: Mesh, instance: str) -> str:
    (found,) = (one for one in mesh.get("/v1/workloads")["items"] if one["name"] == instance)
    return str(found["address"])


def hashed(host: str, **consistent_hash: Any) -> str:
    spec = {"host": host, "trafficPolicy": {"loadBalancer": {"consistentHash": consistent_hash}}}
    return resource("DestinationRule", host, spec)


def resource(kind: str, name: str, spec: dict[str, Any]) -> str:
    document = {"apiVersion": "networking.istio.io/v1", "kind": kind, "metadata": {"name": name}, "spec": spec}
    return json.dumps(document)


def subsets(host: str) -> str:
    found = [{"name": version, "labels": {"version": version}} for version in VERSIONS]
    return resource("DestinationRule", host, {"host": host, "subsets": found})


def divided(host: str, **weights: int) -> str:
    """A VirtualService that divides the connections to a host among its subsets."""
    return resource("VirtualService", host, {"hosts": [host], "tcp": [{"route": weighted(host, **weights)}]})


def weighted(host: str, **weights: int) -> list[dict[str, Any]]:
    return [{"destination": {"host": host, "subset": subset}, "weight": weight} for subset, weight in weights.items()]


def by_name(**routes: str) -> str:
    """A VirtualService that leads the names under example.com to subsets; ``others`` stands for all that have none."""
    tls = [
        {
            "match": [{"sniHosts": [f"{'*' if name == 'others' else name}.example.com"]}],
            "route": weighted("secure", **{subset: 100}),
        }
        for name, subset in routes.items()
    ]
    return resource("VirtualService", "secure", {"hosts": ["secure", "*.example.com"], "tls": tls})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the servers of TLS find their certificate, and their clients the root."""
    folder = tmp_path_factory.mktemp("choosing")
    write_certificate(folder)
    return folder


@pytest.fixture(scope="module", params=RUNTIMES)
def mesh(request: pytest.FixtureRequest, folder: Path) -> Iterator[Mesh]:
    with small.running_servers(*servers(folder), capture=request.param, folder=folder) as running_mesh:
        yield running_mesh


@contextlib.contextmanager
def kept(mesh: Mesh, service: str) -> Iterator[Callable[[str], str]]:
    """Keeps a connection to a service; yields what sends a line and returns the answer, of nothing the greeting."""
    command = mesh.command("exec", "client-0", "--", "python3", "-c", KEEP, service.upper())
    with subprocess.Popen(
        command, env=mesh.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin
        assert process.stdout

        def say(line: str) -> str:
            assert process.stdin
            assert process.stdout
            if line:
                process.stdin.write(f"{line}\n")
                process.stdin.flush()
            return process.stdout.readline().strip()

        yield say
        process.stdin.close()


def in_client(mesh: Mesh, program: str, *arguments: str) -> Any:
    return json.loads(mesh.cli("exec", "client-0", "--", "python3", "-c", program, *arguments).stdout)


def asked(mesh: Mesh, *headers: dict[str, str]) -> list[tuple[str, list[str]]]:
    return [(who, cookies) for who, cookies in in_client(mesh, ASK, f"http://web:{small.PORT}/", json.dumps(headers))]


def connected(mesh: Mesh, service: str, times: int) -> list[str]:
    found: list[str] = in_client(mesh, CONNECT, service.upper(), str(times))
    return found


def test_requests_with_the_same_header_go_to_the_same_endpoint(mesh: Mesh) -> None:
    mesh.apply_text(hashed("web", httpHeaderName="x-user"))
    users = [f"user-{number}" for number in range(20)]
    found = asked(mesh, *({"x-user": user} for user in users for _ in range(3)))
    answers = [{who for who, _ in found[at : at + 3]} for at in range(0, len(found), 3)]
    assert all(len(one) == 1 for one in answers), answers
    assert {who for one in answers for who in one} == {"web-a", "web-b", "web-c"}


def test_who_has_no_cookie_is_given_one_that_leads_back(mesh: Mesh) -> None:
    mesh.apply_text(hashed("web", httpCookie={"name": "user", "ttl": "0s", "path": "/"}, maglev={"tableSize": 251}))
    first = asked(mesh, *({} for _ in range(20)))
    assert all(cookies[0].startswith("user=") for _, cookies in first), first
    again = asked(mesh, *({"Cookie": cookies[0].partition(";")[0]} for _, cookies in first))
    assert again == [(who, []) for who, _ in first]
    assert {who for who, _ in first} == {"web-a", "web-b", "web-c"}


def test_what_passes_through_goes_where_its_client_wanted(mesh: Mesh) -> None:
    if mesh.capture == "explicit":
        pytest.skip("there is no destination to restore")
    mesh.apply_text(small.service("direct", small.PORT).replace("app: direct", "app: web"))
    mesh.apply_text(resource("DestinationRule", "direct", {"host": "direct", "trafficPolicy": PASSTHROUGH}))
    url, named = f"http://{address(mesh, 'web-b-0')}:8080/", [{"Host": "direct:8080"}] * 10
    assert {who for who, _ in in_client(mesh, ASK, url, json.dumps(named))} == {"web-b"}


def test_connections_of_one_source_go_to_the_same_endpoint(mesh: Mesh) -> None:
    assert len(set(connected(mesh, "echo", 30))) == 3
    with kept(mesh, "echo") as say:
        assert say("").startswith("echo-")
        mesh.apply_text(hashed("echo", useSourceIp=True))
        assert len(set(connected(mesh, "echo", 30))) == 1
        assert say("still there") == "still there"


def test_connections_are_divided_and_those_that_there_are_stay(mesh: Mesh) -> None:
    mesh.apply_text(subsets("echo"))
    mesh.apply_text(divided("echo", v1=100))
    with kept(mesh, "echo") as say:
        assert say("") == "echo-v1"
        listening = listeners(mesh)
        mesh.apply_text(divided("echo", v1=0, v2=100))
        assert set(connected(mesh, "echo", 10)) == {"echo-v2"}
        mesh.apply_text(divided("echo", v2=80, v3=20))
        found = Counter(connected(mesh, "echo", 200))
        assert set(found) == {"echo-v2", "echo-v3"}
        assert 15 <= found["echo-v3"] <= 70, found
        mesh.kill_control()
        mesh.apply_text(divided("echo", v3=100))
        assert set(connected(mesh, "echo", 10)) == {"echo-v3"}
        assert say("still there") == "still there"
        assert listeners(mesh) == listening
        assert f"outbound|{small.PORT}|v3|echo" in mesh.cli("proxy", "listeners", "client-0").stdout


def listeners(mesh: Mesh) -> list[Any]:
    """Returns the listeners of the client's proxy, without their TCP routes."""
    dump = json.loads(mesh.cli("proxy", "config", "client-0", "-o", "json").stdout)
    (section,) = (one for one in dump["configs"] if one["@type"].endswith("ListenersConfigDump"))
    found = section["dynamic_listeners"]
    assert not any("draining_state" in one for one in found)
    return [one["active_state"]["version_info"] for one in found]


def test_a_part_of_a_host_is_delegated(mesh: Mesh) -> None:
    handed = {"match": [{"uri": {"prefix": "/"}, "headers": {"x-part": {"exact": "1"}}}], "delegate": {"name": "part"}}
    there = {"route": [{"destination": {"host": "web"}}]}
    root = {"hosts": ["web"], "http": [handed, there]}
    alone = mesh.apply_text(resource("VirtualService", "web", root), check=False)
    assert alone.returncode == 1
    assert "there is no VirtualService default/part to delegate to" in alone.stdout + alone.stderr
    mesh.apply_text(small.joined(f"{part('delegated')}\n", f"\n{resource('VirtualService', 'web', root)}"))
    assert [who for who, _ in asked(mesh, {"x-part": "1"})] == ["delegated"]
    assert asked(mesh, {})[0][0].startswith("web-")
    mesh.apply_text(part("again"))
    assert [who for who, _ in asked(mesh, {"x-part": "1"})] == ["again"]


def part(says: str) -> str:
    """A delegate that answers by itself."""
    return resource("VirtualService", "part", {"http": [{"directResponse": {"status": 200, "body": {"string": says}}}]})


def test_tls_is_passed_on_by_its_server_name(mesh: Mesh, folder: Path) -> None:
    def secured(*names: str) -> list[str]:
        found: list[str] = in_client(mesh, CONNECT_TLS, "SECURE", str(folder), *(f"{name}.com" for name in names))
        return found

    assert set(secured(*["unknown"] * 30)) == {"secure-v1", "secure-v2", "secure-v3"}
    mesh.apply_text(subsets("secure"))
    mesh.apply_text(by_name(a="v1", others="v2"))
    assert secured("a.example", "b.example", "A.EXAMPLE", "unknown") == ["secure-v1", "secure-v2", "secure-v1", ""]
    mesh.apply_text(by_name(a="v3", b="v1", others="v2"))
    assert secured("a.example", "b.example", "c.example") == ["secure-v3", "secure-v1", "secure-v2"]
    mesh.cli("delete", "virtualservice", "secure", "--wait")
    assert "" not in secured(*["unknown"] * 10)
