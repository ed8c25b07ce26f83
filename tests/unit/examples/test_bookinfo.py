"""The services of examples/bookinfo as processes, without a mesh: what they answer, pass on and do when others fail."""

from __future__ import annotations

import contextlib
import http.client
import json
import signal
import socket
import threading
import urllib.parse
from collections.abc import Mapping

import pytest
from examples.bookinfo.services import calling, page, productpage, reviews
from tests.unit.examples.bookinfo_shop import V2, V3, Names, Start, Stub, fetch

PRODUCT = "/api/v1/products/0"
TRACING = {
    "x-request-id": "r-1",
    "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "tracestate": "a=1",
    "x-b3-traceid": "80f198ee56343ba8",
    "x-b3-spanid": "e457b5a2e4d86bd1",
    "x-b3-sampled": "1",
    "user-agent": "test/1",
    "authorization": "Bearer t",
    "cookie": "a=b; c=d",
}


@pytest.mark.parametrize(
    ("service", "body"),
    [
        ("details", '{"status": "Details is healthy"}'),
        ("ratings", '{"status": "Ratings is healthy"}'),
        ("reviews", '{"status": "Reviews is healthy"}'),
        ("productpage", "Product page is healthy"),
    ],
)
def test_health_and_what_every_service_does(start: Start, service: str, body: str) -> None:
    app = start(service, SERVICE_VERSION="v7")
    assert app.greeting == f"{service} v7 listens on http://127.0.0.1:{app.port}\n"
    got = fetch(app.port, "/health")
    assert (got.status, got.text) == (200, body)
    assert got.headers["x-bookinfo-pod"] == f"{service}-pod"
    assert got.headers["x-bookinfo-version"] == "v7"
    assert fetch(app.port, "/nothing").status == 404
    refused = fetch(app.port, "/health", method="PUT", body=b"x")
    assert (refused.status, refused.headers["allow"]) == (405, "GET")
    head = fetch(app.port, "/health", method="HEAD")
    assert (head.status, head.body, head.headers["content-length"]) == (200, b"", str(len(body)))


def test_details(start: Start) -> None:
    port = start("details").port
    assert fetch(port, "/details/0").json == {
        "id": 0,
        "author": "William Shakespeare",
        "year": 1595,
        "type": "paperback",
        "pages": 200,
        "publisher": "PublisherA",
        "language": "English",
        "ISBN-10": "1234567890",
        "ISBN-13": "123-1234567890",
    }
    got = fetch(port, "/details/first")
    assert (got.status, got.json) == (400, {"error": "please provide numeric product id"})


def test_ratings_are_kept_for_each_product(start: Start) -> None:
    port = start("ratings").port
    usual = {"Reviewer1": 5, "Reviewer2": 4}
    assert fetch(port, "/ratings/0").json == {"id": 0, "ratings": usual}
    put = fetch(port, "/ratings/1", method="PUT", body=b'{"Reviewer1": 1, "Reviewer2": 0}')
    assert (put.status, put.json) == (200, {"id": 1, "ratings": {"Reviewer1": 1, "Reviewer2": 0}})
    assert fetch(port, "/ratings/1").json == put.json
    assert fetch(port, "/ratings/0").json == {"id": 0, "ratings": usual}
    assert fetch(port, "/ratings/1", method="POST", body=b'{"Reviewer1": 2}').json["ratings"] == {"Reviewer1": 2}


@pytest.mark.parametrize(
    "body", [b"", b"{", b"\xff", b"[5]", b'{"Reviewer1": 6}', b'{"Reviewer1": "5"}', b'{"a": true}']
)
def test_ratings_that_are_not_accepted(start: Start, body: bytes) -> None:
    port = start("ratings").port
    got = fetch(port, "/ratings/0", method="PUT", body=body)
    assert (got.status, got.json) == (400, {"error": "please provide valid ratings JSON"})
    assert fetch(port, "/ratings/0").json["ratings"] == {"Reviewer1": 5, "Reviewer2": 4}
    got = fetch(port, "/ratings/zero", method="PUT", body=b"{}")
    assert (got.status, got.json) == (400, {"error": "please provide numeric product ID"})


@pytest.mark.parametrize(
    ("env", "colour"),
    [({"SERVICE_VERSION": "v1"}, None), (V2, "black"), (V3, "red")],
    ids=["v1", "v2", "v3"],
)
def test_the_versions_of_reviews(start: Start, names: Names, env: dict[str, str], colour: str | None) -> None:
    names.targets["ratings"] = start("ratings").port
    got = fetch(start("reviews", **env).port, "/reviews/0", {**TRACING, "end-user": "jason"})
    assert got.headers["x-bookinfo-version"] == env["SERVICE_VERSION"]
    assert {key: got.json[key] for key in ("id", "podname", "clustername")} == {
        "id": "0",
        "podname": "reviews-pod",
        "clustername": "null",
    }
    found = got.json["reviews"]
    assert [review["reviewer"] for review in found] == ["Reviewer1", "Reviewer2"]
    assert all(review["text"] for review in found)
    if colour is None:
        assert all("rating" not in review for review in found)
        assert names.asked == []
        return
    assert [review["rating"] for review in found] == [{"stars": 5, "color": colour}, {"stars": 4, "color": colour}]
    assert names.paths_of("ratings") == ["/ratings/0"]
    assert names.headers_to("ratings").items() >= {**TRACING, "end-user": "jason"}.items()


@pytest.mark.parametrize("stub", [lambda _: (500, b""), lambda _: (200, b"[1]"), lambda _: (200, b"{}"), None])
def test_reviews_without_ratings(start: Start, names: Names, stub: Stub | None) -> None:
    if stub:
        names.targets["ratings"] = stub
    got = fetch(start("reviews", **V2).port, "/reviews/0")
    assert got.status == 200
    assert [review["rating"] for review in got.json["reviews"]] == [
        {"error": "Ratings service is currently unavailable"}
    ] * 2


def test_reviews_of_what_is_not_a_number(start: Start) -> None:
    assert fetch(start("reviews").port, "/reviews/first").status == 404


def test_only_v2_waits_long_for_ratings() -> None:
    assert (reviews.ratings_timeout("black"), reviews.ratings_timeout("red")) == (10.0, 2.5)


def test_the_page(shop: int) -> None:
    got = fetch(shop, "/productpage")
    assert got.status == 200
    assert got.headers["content-type"] == "text/html; charset=utf-8"
    assert "<h1>The Comedy of Errors</h1>" in got.text
    assert "PublisherA" in got.text
    assert got.text.count('aria-label="5 of 5 stars, red"') == got.text.count('aria-label="4 of 5 stars, red"') == 1
    for service, version in (("details", "v1"), ("reviews", "v3"), ("productpage", "v1")):
        assert f"served by {service}-pod <b>{service} {version}</b>" in got.text
    assert 'class="error"' not in got.text


def test_the_first_page(start: Start) -> None:
    port = start("productpage").port
    for path in ("/", "/index.html"):
        got = fetch(port, path)
        assert (got.status, 'href="productpage?u=jason"' in got.text) == (200, True)


def test_the_interface_for_programs(shop: int, names: Names) -> None:
    books = fetch(shop, "/api/v1/products").json
    assert [(book["id"], book["title"], sorted(book)) for book in books] == [
        (0, "The Comedy of Errors", ["descriptionHtml", "id", "title"])
    ]
    assert fetch(shop, PRODUCT).json["author"] == "William Shakespeare"
    assert fetch(shop, PRODUCT + "/reviews").json["reviews"][1]["rating"] == {"stars": 4, "color": "red"}
    assert fetch(shop, PRODUCT + "/ratings").json == {"id": 0, "ratings": {"Reviewer1": 5, "Reviewer2": 4}}
    assert names.paths_of("details") == ["/details/0"]


def test_what_is_passed_on(shop: int, names: Names) -> None:
    fetch(shop, "/productpage", {**TRACING, "end-user": "mallory", "x-other": "1"})
    for service in ("details", "reviews", "ratings"):
        headers = names.headers_to(service)
        assert headers.items() >= TRACING.items()
        assert headers.keys().isdisjoint({"end-user", "x-other"})


def test_signing_in_and_out(shop: int, names: Names) -> None:
    got = fetch(shop, "/login", {"referer": "http://elsewhere.test/"}, method="POST", body=b"username=jason&passwd=")
    assert (got.status, got.headers["location"]) == (302, "productpage")
    cookie = got.headers["set-cookie"].partition(";")[0]
    signed_in = fetch(shop, "/productpage", {"cookie": f"other=1; {cookie}"})
    assert ">jason<" in signed_in.text
    assert "Sign out" in signed_in.text
    for service in ("details", "reviews", "ratings"):
        assert names.headers_to(service)["end-user"] == "jason"
    fetch(shop, PRODUCT + "/ratings", {"cookie": cookie})
    assert names.headers_to("ratings")["end-user"] == "jason"
    assert "user=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0" in fetch(shop, "/logout").headers["set-cookie"]


def test_a_user_for_one_request(shop: int, names: Names) -> None:
    fetch(shop, "/productpage?u=jason", {"cookie": "user=someone"})
    assert names.headers_to("reviews")["end-user"] == "jason"


def test_a_name_cannot_break_a_header_or_the_page(shop: int, names: Names) -> None:
    name = "a\r\nx-evil: 1<script>é"
    got = fetch(shop, "/login", method="POST", body=f"username={urllib.parse.quote(name)}".encode())
    assert "x-evil" not in got.headers
    shown = fetch(shop, "/productpage", {"cookie": got.headers["set-cookie"].partition(";")[0]})
    assert names.headers_to("reviews")["end-user"] == "ax-evil: 1<script>"
    assert "x-evil" not in names.headers_to("reviews")
    assert "ax-evil: 1&lt;script&gt;" in shown.text
    assert "<script" not in shown.text


@pytest.mark.parametrize(("service", "calls"), [("details", 1), ("reviews", 2)])
def test_the_page_without_one_of_its_parts(shop: int, names: Names, service: str, calls: int) -> None:
    names.targets[service] = lambda _: (503, b"no")
    got = fetch(shop, "/productpage")
    assert got.status == 200
    assert f"Error fetching product {service}" in got.text
    assert f"Sorry, product {service} are currently unavailable for this book." in got.text
    assert got.text.count('class="error"') == 1
    assert len(names.paths_of(service)) == calls


@pytest.mark.parametrize(
    ("path", "service"), [(PRODUCT, "details"), (PRODUCT + "/reviews", "reviews"), (PRODUCT + "/ratings", "ratings")]
)
@pytest.mark.parametrize(("stub", "status"), [((503, b"no"), 503), ((200, b"not json"), 500)])
def test_the_interface_without_a_service(
    shop: int, names: Names, path: str, service: str, stub: tuple[int, bytes], status: int
) -> None:
    names.targets[service] = lambda _: stub
    got = fetch(shop, path)
    sorry = {"error": f"Sorry, product {service} are currently unavailable for this book."}
    assert (got.status, got.json) == (status, sorry)


def test_reviews_are_asked_a_second_time(shop: int, names: Names) -> None:
    answers = iter([(500, b"{}"), (200, b'{"reviews": [{"reviewer": "R", "text": "Again"}]}')])
    names.targets["reviews"] = lambda _: next(answers)
    assert "Again" in fetch(shop, "/productpage").text


def test_the_page_without_ratings(shop: int, names: Names) -> None:
    del names.targets["ratings"]
    got = fetch(shop, "/productpage")
    assert got.text.count("Ratings service is currently unavailable") == 2
    assert "Error fetching" not in got.text


def test_what_comes_from_other_services_is_escaped() -> None:
    evil = "<script>alert(1)</script>"
    rating = {"stars": 9, "color": "red;x:y"}
    answer = calling.Answer(
        200, {"publisher": evil, "reviews": [{"reviewer": evil, "text": evil, "rating": rating}, 1]}, evil, evil
    )
    book = page.Book(0, evil, 'https://a.test/"onclick="', evil)
    text = page.product(book, answer, answer, evil, page.served_by("productpage", evil, evil))
    text += page.product(book, calling.Answer(500, {"error": evil}), calling.Answer(500, {}), "", "")
    assert "<script" not in text
    assert 'onclick="' not in text
    assert 'style="color: black"' in text
    assert 'aria-label="5 of 5 stars, black"' in text


def test_the_product_is_one_segment_of_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def call(url: str, headers: Mapping[str, str], timeout: float) -> calling.Answer:
        asked.append(f"{url} {timeout}")
        return calling.Answer(200, {})

    monkeypatch.setattr(productpage, "call", call)
    productpage.ask("details", "0?a=../b", {})
    assert asked == ["http://details:9080/details/0%3Fa%3D..%2Fb 3.0"]


def test_where_services_are_called(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RATINGS_HOSTNAME", "SERVICES_DOMAIN", "RATINGS_SERVICE_HOST", "RATINGS_SERVICE_PORT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("RATINGS_SERVICE_PORT", "31234")
    assert calling.address("ratings") == "http://ratings:9080"
    monkeypatch.setenv("SERVICES_DOMAIN", "shop.svc.cluster.local")
    monkeypatch.setenv("RATINGS_HOSTNAME", "ratings-test")
    assert calling.address("ratings") == "http://ratings-test.shop.svc.cluster.local:9080"


def test_a_call_ends_after_its_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert calling.call(f"http://127.0.0.1:{silent.getsockname()[1]}/", {}, 0.05) == calling.Answer(0, {})


def test_a_connection_is_kept(start: Start) -> None:
    app = start("ratings")
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", app.port, timeout=20)) as connection:
        connection.connect()
        first = connection.sock
        for method, path, body in (("PUT", "/nothing", b"{}"), ("GET", "/ratings/0", None), ("GET", "/health", None)):
            connection.request(method, path, body=body)
            connection.getresponse().read()
            assert connection.sock is first


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"PUT /ratings/0 HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n", 411),
        (b"PUT /ratings/0 HTTP/1.1\r\nhost: a\r\ncontent-length: 65537\r\n", 413),
        (b"PUT /ratings/0 HTTP/1.1\r\nhost: a\r\ncontent-length: -1\r\n", 400),
        (b"DELETE /ratings/0 HTTP/1.1\r\nhost: a\r\n", 501),
        (b"nonsense\r\n", 400),
    ],
)
def test_requests_that_are_refused(start: Start, head: bytes, status: int) -> None:
    app = start("ratings")
    with socket.create_connection(("127.0.0.1", app.port), timeout=20) as connection:
        connection.sendall(head + b"\r\n")
        answer = b"".join(iter(lambda: connection.recv(4096), b""))
    assert str(status).encode() in answer.partition(b"\n")[0]
    assert fetch(app.port, "/health").status == 200


def test_sigterm_loses_no_request(start: Start, names: Names) -> None:
    asked, go_on = threading.Event(), threading.Event()

    def ratings(_: str) -> tuple[int, bytes]:
        asked.set()
        assert go_on.wait(20)
        return 200, b'{"id": 0, "ratings": {"Reviewer1": 1, "Reviewer2": 2}}'

    names.targets["ratings"] = ratings
    app = start("reviews", **V2)
    idle = http.client.HTTPConnection("127.0.0.1", app.port, timeout=20)
    begun = http.client.HTTPConnection("127.0.0.1", app.port, timeout=20)
    with contextlib.closing(idle), contextlib.closing(begun):
        idle.request("GET", "/health")
        idle.getresponse().read()
        begun.request("GET", "/reviews/0")
        assert asked.wait(20)
        app.process.send_signal(signal.SIGTERM)
        while "stops" not in app.line():
            assert app.process.poll() is None
        with pytest.raises(ConnectionRefusedError):
            fetch(app.port, "/health")
        assert idle.sock.recv(1) == b""
        go_on.set()
        response = begun.getresponse()
        assert (response.status, response.headers["connection"]) == (200, "close")
        assert json.load(response)["reviews"][0]["rating"]["stars"] == 1
    assert app.process.wait(20) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_service_that_does_nothing_ends_at_once(start: Start, number: signal.Signals) -> None:
    app = start("details")
    with socket.create_connection(("127.0.0.1", app.port)):
        app.process.send_signal(number)
        assert app.process.wait(20) == 0


def test_a_port_in_use(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        app = start("details", "--port", str(port))
        assert app.greeting == f"details cannot listen on 127.0.0.1 port {port}: Address already in use\n"
        assert app.process.wait(20) == 1


def test_the_port_is_needed(start: Start) -> None:
    app = start("details", "--host", "127.0.0.1")
    assert app.process.wait(20) == 2
