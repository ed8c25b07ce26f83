from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from tests.unit.cli.envoy_answers import HOSTS, dump
from tests.unit.cli.fakes import FakeApi, instance, out, run

from mizzen.cli import envoy_dump, envoy_tables
from mizzen.cli.envoy_tables import route_match

PROXY = "reviews-v1-0.default"
ADMIN = "type.googleapis.com/envoy.admin.v3."


@pytest.fixture
def envoy(api: FakeApi) -> FakeApi:
    api.on(
        "GET /v1/workloads", {"items": [instance("reviews-v1-0", "reviews-v1"), instance("reviews-v1-1", "reviews-v1")]}
    )
    api.on("GET /v1/proxies", {"items": [{"id": PROXY}, {"id": "reviews-v1-1.default"}]})
    api.on(f"GET /v1/proxies/{PROXY}/admin/config_dump", dump())
    api.on(f"GET /v1/proxies/{PROXY}/admin/clusters", HOSTS)
    return api


def test_clusters(envoy: FakeApi) -> None:
    assert out("proxy", "clusters", PROXY) == (
        "SERVICE FQDN                        PORT   SUBSET   DIRECTION   TYPE           DESTINATION RULE\n"
        "-                                   9080   -        inbound     ORIGINAL_DST   -\n"
        "details.default.svc.cluster.local   80     -        outbound    EDS            -\n"
        "reviews.default.svc.cluster.local   9080   -        outbound    EDS            reviews.default\n"
        "reviews.default.svc.cluster.local   9080   v2       outbound    EDS            reviews.default\n"
        "xds                                 -      -        -           STATIC         -\n"
    )


@pytest.mark.parametrize(
    ("filters", "names"),
    [
        (["--fqdn", "details.default.svc.cluster.local"], ["outbound|80||details.default.svc.cluster.local"]),
        (["--subset", "v2"], ["outbound|9080|v2|reviews.default.svc.cluster.local"]),
        (["--direction", "inbound"], ["inbound|9080||"]),
        (["--port", "80"], ["outbound|80||details.default.svc.cluster.local"]),
        (["--fqdn", "details"], ["outbound|80||details.default.svc.cluster.local"]),
    ],
)
def test_clusters_are_filtered_as_istioctl_does(envoy: FakeApi, filters: list[str], names: list[str]) -> None:
    found = json.loads(out("proxy", "clusters", PROXY, "-o", "json", *filters))
    assert [cluster["name"] for cluster in found] == names


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (
            ["clusters", PROXY, "--fqdn", "nobody"],
            (
                "no cluster matches; there are: inbound|9080||, outbound|80||details.default.svc.cluster.local,"
                " outbound|9080||reviews.default.svc.cluster.local, outbound|9080|v2|reviews.default.svc.cluster.local,"
                " xds"
            ),
        ),
        (
            ["endpoints", PROXY, "--status", "odd"],
            "no endpoint matches; there are: "
            + "".join(
                f"127.0.0.1:{port} of outbound|9080||reviews.default.svc.cluster.local, "
                for port in (40002, 40012, 40022)
            )
            + "unix:///run/xds.sock of xds",
        ),
        (
            ["listeners", PROXY, "--port", "1"],
            "no listener matches; there are: 240.240.0.1:3306, 0.0.0.0:9080, 0.0.0.0:15006",
        ),
        (["routes", PROXY, "--name", "nobody"], "no route matches; there are: 80, 9080, inbound|9080||"),
    ],
)
def test_where_a_filter_matches_nothing_it_is_said_what_there_is(
    envoy: FakeApi, arguments: list[str], line: str
) -> None:
    result = run("proxy", *arguments, "-o", "json")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "[]\n", f"{line}\n")


@pytest.mark.parametrize("name", [PROXY, "reviews-v1-0", "reviews-v1.default", "reviews-v1"])
def test_a_proxy_has_the_name_of_its_instance_or_workload(envoy: FakeApi, name: str) -> None:
    assert out("proxy", "clusters", name) == out("pc", "c", PROXY)


def test_an_unknown_proxy_is_answered_with_the_known_ones(envoy: FakeApi) -> None:
    result = run("proxy", "clusters", "reviews")
    assert (result.exit_code, result.stderr) == (
        1,
        "error: there is no proxy reviews\n  Proxies:\n  reviews-v1-0.default\n  reviews-v1-1.default\n",
    )


def test_endpoints(envoy: FakeApi) -> None:
    assert out("proxy", "endpoints", "reviews-v1") == (
        "ENDPOINT               STATUS     OUTLIER CHECK   CLUSTER\n"
        "127.0.0.1:40002        HEALTHY    OK              outbound|9080||reviews.default.svc.cluster.local\n"
        "127.0.0.1:40012        HEALTHY    FAILED          outbound|9080||reviews.default.svc.cluster.local\n"
        "127.0.0.1:40022        DRAINING   OK              outbound|9080||reviews.default.svc.cluster.local\n"
        "unix:///run/xds.sock   HEALTHY    OK              xds\n"
    )
    assert envoy.queries(f"GET /v1/proxies/{PROXY}/admin/clusters") == [{"format": "json"}]


@pytest.mark.parametrize(
    ("filters", "count"),
    [
        (["--cluster", "xds"], 1),
        (["--status", "healthy"], 3),
        (["--port", "40022"], 1),
        (["--address", "127.0.0.1"], 3),
    ],
)
def test_endpoints_are_filtered(envoy: FakeApi, filters: list[str], count: int) -> None:
    assert len(json.loads(out("proxy", "endpoints", PROXY, "-o", "json", *filters))) == count


def test_listeners(envoy: FakeApi) -> None:
    """Where a listener only names its filter, what came for it is shown."""
    assert out("proxy", "listeners", PROXY) == (
        "ADDRESS       PORT    MATCH                                                            DESTINATION\n"
        "240.240.0.1   3306    ALL                                                              Cluster: outbound|3306|v1|mysql\n"
        "0.0.0.0       9080    ALL                                                              Route: 9080\n"
        "0.0.0.0       15006   SNI: reviews; Trans: tls; App: istio,h2; Addr: 10.0.0.0/8:9080   Cluster: inbound|9080||\n"
        "0.0.0.0       15006   Addr: *:3306                                                     Cluster: inbound|3306||\n"
        "0.0.0.0       15006   ALL                                                              BlackHoleCluster\n"
    )


def test_listeners_are_filtered(envoy: FakeApi) -> None:
    found = yaml.safe_load(out("proxy", "listeners", PROXY, "--port", "9080", "-o", "yaml"))
    assert [listener["name"] for listener in found] == ["0.0.0.0_9080"]


def test_routes(envoy: FakeApi) -> None:
    lines = out("proxy", "routes", PROXY, "--name", "9080").splitlines()
    host = "9080   reviews.default.svc.cluster.local:9080   reviews, reviews.default + 2 more...   "
    assert lines == [
        f"{'NAME   VHOST NAME'.ljust(48)}DOMAINS{' ' * 32}MATCH                      VIRTUAL SERVICE",
        f"{host}/* end-user=jason ?debug   reviews.default",
        f"{host}/health                    200",
        f"{host}regex /v[0-9]+/.*          -",
        f"{host}PathPrefix:/api            -",
        f"{'9080   block_all'.ljust(48)}*{' ' * 38}-                          404",
    ]


@pytest.mark.parametrize(
    ("header", "text"),
    [
        ({"present_match": True}, "/* x present"),
        ({"present_match": True, "invert_match": True}, "/* x absent"),
        ({"present_match": False}, "/* x absent"),
        ({"string_match": {"prefix": "a"}}, "/* x=a*"),
        ({"string_match": {"suffix": "a"}}, "/* x=*a"),
        ({"string_match": {"safe_regex": {"regex": "a|b"}}}, "/* x~a|b"),
        ({"string_match": {"exact": "a"}, "invert_match": True}, "/* x!=a"),
    ],
)
def test_header_matches_are_shown(header: dict[str, Any], text: str) -> None:
    assert route_match({"match": {"prefix": "/", "headers": [{"name": "x", **header}]}}) == text


def test_route_configurations_are_in_the_order_of_their_ports(envoy: FakeApi) -> None:
    found = json.loads(out("proxy", "routes", PROXY, "-o", "json"))
    assert [route["name"] for route in found] == ["80", "9080", "inbound|9080||"]


def test_beside_a_route_name_the_mesh_is_chosen_with_mesh(envoy: FakeApi) -> None:
    assert out("proxy", "routes", PROXY, "--mesh", "default") == out("proxy", "routes", PROXY)


def test_secrets_say_until_when_they_are_valid(envoy: FakeApi) -> None:
    now = dt.datetime.now(dt.UTC).replace(microsecond=0)
    before, after = now - dt.timedelta(hours=1), now + dt.timedelta(hours=1)
    envoy.on(f"GET /v1/proxies/{PROXY}/admin/config_dump", dump(_certificate(before, after)))
    times = f"{after:%Y-%m-%dT%H:%M:%SZ}   {before:%Y-%m-%dT%H:%M:%SZ}"
    assert out("proxy", "secrets", PROXY) == (
        "RESOURCE NAME   TYPE         STATUS    VALID CERT   SERIAL NUMBER   NOT AFTER              NOT BEFORE\n"
        f"ROOTCA          CA           ACTIVE    true         ff01            {times}\n"
        f"default         Cert Chain   ACTIVE    true         ff01            {times}\n"
        "late            -            WARMING   false        -               -                      -\n"
    )


@pytest.mark.parametrize("certificate", [b"", b"-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n"])
def test_a_secret_that_cannot_be_read_is_not_valid(envoy: FakeApi, certificate: bytes) -> None:
    envoy.on(f"GET /v1/proxies/{PROXY}/admin/config_dump", dump(certificate))
    assert out("proxy", "secrets", PROXY).splitlines()[1].split() == ["ROOTCA", "CA", "ACTIVE", "false", "-", "-", "-"]


def test_config_is_the_whole_dump_with_endpoints(envoy: FakeApi) -> None:
    assert json.loads(out("proxy", "config", PROXY)) == dump()
    assert yaml.safe_load(out("proxy", "config", PROXY, "-o", "yaml")) == dump()
    assert envoy.queries(f"GET /v1/proxies/{PROXY}/admin/config_dump")[0] == {"include_eds": "true"}


def test_an_envoy_that_is_away_is_a_problem_of_the_api(envoy: FakeApi) -> None:
    problem = {"problems": [{"code": "ProxyUnreachable", "message": "its Envoy does not answer"}]}
    envoy.on(f"GET /v1/proxies/{PROXY}/admin/config_dump", problem, 502)
    result = run("proxy", "clusters", PROXY)
    assert (result.exit_code, result.stderr) == (1, "error: its Envoy does not answer [ProxyUnreachable]\n")


def _certificate(before: dt.datetime, after: dt.datetime) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([])
    builder = x509.CertificateBuilder(name, name, key.public_key(), 0xFF01, before, after)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def test_what_takes_the_rest_of_a_listener_may_come_by_itself() -> None:
    given = {"name": "virtual", "default_filter_chain": {"filters": [{"name": "elsewhere"}]}}
    arrived = {"name": "elsewhere", "typed_config": {"cluster": "PassthroughCluster"}}
    (found,) = envoy_dump.listeners(
        {
            "configs": [
                {"@type": f"{ADMIN}ListenersConfigDump", "dynamic_listeners": [{"active_state": {"listener": given}}]},
                {"@type": f"{ADMIN}EcdsConfigDump", "ecds_filters": [{"ecds_filter": {"name": "limit"}}]},
                {"@type": f"{ADMIN}EcdsConfigDump", "ecds_filters": [{"ecds_filter": arrived}]},
            ]
        }
    )
    assert found["default_filter_chain"]["filters"] == [arrived]


@pytest.mark.parametrize(
    ("config", "kind"), [({}, "STRICT_DNS"), ({"all_addresses_in_single_endpoint": True}, "LOGICAL_DNS")]
)
def test_names_are_looked_up_in_istioctls_words(config: dict[str, Any], kind: str) -> None:
    cluster = {"name": "outbound|80||a.com", "cluster_type": {"name": "envoy.cluster.dns", "typed_config": config}}
    assert envoy_tables.clusters([cluster]).splitlines()[1].split()[4] == kind


STATS = "cluster.xds.upstream_cx_total: 1\ncluster.xds.upstream_rq_total: 2\n"


def test_statistics_are_envoys_own_text(envoy: FakeApi) -> None:
    envoy.on(f"GET /v1/proxies/{PROXY}/admin/stats", STATS)
    assert out("proxy", "stats", "reviews-v1") == STATS
    assert out("proxy", "stats", PROXY, "--filter", "xds") == STATS
    assert envoy.queries(f"GET /v1/proxies/{PROXY}/admin/stats") == [{}, {"filter": "xds"}]


def test_statistics_for_programs(envoy: FakeApi) -> None:
    told = {"stats": [{"name": "cluster.xds.upstream_cx_total", "value": 1}]}
    envoy.on(f"GET /v1/proxies/{PROXY}/admin/stats", told)
    envoy.on(f"GET /v1/proxies/{PROXY}/admin/stats/prometheus", "# TYPE a counter\na 1\n")
    assert json.loads(out("proxy", "stats", PROXY, "-o", "json")) == told
    assert yaml.safe_load(out("proxy", "stats", PROXY, "-o", "yaml", "--filter", "x")) == told
    assert out("proxy", "stats", PROXY, "-o", "prom") == "# TYPE a counter\na 1\n"
    asked = envoy.queries(f"GET /v1/proxies/{PROXY}/admin/stats")
    assert asked == [{"format": "json"}, {"format": "json", "filter": "x"}]


def test_a_filter_that_fits_no_statistic_is_told(envoy: FakeApi) -> None:
    envoy.on(f"GET /v1/proxies/{PROXY}/admin/stats", "")
    result = run("proxy", "stats", PROXY, "--filter", "nothing")
    assert (result.exit_code, result.stderr) == (0, "no statistic matches\n")


def test_what_keeps_an_envoy_from_telling_statistics(envoy: FakeApi) -> None:
    problem = {"code": "ProxyUnreachable", "message": "the Envoy of reviews-v1-0.default does not answer"}
    envoy.on(f"GET /v1/proxies/{PROXY}/admin/stats", {"problems": [problem]}, 502)
    result = run("proxy", "stats", PROXY)
    assert result.exit_code == 1
    assert "does not answer" in result.stderr


@pytest.mark.parametrize("command", ["clusters", "endpoints", "listeners", "routes", "secrets", "config", "stats"])
def test_a_proxy_may_be_named_with_its_namespace(envoy: FakeApi, command: str) -> None:
    envoy.on(f"GET /v1/proxies/{PROXY}/admin/stats", STATS)
    for name in ("reviews-v1", "reviews-v1-0", PROXY):
        assert out("proxy", command, name, "-n", "default") == out("proxy", command, name)
    result = run("proxy", command, "reviews-v1", "-n", "shop")
    assert result.exit_code == 1
    assert result.stderr.startswith("error: there is no proxy reviews-v1 in namespace shop\n")
