import contextlib
from ipaddress import IPv4Address

import dns.flags
import dns.message
import dns.opcode
import dns.rcode
import dns.rdatatype
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mizzen.node.capture.answers import (
    Asker,
    Forward,
    MalformedQueryError,
    answer,
    failure,
    is_truncated,
    name_table,
    resolv_conf,
    truncated,
)
from mizzen.registry.reports import EgressNames, ServiceName


def service(name: str, namespace: str, address: str, host: str = "") -> ServiceName:
    host = host or f"{name}.{namespace}.svc.cluster.local"
    return ServiceName(host=host, name=name, namespace=namespace, address=address, ports=(9080,))


TABLE = name_table(
    [
        service("reviews", "default", "240.240.0.1"),
        service("reviews", "shop", "240.240.0.2"),
        service("ratings", "shop", "240.240.0.3"),
        service("headless", "default", ""),
        service("external", "default", "240.240.0.4", host="API.Example.com"),
    ]
)


def ask(
    name: str, kind: str = "A", namespace: str = "default", searched: tuple[str, ...] = (), **options: int
) -> dns.message.Message | Forward:
    query = dns.message.make_query(name, kind, **options)  # type: ignore[arg-type]
    found = answer(query.to_wire(), TABLE, Asker(namespace), searched)
    if isinstance(found, Forward):
        return found
    response = dns.message.from_wire(found)
    assert query.is_response(response)
    assert response.flags & dns.flags.RA
    return response


def addresses(response: dns.message.Message | Forward) -> list[str]:
    assert not isinstance(response, Forward)
    assert response.rcode() == dns.rcode.NOERROR
    assert all(rrset.ttl == 30 for rrset in response.answer)
    return [record.address for rrset in response.answer for record in rrset]


@pytest.mark.parametrize(
    ("name", "namespace", "expected"),
    [
        ("reviews.", "default", "240.240.0.1"),
        ("reviews.", "shop", "240.240.0.2"),
        ("reviews.shop.", "default", "240.240.0.2"),
        ("reviews.shop.svc.", "default", "240.240.0.2"),
        ("reviews.shop.svc.cluster.local.", "default", "240.240.0.2"),
        ("ReViEwS.DeFault.svc.Cluster.LOCAL.", "shop", "240.240.0.1"),
        ("api.example.com.", "shop", "240.240.0.4"),
    ],
)
def test_a_service_is_known_in_all_its_forms(name: str, namespace: str, expected: str) -> None:
    response = ask(name, namespace=namespace)
    assert addresses(response) == [expected]
    assert isinstance(response, dns.message.Message)
    # The case of the question is kept, since some resolvers check it.
    assert response.answer[0].name.to_text() == name


@pytest.mark.parametrize("kind", ["AAAA", "MX", "TXT", "SRV", "HTTPS"])
def test_a_known_name_has_no_records_of_other_types(kind: str) -> None:
    assert addresses(ask("reviews.default.svc.cluster.local.", kind)) == []


def test_any_is_answered_with_the_address() -> None:
    assert addresses(ask("reviews.", "ANY")) == ["240.240.0.1"]


def test_a_service_without_an_address_exists() -> None:
    assert addresses(ask("headless.")) == []


@pytest.mark.parametrize("name", ["svc.cluster.local.", "shop.svc.cluster.local.", "cluster.local."])
def test_a_branch_of_the_tree_exists_and_is_empty(name: str) -> None:
    assert addresses(ask(name)) == []


@pytest.mark.parametrize(
    "name",
    [
        "nosuch.default.svc.cluster.local.",
        "reviews.default.default.svc.cluster.local.",
        "www.example.com.cluster.local.",
        "nosuch.svc.cluster.local.",
        "1.0.240.240.in-addr.arpa.",
    ],
)
def test_what_only_the_mesh_could_know_does_not_exist(name: str) -> None:
    response = ask(name)
    assert isinstance(response, dns.message.Message)
    assert response.rcode() == dns.rcode.NXDOMAIN
    assert not response.authority


@pytest.mark.parametrize(
    "name",
    [
        "ratings.",
        "www.example.com.",
        "example.com.",
        "local.",
        "nosuch.shop.",
        "nosuch.shop.svc.",
        "notcluster.local.",
        ".",
    ],
)
def test_other_names_are_for_the_hosts_resolvers(name: str) -> None:
    assert isinstance(ask(name), Forward)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("reviews.dns.podman.", ["240.240.0.1"]),
        ("Reviews.Shop.DNS.podman.", ["240.240.0.2"]),
        ("ratings.shop.svc.cluster.local.corp.example.", ["240.240.0.3"]),
        ("api.example.com.dns.podman.", ["240.240.0.4"]),
        # An exact name wins over one that ends with a domain.
        ("api.example.com.", ["240.240.0.4"]),
        ("headless.dns.podman.", []),
    ],
)
def test_a_name_of_the_mesh_below_a_domain_that_a_container_searches(name: str, expected: list[str]) -> None:
    assert addresses(ask(name, searched=("dns.podman", "Corp.example", "com"))) == expected
    assert addresses(ask(name, "AAAA", searched=("dns.podman", "Corp.example", "com"))) == []


@pytest.mark.parametrize(
    "name", ["nosuch.dns.podman.", "dns.podman.", "reviews.other.", "xreviews.dns.podman.", "podman."]
)
def test_other_names_below_such_a_domain_are_for_its_resolvers(name: str) -> None:
    assert isinstance(ask(name, searched=("dns.podman", "")), Forward)


def test_the_size_that_a_client_takes_is_known_from_edns() -> None:
    assert ask("example.com.") == Forward(512)
    assert ask("example.com.", use_edns=0, payload=1232) == Forward(1232)
    assert ask("example.com.", use_edns=0, payload=100) == Forward(512)


def test_an_edns_question_has_an_edns_answer() -> None:
    response = ask("reviews.", use_edns=0, payload=1232)
    assert isinstance(response, dns.message.Message)
    assert response.edns == 0


def test_another_class_is_refused() -> None:
    query = dns.message.make_query("version.bind.", "TXT", "CH")
    found = answer(query.to_wire(), TABLE, Asker("default"))
    assert isinstance(found, bytes)
    assert dns.message.from_wire(found).rcode() == dns.rcode.REFUSED


def test_another_operation_is_not_implemented() -> None:
    query = dns.message.make_query("reviews.", "A")
    query.set_opcode(dns.opcode.STATUS)
    found = answer(query.to_wire(), TABLE, Asker("default"))
    assert isinstance(found, bytes)
    assert dns.message.from_wire(found).rcode() == dns.rcode.NOTIMP


@pytest.mark.parametrize(
    "wire",
    [
        b"",
        b"\0" * 11,
        b"\0" * 12,  # no question
        dns.message.make_query("reviews.", "A").to_wire() + b"junk",
        dns.message.make_query("reviews.", "A").to_wire()[:-3],
        dns.message.make_response(dns.message.make_query("reviews.", "A")).to_wire(),
    ],
    ids=["nothing", "cut header", "no question", "junk behind", "cut question", "an answer"],
)
def test_what_is_no_question_is_malformed(wire: bytes) -> None:
    with pytest.raises(MalformedQueryError):
        answer(wire, TABLE, Asker("default"))


@given(st.binary(max_size=80) | st.binary(min_size=8, max_size=40).map(lambda tail: b"\0\1\1\0\0\1\0\0\0\0\0\0" + tail))
def test_no_packet_raises_anything_else(wire: bytes) -> None:
    with contextlib.suppress(MalformedQueryError):
        assert isinstance(answer(wire, TABLE, Asker("default")), bytes | Forward)


def test_failure_and_truncation_are_answers_to_the_question() -> None:
    query = dns.message.make_query("example.com.", "A")
    failed = dns.message.from_wire(failure(query.to_wire()))
    assert query.is_response(failed)
    assert failed.rcode() == dns.rcode.SERVFAIL
    cut = truncated(query.to_wire())
    assert is_truncated(cut)
    assert query.is_response(dns.message.from_wire(cut))
    assert not is_truncated(failed.to_wire())


def test_resolv_conf() -> None:
    assert resolv_conf("shop", IPv4Address("10.0.0.1"), ("corp.example", "cluster.local")) == (
        "nameserver 10.0.0.1\nsearch shop.svc.cluster.local svc.cluster.local cluster.local corp.example\noptions ndots:5\n"
    )


def test_a_name_that_is_not_exported_is_asked_outside() -> None:
    private = ServiceName(
        host="api.example.com", name="api.example.com", namespace="a", address="240.240.0.9", ports=(), export_to=("a",)
    )
    query = dns.message.make_query("api.example.com", "A").to_wire()
    assert isinstance(answer(query, name_table([private]), Asker("b")), Forward)
    assert not isinstance(answer(query, name_table([private]), Asker("a")), Forward)


def test_a_name_may_mean_one_service_here_and_another_elsewhere() -> None:
    def web(namespace: str, *export_to: str) -> ServiceName:
        address = f"240.240.0.{1 if export_to else 2}"
        return ServiceName(
            host="web.a.svc.cluster.local",
            name="web",
            namespace=namespace,
            address=address,
            ports=(),
            export_to=export_to,
        )

    table = name_table([web("a", "a"), web("b")])
    assert table.address("web.a.svc.cluster.local", Asker("a")) == "240.240.0.1"
    assert table.address("web.a.svc.cluster.local", Asker("b")) == "240.240.0.2"


def test_another_name_of_what_is_not_exported_is_not_known_either() -> None:
    private = ServiceName(
        host="my-db.a.svc.cluster.local",
        name="my-db",
        namespace="a",
        address="240.240.0.9",
        ports=(80,),
        aliases=("my_db",),
        export_to=("a",),
    )
    table = name_table([private])
    assert table.address("my_db.a.svc.cluster.local", Asker("a")) == "240.240.0.9"
    assert table.address("my_db.a.svc.cluster.local", Asker("b")) is None


def test_a_name_that_a_sidecar_hides_is_unknown_to_the_instances_that_obey_it() -> None:
    def named(name: str, *ports: int) -> ServiceName:
        host = f"{name}.svc.cluster.local" if "." not in name.removesuffix(".far") else name
        namespace = "far" if name.endswith(".far") else "default"
        return ServiceName(host=host, name=name, namespace=namespace, address="240.240.0.1", ports=ports or (80,))

    near = ServiceName(
        host="near.default.svc.cluster.local", name="near", namespace="default", address="240.240.0.1", ports=(80, 81)
    )
    limits = EgressNames(
        namespace="default",
        instances=("a-0", "b-0"),
        hosts=((81, ("./*",)), (82, ("far/*",)), (0, ("*/api.example.com",))),
    )
    table = name_table([near, named("there.far", 80), named("api.example.com"), named("other.example.com")], [limits])

    def asked(name: str, client: Asker) -> str:
        found = answer(dns.message.make_query(name, "A").to_wire(), table, client)
        if isinstance(found, Forward):
            return "forward"
        return dns.rcode.to_text(dns.message.from_wire(found).rcode())

    for client, expected in (
        (Asker("default", "a-0"), ["NOERROR", "NXDOMAIN", "NOERROR", "forward"]),
        (Asker("default", "b-0"), ["NOERROR", "NXDOMAIN", "NOERROR", "forward"]),
        (Asker("default", "c-0"), ["NOERROR", "NOERROR", "NOERROR", "NOERROR"]),
        (Asker("far", "a-0"), ["forward", "NOERROR", "NOERROR", "NOERROR"]),
    ):
        names = ("near", "there.far.svc.cluster.local", "api.example.com", "other.example.com")
        assert [asked(name, client) for name in names] == expected
