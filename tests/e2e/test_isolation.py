"""A workload can use neither another's identity nor another's listeners, nor get around mutual TLS: attackers try.

An attacker is root in the network namespace of a workload, or in a container. Its victims are `victim`, which in node mode
has the same proxy as itself, and `remote`, which has a proxy of its own in every mode. Their applications listen on all
addresses, and tell what reached them.
"""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.support import small
from tests.support.attackers import (
    ACCOUNT,
    PORT,
    SERVER,
    XFCC,
    ask_after_a_stray_packet,
    ask_application,
    call,
    inside,
    last_request,
    listening,
    nft,
    own_rule,
    parsed,
    past_its_proxy,
    request,
    seen,
    service_address,
    sockets_of_the_mesh,
    unix_sockets,
    values,
)
from tests.support.containers import Container, Engine
from tests.support.meshes import Mesh, running
from tests.support.polling import eventually
from tests.support.wire import Authority, Endpoint, ask, ask_in_plaintext

from mizzen.mesh.spiffe import SpiffeId
from mizzen.node.capture import rules as capture_rules

pytestmark = [pytest.mark.e2e, pytest.mark.envoy, pytest.mark.privileged, pytest.mark.timeout(180)]

VICTIMS = pytest.mark.parametrize("victim", ["victim", "remote"])
NETWORK = "arena"
PUBLISHED = 18080
PORTS_OF_CAPTURE = (15001, 15006, 15020, 15021, 15053, 15054, 15090)
FORGED = f"{XFCC}: By={ACCOUNT}victim;Hash=0;URI={ACCOUNT}admin"
REFUSED = r"alert|EOF|closed|reset|Broken pipe|refused|timed out"


@pytest.fixture(
    scope="module",
    params=[
        "transparent",
        "node",
        pytest.param("container-sidecar", marks=pytest.mark.containers),
        pytest.param("container-node", marks=pytest.mark.containers),
    ],
)
def arena(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    file = tmp_path_factory.mktemp("arena") / "arena.yaml"
    own = ["proxy: sidecar"]
    file.write_text(
        small.joined(_workload("attacker"), _workload("victim"), _workload("remote", *own), _workload("rogue"))
    )
    paths = () if request.param.startswith("container-") else (file,)
    with running(*paths, capture=request.param, start_containers=_containers) as mesh:
        yield mesh


def _workload(name: str, *more: str) -> str:
    lines = "\n".join(f"  {line}" for line in (f"serviceAccount: {name}", *more))
    service = small.service(name).replace("port: 80,", f"port: {PORT},")
    return small.joined(service, small.workload(name, ("python3", "-c", SERVER, "$(PORT)"), more=lines))


def _container(name: str, **more: object) -> Container:
    return Container(name, command=("python3", "-c", SERVER, str(PORT)), network=NETWORK, **more)  # type: ignore[arg-type]


def _containers(engine: Engine) -> None:
    engine.network(NETWORK)
    made = [
        _container("attacker"),
        _container("victim"),
        _container("remote", labels={"mizzen.dev/proxy": "sidecar"}),
        _container("rogue", capabilities=("NET_ADMIN",)),
        _container("published", ports={PORT: PUBLISHED}),
    ]
    engine.run_all(made)
    eventually(lambda: all(engine.listens(one.name, PORT) for one in made), "all listen")


def address(mesh: Mesh, name: str) -> str:
    return str(mesh.instance(name)["address"])


# Another's identity


@VICTIMS
@pytest.mark.parametrize(
    "headers",
    [
        pytest.param((FORGED,), id="once"),
        pytest.param((FORGED, FORGED.upper()), id="twice"),
        pytest.param((FORGED, f"Connection: {XFCC}"), id="as a hop's own"),
    ],
)
def test_a_forged_caller_reaches_nobody(arena: Mesh, victim: str, headers: tuple[str, ...]) -> None:
    control = ask_application(arena, victim, "/", *headers)
    assert f"URI={ACCOUNT}admin".lower() in ",".join(values(control, XFCC)).lower()
    status, told = call(arena, "attacker", victim, "/", *headers)
    assert status == 200
    (caller,) = values(told, XFCC)
    assert caller.count("URI=") == 1
    assert f"URI={ACCOUNT}attacker" in caller
    assert "admin" not in caller.lower()


@pytest.mark.parametrize("dialled", ["victim", "remote"])
def test_a_call_has_its_callers_identity_whatever_host_it_names(arena: Mesh, dialled: str) -> None:
    """The control: each of the two is told of another who calls by another name."""
    other = "remote" if dialled == "victim" else "victim"
    for caller in ("attacker", "rogue"):
        status, told = call(arena, caller, dialled, "/", host=f"{other}:{PORT}")
        assert status == 200
        (told_of,) = values(told, XFCC)
        # What is in the request decides who is called, as in every mesh.
        assert f"By={ACCOUNT}{other};" in told_of
        assert told_of.endswith(f"URI={ACCOUNT}{caller}")


@VICTIMS
def test_nothing_is_smuggled_behind_an_upgrade(arena: Mesh, victim: str) -> None:
    """The application does not agree to the upgrade, and would read what follows as a request that no proxy has seen."""
    path = f"/smuggled/{victim}"
    upgrade = ("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: AAAA")
    sent = request("/", *upgrade, host=f"{victim}:{PORT}", more=last_request(path, FORGED))
    inside(arena, victim, lambda: ask_in_plaintext(("127.0.0.1", PORT), sent))
    assert seen(arena, victim, path) == 1
    called = service_address(arena, victim), PORT
    with contextlib.suppress(OSError):
        inside(arena, "attacker", lambda: _ask_and_leave(called, sent))
    assert seen(arena, victim, path) == 1


def _ask_and_leave(called: Endpoint, sent: bytes) -> bytes:
    with socket.create_connection(called, timeout=10) as connection:
        connection.sendall(sent)
        connection.settimeout(2)
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
        return answer


# Another's listeners, and around mutual TLS


def _plain(target: Endpoint, sent: bytes) -> bytes:
    return ask_in_plaintext(target, sent)


def _over_tls(target: Endpoint, sent: bytes) -> bytes:
    return ask(target, sent, certificate=None)


WAYS = [
    pytest.param(_plain, id="plaintext"),
    pytest.param(_over_tls, id="TLS"),
    pytest.param(ask_after_a_stray_packet, id="stray packet"),
]


@VICTIMS
@pytest.mark.parametrize("way", WAYS)
def test_no_port_of_a_victim_takes_a_caller_without_an_identity(
    arena: Mesh, victim: str, way: Callable[[Endpoint, bytes], bytes]
) -> None:
    """Neither from a process in Envoy's group, which is not captured, nor through the attacker's own proxy."""
    path = f"/taken/{victim}/{way.__name__}"
    for port in (PORT, *PORTS_OF_CAPTURE):
        target = address(arena, victim), port
        # Another's listener would look for a service of this name.
        sent = last_request(path, host=f"remote:{PORT}")
        with pytest.raises(OSError, match=REFUSED):
            past_its_proxy(arena, "attacker", lambda: way(target, sent))  # noqa: B023
        if way is ask_after_a_stray_packet:
            continue
        sent = last_request(path, host=f"{target[0]}:{port}")
        with contextlib.suppress(OSError):
            answer = inside(arena, "attacker", lambda: way(target, sent))  # noqa: B023
            assert parsed(answer)[0] == 503, "its own proxy says that it got nothing"
    for name in ("victim", "remote"):
        assert seen(arena, name, path) == 0


@VICTIMS
def test_a_port_of_a_victim_takes_a_caller_with_an_identity(arena: Mesh, tmp_path: Path, victim: str) -> None:
    """The control of the above: the same client, from the same place, with a certificate."""
    authority = Authority.stolen(arena.settings.authority_dir)
    right = authority.certificate_of(SpiffeId("cluster.local", "default", "attacker"), tmp_path)
    wrong = Authority.made("cluster.local").certificate_of(SpiffeId("cluster.local", "default", "attacker"), tmp_path)
    for port in (PORT, 15006):
        target = address(arena, victim), port
        if port == PORT:
            answer = past_its_proxy(arena, "attacker", lambda: ask(target, last_request("/"), certificate=right))  # noqa: B023
            assert parsed(answer)[0] == 200
        else:  # It tells by the port that was dialled which application is meant.
            with pytest.raises(OSError, match=REFUSED):
                past_its_proxy(arena, "attacker", lambda: ask(target, last_request("/"), certificate=right))  # noqa: B023
        with pytest.raises(OSError, match=REFUSED):
            past_its_proxy(arena, "attacker", lambda: ask(target, last_request("/"), certificate=wrong))  # noqa: B023


def test_a_stray_packet_would_lead_to_the_application(arena: Mesh) -> None:
    """The control of that way: without the rule that is there for it, it leads around the proxy."""
    family, table = "ip", capture_rules.ATTACHED_TABLE if arena.of_containers else "mizzen"
    target = address(arena, "rogue"), PORT
    before = nft(arena, "rogue", "-s", "list", "chain", family, table, "input")
    nft(arena, "rogue", "flush", "chain", family, table, "input")
    try:
        sent = last_request("/strayed")
        answer = past_its_proxy(arena, "attacker", lambda: ask_after_a_stray_packet(target, sent))
        assert parsed(answer)[0] == 200
    finally:
        nft(arena, "rogue", "-f", "-", given=before)
    with pytest.raises(ConnectionRefusedError):
        past_its_proxy(arena, "attacker", lambda: ask_after_a_stray_packet(target, sent))


def test_the_name_server_of_a_victim_answers_nobody_else(arena: Mesh) -> None:
    question = struct.pack("!6H", 7, 0x0100, 1, 0, 0, 0) + b"\x06victim\0" + struct.pack("!HH", 1, 1)

    def asking(target: Endpoint) -> Callable[[], bytes]:
        def ask_it() -> bytes:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
                asker.settimeout(1)
                asker.connect(target)
                asker.send(question)
                return asker.recv(512)

        return ask_it

    own = inside(arena, "victim", asking(("127.0.0.1", 15053)))
    assert socket.inet_aton(service_address(arena, "victim")) in own
    for port in (15053, 15054):
        with pytest.raises(OSError, match=REFUSED):
            past_its_proxy(arena, "attacker", asking((address(arena, "victim"), port)))


def test_its_own_capturing_port_leads_nowhere_when_it_is_dialled(arena: Mesh) -> None:
    sent = last_request("/dialled", host=f"remote:{PORT}")
    for own in ("127.0.0.1", address(arena, "attacker")):
        for port in (15001, 15006):
            with pytest.raises(OSError, match=REFUSED):
                inside(arena, "attacker", lambda: ask_in_plaintext((own, port), sent))  # noqa: B023
    assert seen(arena, "remote", "/dialled") == 0
    assert call(arena, "attacker", "remote", "/dialled")[0] == 200


@VICTIMS
@pytest.mark.parametrize("port", [15001, 15006])
def test_a_translated_destination_leads_to_no_listener_of_another(arena: Mesh, victim: str, port: int) -> None:
    """The attacker has its kernel remember that it dialled a service, and sends it to the victim's proxy."""
    called, path = service_address(arena, "remote"), f"/translated/{victim}/{port}"
    translation = f"ip daddr {called} tcp dport {PORT} dnat to {address(arena, victim)}:{port}"
    with own_rule(arena, "attacker", translation), pytest.raises(OSError, match=REFUSED):
        past_its_proxy(arena, "attacker", lambda: ask_in_plaintext((called, PORT), last_request(path)))
    # The control: the rule is what kept it from its own proxy.
    assert [seen(arena, name, path) for name in ("victim", "remote")] == [0, 0]
    assert call(arena, "attacker", "remote", path)[0] == 200


@contextlib.contextmanager
def _taking(server: socket.socket) -> Iterator[list[Endpoint]]:
    """Answers all that call; gives who has."""
    callers: list[Endpoint] = []
    thread = threading.Thread(target=_accept, args=(server, callers))
    thread.start()
    try:
        yield callers
    finally:
        server.shutdown(socket.SHUT_RDWR)
        thread.join()
        server.close()


def _accept(server: socket.socket, callers: list[Endpoint]) -> None:
    with contextlib.suppress(OSError):
        while True:
            connection, caller = server.accept()
            with connection:
                callers.append(caller)
                connection.recv(65536)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")


def test_its_proxy_calls_no_loopback_but_its_own(arena: Mesh) -> None:
    """By its own rules a call to its own loopback reaches its proxy, and that of the node runs where there is another."""
    target, sent = ("127.0.0.1", 18181), last_request("/")
    redirect = f"meta skgid 0 ip daddr {target[0]} tcp dport {target[1]} redirect to :15001"
    with contextlib.ExitStack() as stack:
        stack.enter_context(own_rule(arena, "attacker", redirect))
        with arena.at_host():
            server = socket.create_server(target)
        at_host = stack.enter_context(_taking(server))
        with pytest.raises(OSError, match=REFUSED):
            inside(arena, "attacker", lambda: ask_in_plaintext(target, sent))
        at_attacker = stack.enter_context(_taking(inside(arena, "attacker", lambda: socket.create_server(target))))
        assert parsed(inside(arena, "attacker", lambda: ask_in_plaintext(target, sent)))[0] == 200
        assert len(at_attacker) == 1
        assert at_host == []


# What it does to itself


def test_in_the_group_of_envoy_it_is_nobody(arena: Mesh) -> None:
    """The control: the same program in its own group."""
    program = (
        "import os, sys, urllib.request; os.setgid(int(sys.argv[1]));"
        "print(urllib.request.urlopen(sys.argv[2], timeout=10).status)"
    )
    url = f"http://{address(arena, 'victim')}:{PORT}/in-group"
    done = arena.cli("exec", "attacker", "--", sys.executable, "-c", program, "1337", url, check=False)
    assert done.returncode != 0
    assert "http.client.RemoteDisconnected" in done.stderr or "ConnectionResetError" in done.stderr
    assert seen(arena, "victim", "/in-group") == 0
    url = f"http://{service_address(arena, 'victim')}:{PORT}/in-group"
    assert arena.cli("exec", "attacker", "--", sys.executable, "-c", program, "0", url).stdout.strip() == "200"


# Asks the kernel to remove a table of nftables (linux/netfilter/nf_tables.h); its answer is an error number.
REMOVE_TABLE = """
import socket, struct
def message(kind, flags, family, resource, attribute=b""):
    body = struct.pack("!BBH", family, 0, resource) + attribute
    return struct.pack("=IHHII", 16 + len(body), kind, flags, 1, 0) + body
name = b"mizzen-attached\\0"
attribute = struct.pack("=HH", 4 + len(name), 1) + name + bytes(-len(name) % 4)
with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12) as kernel:
    kernel.bind((0, 0))
    kernel.send(message(16, 1, 0, 10) + message(10 << 8 | 2, 5, 2, 0, attribute) + message(17, 1, 0, 10))
    print(-struct.unpack_from("=i", kernel.recv(4096), 16)[0])
"""


def test_without_its_rules_it_is_nobody(arena: Mesh) -> None:
    """Last of those with `rogue`, which is of no use afterwards."""
    assert call(arena, "rogue", "victim", "/before")[0] == 200
    target = address(arena, "victim"), PORT
    if arena.engine:
        assert arena.engine.exec("attacker", "python3", "-c", REMOVE_TABLE).strip() == "1", "not permitted"
        assert arena.engine.exec("rogue", "python3", "-c", REMOVE_TABLE).strip() == "0"
    else:
        nft(arena, "rogue", "delete", "table", "ip", "mizzen")
    assert "redirect" not in nft(arena, "rogue", "list", "ruleset", "ip")
    with pytest.raises(OSError, match=REFUSED):
        inside(arena, "rogue", lambda: ask_in_plaintext(target, last_request("/without-rules")))
    assert seen(arena, "victim", "/without-rules") == 0
    assert call(arena, "attacker", "victim", "/after")[0] == 200


# The node's own sockets


def test_the_sockets_of_the_mesh_are_out_of_reach(arena: Mesh) -> None:
    sockets = sockets_of_the_mesh(arena)
    assert len(sockets) >= 4, sockets
    program = """
import os, socket, sys
for path in sys.argv[1:]:
    with socket.socket(socket.AF_UNIX) as attempt:
        print(attempt.connect_ex(path))
"""
    paths = [str(path) for path in sockets]
    if arena.engine:
        outcome = arena.engine.exec("attacker", "python3", "-c", program, *paths).split()
        assert set(outcome) == {"2"}, "not there"
    else:
        another_user = f"import os, socket; os.setgid(65534); os.setuid(65534)\n{program}"
        outcome = arena.cli("exec", "attacker", "--", "python3", "-c", another_user, *paths).stdout.split()
        assert set(outcome) == {"13"}, "not permitted"
        outcome = arena.cli("exec", "attacker", "--", "python3", "-c", program, *paths).stdout.split()
        assert "0" in outcome, "the control: processes of the same user may"
    # One says whose member it is (capture/claims.py). Nobody reads it.
    abstract = [name for name in unix_sockets(arena, "attacker") if name.startswith("@")]
    assert abstract == (["@mizzen.dev/mesh"] if arena.engine else [])


def test_nothing_listens_beside_the_application_but_the_captures_ports(arena: Mesh) -> None:
    found = listening(arena, "attacker")
    assert found == {PORT, 15001, 15006, 15053, 15054}


# What an answer can do


_RETRIES = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: {victim}}}
spec:
  hosts: [{victim}]
  http:
  - match: [{{uri: {{prefix: /failing}}}}]
    retries: {{attempts: 2, retryOn: 5xx}}
    route: [{{destination: {{host: {victim}}}}}]
  - route: [{{destination: {{host: {victim}}}}}]
"""


@VICTIMS
def test_an_application_causes_no_retries_of_what_it_has_acted_on(arena: Mesh, victim: str) -> None:
    """The control: the caller's proxy does try again what a rule tells it to."""
    arena.apply_text(_RETRIES.format(victim=victim))
    assert call(arena, "attacker", victim, f"/failing/{victim}")[0] == 503
    assert seen(arena, victim, f"/failing/{victim}") > 1
    assert call(arena, "attacker", victim, f"/undelivered/{victim}")[0] == 503
    assert seen(arena, victim, f"/undelivered/{victim}") == 1


@VICTIMS
def test_a_caller_has_no_proxy_repeat_what_it_asks(arena: Mesh, victim: str) -> None:
    """By headers that Envoy takes from those that it believes to be inside: neither its own nor the callee's."""
    path = f"/undelivered/asked/{victim}"
    headers = ("X-Forwarded-For: 10.0.0.1", "x-envoy-retry-on: 5xx,gateway-error", "x-envoy-max-retries: 5")
    assert call(arena, "attacker", victim, path, *headers)[0] == 503
    assert seen(arena, victim, path) == 1


@VICTIMS
def test_a_proxy_says_itself_what_was_undelivered(arena: Mesh, tmp_path: Path, victim: str) -> None:
    """The other side of the above: its word is heard when it has not reached its application."""
    authority = Authority.stolen(arena.settings.authority_dir)
    certificate = authority.certificate_of(SpiffeId("cluster.local", "default", "attacker"), tmp_path)
    target, mark = (address(arena, victim), PORT), b"x-mizzen-undelivered: true"

    def ask_it(path: str) -> bytes:
        sent = last_request(path)
        return past_its_proxy(arena, "attacker", lambda: ask(target, sent, certificate=certificate))

    answer = ask_it("/undelivered/directly")
    assert answer.startswith(b"HTTP/1.1 503")
    assert mark not in answer
    with own_rule(arena, victim, f'oifname "lo" tcp dport {PORT} reject with tcp reset', kind="filter"):
        # Those connections to the application that were open end first.
        eventually(lambda: mark in ask_it("/"), "its proxy says so")


# Published ports


def test_a_published_port_is_in_plaintext_for_outsiders_alone(arena: Mesh) -> None:
    if not arena.engine:
        pytest.skip("processes publish nothing")
    network = arena.engine.podman("network", "inspect", "--format", "{{(index .Subnets 0).Gateway}}", NETWORK).strip()
    sent = last_request("/", FORGED)
    # From outside, and a container that calls by way of its host is outside, too: nobody in particular.
    with arena.at_host():
        outsiders = [ask_in_plaintext((network, PUBLISHED), sent)]
    outsiders.append(inside(arena, "attacker", lambda: ask_in_plaintext((network, PUBLISHED), sent)))
    outsiders.append(past_its_proxy(arena, "attacker", lambda: ask_in_plaintext((network, PUBLISHED), sent)))
    for answer in outsiders:
        status, told = parsed(answer)
        assert status == 200
        assert values(told, XFCC) == []
    own = address(arena, "published")
    with pytest.raises(OSError, match=REFUSED):
        past_its_proxy(arena, "attacker", lambda: ask_in_plaintext((own, PORT), last_request("/taken")))
    assert seen(arena, "published", "/taken") == 0


# Keys


def test_a_proxy_shows_no_keys(arena: Mesh) -> None:
    dump = json.dumps(arena.get(f"/v1/proxies/{_proxy(arena, 'victim')}/admin/config_dump"))
    assert "BEGIN" not in dump.replace("BEGIN CERTIFICATE", "")
    assert "W3JlZGFjdGVkXQ==" in dump, "[redacted], in Base64"
    assert "private_key" in dump


def test_an_identity_goes_with_its_last_instance(arena: Mesh) -> None:
    """The control: it is there while the instance is."""
    if not arena.one_proxy:
        pytest.skip("the proxy goes, too")
    identity = f"{ACCOUNT}guest"
    if arena.engine:
        arena.engine.run(_container("guest"))
    else:
        arena.apply_text(_workload("guest"))
    proxy = _proxy(arena, "victim")
    eventually(lambda: identity in _certificates(arena, proxy), "it has come")
    if arena.engine:
        arena.engine.rm("guest")
    else:
        arena.cli("delete", "workload/guest", "service/guest")
    eventually(lambda: identity not in _certificates(arena, proxy), "it has gone")
    assert f"{ACCOUNT}victim" in _certificates(arena, proxy)


def _proxy(mesh: Mesh, name: str) -> str:
    (proxy,) = mesh.instance(name)["proxies"]
    return str(proxy)


def _certificates(mesh: Mesh, proxy: str) -> set[str]:
    """Returns the names of the certificates that a proxy has."""
    dump = mesh.get(f"/v1/proxies/{proxy}/admin/config_dump")
    secrets = (section for section in dump["configs"] if section["@type"].endswith("SecretsConfigDump"))
    return {one["name"] for section in secrets for one in section.get("dynamic_active_secrets", [])}
