"""EnvoyFilters as users write them, in real Envoys: each is applied, counted by what arrives, and removed again."""

from __future__ import annotations

import contextlib
import http.server
import json
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.support import small
from tests.support.meshes import Mesh, running
from tests.support.outside import Answering
from tests.support.polling import eventually
from tests.support.written import (
    envoy_filter,
    gateway,
    gateway_workload,
    patch,
    proxy_config,
    server,
    to,
    typed,
    virtual_service,
)

pytestmark = [pytest.mark.e2e, pytest.mark.envoy, pytest.mark.timeout(120)]

MANAGER = "envoy.filters.network.http_connection_manager"
MANAGER_TYPE = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
BEFORE_ROUTER = {"filterChain": {"filter": {"name": MANAGER, "subFilter": {"name": "envoy.filters.http.router"}}}}
AT_MANAGER = {"filterChain": {"filter": {"name": MANAGER}}}
INBOUND, OUTBOUND = "SIDECAR_INBOUND", "SIDECAR_OUTBOUND"
SHOP: dict[str, Any] = {"workloadSelector": {"labels": {"app": "shop"}}}
CLIENT: dict[str, Any] = {"workloadSelector": {"labels": {"app": "client"}}}

# Prints the status, the headers and the body of each answer.
FETCH = """
import json, sys, urllib.error, urllib.request
for _ in range(int(sys.argv[2])):
    try:
        answer = urllib.request.urlopen(sys.argv[1], timeout=10)
    except urllib.error.HTTPError as error:
        answer = error
    headers = {name.lower(): value for name, value in answer.headers.items()}
    print(json.dumps([answer.status, headers, answer.read().decode()]))
"""


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    file = tmp_path_factory.mktemp("filters") / "mesh.yaml"
    file.write_text(
        small.joined(
            small.service("shop"),
            small.workload("shop"),
            small.service("other"),
            small.workload("other"),
            small.workload("client"),
            gateway_workload().removeprefix("---"),
            gateway("edge", server(80)).removeprefix("---"),
            virtual_service("outside", to("shop"), hosts=["*"], gateways=["edge"]).removeprefix("---"),
        )
    )
    with running(file) as started:
        yield started


@contextlib.contextmanager
def applied(mesh: Mesh, text: str, *, kind: str = "envoyfilter", name: str = "it", check: bool = True) -> Iterator[str]:
    """Has one resource, or none if it is refused, while the context lasts; gives what the command said."""
    done = mesh.apply_text(text, check=check)
    try:
        assert check or done.returncode != 0
        yield done.stdout + done.stderr
    finally:
        mesh.delete(kind, name, *([] if check else ["--ignore-not-found"]))


Answer = tuple[int, Mapping[str, str], str]


def fetched(mesh: Mesh, url: str = "http://shop/", count: int = 1) -> list[Answer]:
    lines = mesh.cli("exec", "client-0", "--", "python3", "-c", FETCH, url, str(count)).stdout.splitlines()
    return [tuple(json.loads(line)) for line in lines]


def statuses(mesh: Mesh, url: str = "http://shop/", count: int = 1) -> list[int]:
    return [status for status, _, _ in fetched(mesh, url, count)]


def manager(**fields: Any) -> dict[str, Any]:
    return {"name": MANAGER, "typed_config": {"@type": MANAGER_TYPE, **fields}}


def lua(code: str) -> dict[str, Any]:
    return typed("envoy.filters.http.lua", "http.lua.v3.Lua", default_source_code={"inline_string": code})


ADDS_HEADER = 'function envoy_on_response(handle) handle:headers():add("x-lua", "was here") end'


@pytest.mark.parametrize(("context", "spec"), [(INBOUND, SHOP), (OUTBOUND, CLIENT)])
def test_lua_before_the_router(mesh: Mesh, context: str, spec: dict[str, Any]) -> None:
    made = patch("HTTP_FILTER", "INSERT_BEFORE", lua(ADDS_HEADER), context=context, listener=BEFORE_ROUTER)
    with applied(mesh, envoy_filter("it", made, **spec)):
        # A connection goes on with the filters with which it began, until its proxy has it ended.
        eventually(lambda: fetched(mesh)[0][1].get("x-lua") == "was here", "the filter is there")
    eventually(lambda: "x-lua" not in fetched(mesh)[0][1], "the filter is gone")


def test_a_local_rate_limit_of_one_route(mesh: Mesh) -> None:
    kind, name = "http.local_ratelimit.v3.LocalRateLimit", "envoy.filters.http.local_ratelimit"
    all_of_them = {"default_value": {"numerator": 100, "denominator": "HUNDRED"}}
    limit = typed(
        name,
        kind,
        stat_prefix="limit",
        token_bucket={"max_tokens": 2, "tokens_per_fill": 2, "fill_interval": "3600s"},
        filter_enabled={"runtime_key": "a", **all_of_them},
        filter_enforced={"runtime_key": "b", **all_of_them},
    )
    text = envoy_filter(
        "it",
        patch(
            "HTTP_FILTER",
            "INSERT_BEFORE",
            typed(name, kind, stat_prefix="limit"),
            context=INBOUND,
            listener=BEFORE_ROUTER,
        ),
        patch(
            "HTTP_ROUTE",
            "MERGE",
            {"typed_per_filter_config": {name: limit["typed_config"]}},
            context=INBOUND,
            routeConfiguration={"vhost": {"name": "inbound|http|80", "route": {"action": "ANY"}}},
        ),
        **SHOP,
    )
    with applied(mesh, text):
        eventually(lambda: statuses(mesh, count=3) == [429] * 3, "the two requests of the hour are used up")
        assert statuses(mesh, "http://other/") == [200]
    eventually(lambda: statuses(mesh, count=3) == [200] * 3, "the limit is gone")


def test_a_circuit_breaker_of_a_cluster(mesh: Mesh) -> None:
    closed = {"circuit_breakers": {"thresholds": [{"max_requests": 0}]}, "connect_timeout": "0.5s"}
    match = {"context": OUTBOUND, "cluster": {"service": "shop.default.svc.cluster.local", "portNumber": 80}}
    with applied(mesh, envoy_filter("it", patch("CLUSTER", "MERGE_AND_REPLACE_LIST", closed, **match), **CLIENT)):
        ((status, headers, _),) = fetched(mesh)
        assert (status, headers.get("x-envoy-overloaded")) == (503, "true")
    assert statuses(mesh) == [200]


def test_options_of_a_connection_manager(mesh: Mesh, tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    access_log = typed("envoy.access_loggers.file", "")
    access_log["typed_config"] = {
        "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog",
        "path": str(log),
        "log_format": {"text_format_source": {"inline_string": "%RESPONSE_CODE% %REQ(:PATH)%\n"}},
    }
    value = manager(
        server_name="mine",
        use_remote_address=True,
        common_http_protocol_options={"idle_timeout": "30s"},
        access_log=[access_log],
        access_log_options={"flush_access_log_on_new_request": False},
    )
    match = {"context": OUTBOUND, "listener": AT_MANAGER}
    with applied(mesh, envoy_filter("it", patch("NETWORK_FILTER", "MERGE", value, **match), **CLIENT)):
        answers = fetched(mesh, "http://shop/logged", 2)
        assert [headers["server"] for _, headers, _ in answers] == ["mine", "mine"]
        expected = ["200 /logged"] * 2
        eventually(lambda: log.exists() and log.read_text().splitlines() == expected, "the access log is written")


class _Outside(Answering):
    def text(self) -> str:
        return "outside"


def test_a_cluster_for_what_is_outside(mesh: Mesh) -> None:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Outside) as outside:
        threading.Thread(target=outside.serve_forever, daemon=True).start()
        address = {"socket_address": {"address": "127.0.0.1", "port_value": outside.server_port}}
        cluster = {
            "name": "outside",
            "type": "STATIC",
            "connect_timeout": "1s",
            "load_assignment": {
                "cluster_name": "outside",
                "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
            },
        }
        text = envoy_filter(
            "it",
            patch("CLUSTER", "ADD", cluster, context=OUTBOUND),
            patch(
                "HTTP_ROUTE",
                "INSERT_FIRST",
                {"name": "outside", "match": {"prefix": "/outside"}, "route": {"cluster": "outside"}},
                context=OUTBOUND,
                routeConfiguration={"portNumber": 80, "vhost": {"name": "shop.default.svc.cluster.local:80"}},
            ),
            **CLIENT,
        )
        with applied(mesh, text):
            assert [body for _, _, body in fetched(mesh, "http://shop/outside")] == ["outside"]
            assert [body for _, _, body in fetched(mesh, "http://shop/")] == ["shop"]
        outside.shutdown()
    assert [body for _, _, body in fetched(mesh, "http://shop/outside")] == ["shop"]


def test_a_compressor_in_a_gateway(mesh: Mesh) -> None:
    compressor = typed(
        "envoy.filters.http.compressor",
        "http.compressor.v3.Compressor",
        response_direction_config={"common_config": {"min_content_length": 1}},
        compressor_library={
            "name": "gzip",
            "typed_config": {"@type": "type.googleapis.com/envoy.extensions.compression.gzip.compressor.v3.Gzip"},
        },
    )
    match = {"context": "GATEWAY", "listener": {"portNumber": 80, **BEFORE_ROUTER}}
    with applied(mesh, envoy_filter("it", patch("HTTP_FILTER", "INSERT_BEFORE", compressor, **match))):
        assert at_gateway(mesh)["content-encoding"] == "gzip"
    assert "content-encoding" not in at_gateway(mesh)


def at_gateway(mesh: Mesh) -> Mapping[str, str]:
    """Returns the headers of an answer that a client outside gets."""
    url = f"http://127.0.0.1:{mesh.gateway_port(80)}/"
    with mesh.at_host():
        import urllib.request

        request = urllib.request.Request(url, headers={"Accept-Encoding": "gzip"})
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=10) as answer:
            return {name.lower(): value for name, value in answer.headers.items()}


def test_a_value_that_envoy_does_not_know_is_refused_with_its_line(mesh: Mesh) -> None:
    text = envoy_filter("it", patch("CLUSTER", "MERGE", {"connect_timeot": "1s"}))
    line = next(number for number, one in enumerate(text.splitlines(), 1) if "connect_timeot" in one)
    refused = mesh.apply_text(text, check=False)
    assert refused.returncode != 0
    said = refused.stdout + refused.stderr
    assert f":{line}:" in said
    assert "did you mean `connect_timeout`?" in said
    assert mesh.get("/v1/resources", kind="EnvoyFilter")["items"] == []


def test_what_envoy_rejects_has_this_one_set_aside(mesh: Mesh) -> None:
    broken = patch(
        "HTTP_FILTER", "INSERT_BEFORE", lua("function envoy_on_request("), context=INBOUND, listener=BEFORE_ROUTER
    )
    good = patch("CLUSTER", "MERGE", {"connect_timeout": "3s"}, context=OUTBOUND)
    with (
        applied(mesh, envoy_filter("good", good), name="good"),
        applied(mesh, envoy_filter("it", broken, **SHOP), check=False) as said,
    ):
        assert "EnvoyFilter default/it" in said
        assert "script load error" in said
        conditions = {
            one["metadata"]["name"]: one["status"]["conditions"][0]["status"]
            for one in mesh.get("/v1/resources", kind="EnvoyFilter")["items"]
        }
        assert conditions == {"good": "True", "it": "False"}
        assert statuses(mesh) == [200]


def test_a_patch_that_changes_nothing_is_told(mesh: Mesh) -> None:
    nothing = patch("CLUSTER", "MERGE", {"connect_timeout": "3s"}, cluster={"name": "outbound|80||shp"})
    with applied(mesh, envoy_filter("it", nothing)) as said:
        assert "this patch changes nothing: no CLUSTER of" in said
        analyzed = mesh.cli("analyze", "-A").stdout
        assert "IST0171" in analyzed
        assert "this patch changes nothing" in analyzed


def test_how_a_proxy_is_started(mesh: Mesh) -> None:
    first = _shop(mesh)
    variables = {"SHOP_PROXY": "yes", "ISTIO_META_ISTIO_VERSION": "1.29.0"}
    picked: dict[str, Any] = {"selector": {"matchLabels": {"app": "shop"}}}
    config = proxy_config("it", concurrency=2, environmentVariables=variables, **picked)
    runtime = {"layered_runtime": {"layers": [{"name": "mine", "static_layer": {"mine": True}}]}}
    with (
        applied(mesh, config, kind="proxyconfig"),
        applied(mesh, envoy_filter("it", patch("BOOTSTRAP", "MERGE", runtime), **SHOP)),
    ):
        eventually(lambda: "mine" in _bootstrap(mesh), "a replica has taken the place of the first one")
        eventually(lambda: _shop(mesh)["ready"] and _shop(mesh)["uid"] != first["uid"], "it is ready")
        process = Path("/proc", str(_shop(mesh)["proxyPid"]))
        line = (process / "cmdline").read_text().split("\0")
        assert line[line.index("--concurrency") + 1] == "2"
        assert "SHOP_PROXY=yes" in (process / "environ").read_text().split("\0")
        assert json.loads(_bootstrap(mesh))["node"]["metadata"]["ISTIO_VERSION"] == "1.29.0"
        assert statuses(mesh) == [200]
        versioned = patch("CLUSTER", "MERGE", {"connect_timeout": "3s"}, proxy={"proxyVersion": r"^1\.29"})
        said = mesh.apply_text(envoy_filter("it", versioned, **SHOP))
        assert "changes nothing" not in said.stdout + said.stderr


def _shop(mesh: Mesh) -> dict[str, Any]:
    """Returns the replica of the shop that is not about to go."""
    found = [one for one in mesh.get("/v1/workloads")["items"] if one["workload"] == "shop"]
    return dict(max(found, key=lambda one: one["started"]))


def _bootstrap(mesh: Mesh) -> str:
    return mesh.settings.admin_socket("default", _shop(mesh)["name"]).with_suffix(".json").read_text()
