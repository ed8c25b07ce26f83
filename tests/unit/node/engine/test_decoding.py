from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.unit.node.engine.played_engine import NEVER, podman_container

from mizzen.node.engine.decoding import Event, decode_container, decode_event, decode_ids, decode_logged
from mizzen.registry.containers import Container, ContainerNetwork

ID = "0ba0a328ce12722c12c6f8794569344c3740125537448ab4e4e5cb43671e9cff"

# As Docker's API reference describes it: a container of Compose on two networks, with a health check.
DOCKER: dict[str, Any] = {
    "Id": ID,
    "Created": "2024-03-01T10:00:00.5+01:00",
    "Name": "/shop-db-1",
    "State": {
        "Status": "running",
        "Running": True,
        "Paused": False,
        "Pid": 4711,
        "StartedAt": "2024-03-01T09:00:01.25Z",
        "Health": {"Status": "healthy", "FailingStreak": 0, "Log": []},
    },
    "ResolvConfPath": "/var/lib/docker/containers/0ba0/resolv.conf",
    "HostConfig": {"NetworkMode": "shop_default", "PortBindings": {}},
    "Config": {
        "Hostname": "0ba0a328ce12",
        "ExposedPorts": {"5432/tcp": {}},
        "Image": "postgres:16",
        "Labels": {"com.docker.compose.project": "shop", "com.docker.compose.service": "db"},
    },
    "NetworkSettings": {
        "SandboxID": "d4c1",
        "SandboxKey": "/var/run/docker/netns/d4c1",
        "Ports": {"5432/tcp": [{"HostIp": "0.0.0.0", "HostPort": "32768"}, {"HostIp": "::", "HostPort": "32768"}]},
        "Networks": {
            "shop_default": {
                "IPAMConfig": None,
                "Aliases": ["shop-db-1", "db"],
                "NetworkID": "f00",
                "Gateway": "172.18.0.1",
                "IPAddress": "172.18.0.2",
                "IPPrefixLen": 16,
                "DNSNames": ["shop-db-1", "db", "0ba0a328ce12"],
            },
            "back": {"Aliases": None, "Gateway": "", "IPAddress": "10.0.0.9", "IPPrefixLen": 8},
        },
    },
}


def decoded(answer: dict[str, Any]) -> Container:
    return decode_container(msgspec.json.encode(answer))


def test_a_container_of_docker() -> None:
    assert decoded(DOCKER) == Container(
        id=ID,
        name="shop-db-1",
        image="postgres:16",
        labels={"com.docker.compose.project": "shop", "com.docker.compose.service": "db"},
        state="running",
        pid=4711,
        created=1709283600.5,
        started_at=1709283601.25,
        health="healthy",
        networks=(
            ContainerNetwork("back", "10.0.0.9", "", 8),
            ContainerNetwork("shop_default", "172.18.0.2", "172.18.0.1", 16, ("shop-db-1", "db", "0ba0a328ce12")),
        ),
        exposed=(5432,),
        published=(5432,),
        netns="/var/run/docker/netns/d4c1",
        network_mode="shop_default",
        resolv_conf="/var/lib/docker/containers/0ba0/resolv.conf",
        hostname="0ba0a328ce12",
    )


def test_a_container_of_podman() -> None:
    made = decoded(podman_container(ID, "web_1", aliases=["web"], labels={"a": "b"}, Pid=17))
    assert made == Container(
        id=ID,
        name="web_1",
        image="localhost/box:latest",
        labels={"a": "b"},
        state="running",
        pid=17,
        created=1795696630.05964,
        started_at=1795696630.283097,
        networks=(ContainerNetwork("net1", "10.89.0.2", "10.89.0.1", 24, ("web", ID[:12])),),
        exposed=(8080, 9090),
        published=(8080,),
        netns="/run/netns/netns-0241c6ea",
        network_mode="bridge",
        resolv_conf="/run/containers/storage/overlay-containers/x/userdata/resolv.conf",
        hostname=ID[:12],
    )


def test_a_container_that_never_ran() -> None:
    made = decoded(podman_container(ID, "web_1", aliases=["web"], Status="created", StartedAt=NEVER))
    assert (made.state, made.pid, made.started_at, made.netns) == ("created", 0, 0.0, "")
    assert made.networks == (ContainerNetwork("net1", aliases=("web", ID[:12])),)
    assert made.published == (8080,)


@pytest.mark.parametrize(
    ("changes", "field", "value"),
    [
        ({"Status": "configured"}, "state", "created"),
        ({"Status": "stopped"}, "state", "exited"),
        ({"Status": "paused"}, "state", "paused"),
        ({"StartedAt": "0001-01-01T00:00:00+02:00"}, "started_at", 0.0),
        ({"Health": None}, "health", ""),
        ({"Health": {"Status": "none"}}, "health", ""),
        ({"Health": {"Status": "starting"}}, "health", "starting"),
    ],
)
def test_states(changes: dict[str, Any], field: str, value: object) -> None:
    assert getattr(decoded(podman_container(ID, "web", **changes)), field) == value


def test_a_namespace_without_a_path_is_that_of_the_process() -> None:
    answer = podman_container(ID, "web", Pid=17)
    answer["NetworkSettings"]["SandboxKey"] = ""
    assert decoded(answer).netns == "/proc/17/ns/net"


def test_what_may_be_missing() -> None:
    made = decoded({"Id": ID, "Name": "x", "State": {"Status": "exited"}, "Config": {"Labels": None}})
    assert made == Container(id=ID, name="x", state="exited")
    empty = {"Ports": None, "Networks": {"a": None}}
    made = decoded({"Id": ID, "Name": "x", "State": {"Status": "x"}, "Config": {}, "NetworkSettings": empty})
    assert made.networks == (ContainerNetwork("a"),)


BAD_ADDRESS = (
    b'{"Id": "x", "Name": "x", "State": {"Status": ""}, "Config": {},'
    b' "NetworkSettings": {"Networks": {"n": {"IPAddress": "10.0.0.300", "IPPrefixLen": 8}}}}'
)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"null",
        b"[]",
        b"{",
        b'{"Id": "x"}',
        b'{"Id": 1, "Name": "x", "State": {"Status": ""}, "Config": {}}',
        b'{"Id": "x", "Name": "x", "State": {"Status": "", "StartedAt": "soon"}, "Config": {}}',
        b'{"Id": "x", "Name": "x", "State": {"Status": ""}, "Config": {"ExposedPorts": {"a/tcp": {}}}}',
        BAD_ADDRESS,
        b"\xff",
    ],
)
def test_answers_of_another_form(answer: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        decode_container(answer)


def test_a_list() -> None:
    assert decode_ids(b'[{"Id": "a", "Names": ["/x"]}, {"Id": "b"}]') == ("a", "b")
    with pytest.raises(ValueError, match="Expected `array`"):
        decode_ids(b"{}")


PODMAN_DIE = (
    '{"status":"die","id":"1fa4","from":"localhost/box:latest","Type":"container","Action":"die","Actor":{"ID":"1fa4",'
    '"Attributes":{"containerExitCode":"137","exitCode":"137","image":"localhost/box:latest","name":"h2","podId":""}},'
    '"scope":"local","time":1795696653,"timeNano":1795696653795247520}'
)
PODMAN_CONNECT = (
    '{"status":"connect","id":"1fa4","Type":"network","Action":"connect","Actor":{"ID":"1fa4","Attributes":'
    '{"containerExitCode":"0","image":"","name":"h2","podId":""}},"scope":"local","time":1,"timeNano":1}'
)
DOCKER_CONNECT = (
    '{"Type":"network","Action":"connect","Actor":{"ID":"f00","Attributes":{"container":"1fa4","name":"shop_default",'
    '"type":"bridge"}},"scope":"local","time":1,"timeNano":1}'
)
DOCKER_HEALTH = (
    '{"status":"health_status: healthy","id":"1fa4","Type":"container","Action":"health_status: healthy","Actor":'
    '{"ID":"1fa4","Attributes":{"image":"a","name":"b"}},"scope":"local","time":1,"timeNano":1}'
)
DOCKER_EXEC = '{"Type":"container","Action":"exec_start: sh -c a:b","Actor":{"ID":"1fa4","Attributes":null}}'


@pytest.mark.parametrize(
    ("line", "event"),
    [
        (PODMAN_DIE, Event("1fa4", "die")),
        (PODMAN_CONNECT, Event("1fa4", "connect", "network")),
        (DOCKER_CONNECT, Event("1fa4", "connect", "network")),
        (DOCKER_HEALTH, Event("1fa4", "health_status")),
        (DOCKER_EXEC, Event("1fa4", "exec_start")),
        ("{}", Event("", "", "")),
    ],
)
def test_events(line: str, event: Event) -> None:
    assert decode_event(line) == event


def test_a_line_of_podmans_file() -> None:
    line = (
        b'{"ContainerExitCode":137,"ID":"1fa4","Image":"localhost/box:latest","Name":"h2","Status":"died","Time":'
        b'"2026-11-26T12:37:35.636982958Z","Type":"container","Attributes":{"io.buildah.version":"1.28.2"}}'
    )
    assert decode_logged(line) == Event("1fa4", "died")
    with pytest.raises(ValueError, match="truncated"):
        decode_logged(line[:20])
