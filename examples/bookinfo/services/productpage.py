"""The service ``productpage``: the shop's front, for people (``/productpage``) and for programs (``/api/v1``).

It calls ``details``, ``reviews`` and, for the API, ``ratings``. What it cannot get it says so, and shows the rest.
Whoever signs in is named to the services behind in the header ``end-user``.
"""

from __future__ import annotations

import urllib.parse

from . import page
from .calling import Answer, address, call, passed_on
from .serving import Request, Response, Route, html_response, json_response, pod_name, serve, text_response, version

_TIMEOUT = 3.0
_LONGEST_NAME = 64
_BOOK = page.Book(
    0,
    "The Comedy of Errors",
    "https://en.wikipedia.org/wiki/The_Comedy_of_Errors",
    "Twin brothers who share a name, twin servants who share another, and a single day in Ephesus in which everyone"
    " is taken for someone else. It is Shakespeare's shortest play, and the one that runs fastest.",
)
_PAGE_HEADERS = (
    ("cache-control", "no-store"),
    ("content-security-policy", "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'self'"),
)


def ask(service: str, product: str, headers: dict[str, str], *, tries: int = 1) -> Answer:
    """A service's answer on a product; one whose status is not 200 carries an error to show in its place.

    ``reviews`` is asked twice, as in the original: with 3 s for each try the page gives up on reviews v2 after 6 s,
    although that would wait 10 s for its ratings. Istio's fault injection example is built on this disagreement.
    """
    url = f"{address(service)}/{service}/{urllib.parse.quote(product, safe='')}"
    answer = Answer(0, {})
    for _ in range(tries):
        answer = call(url, headers, _TIMEOUT)
        if answer.status == 200:
            return answer
    error = f"Sorry, product {service} are currently unavailable for this book."
    return Answer(answer.status or 500, {"error": error})


def user_of(request: Request) -> str:
    """Who is signed in: the parameter ``u``, for this one request, or the cookie; empty for nobody.

    There is no password to check, so the cookie carries the name and no signature.
    """
    if "u" in request.query:
        return _name(request.query["u"])
    for cookie in ";".join(request.headers.get_all("cookie", [])).split(";"):
        name, _, value = cookie.strip().partition("=")
        if name == "user":
            return _name(urllib.parse.unquote(value))
    return ""


def _name(text: str) -> str:
    """A name that may stand in a header: what could end the line or is not ASCII is left out."""
    return "".join(letter for letter in text if letter.isascii() and letter.isprintable()).strip()[:_LONGEST_NAME]


def _headers(request: Request, user: str) -> dict[str, str]:
    """What goes along with calls. Only a user who signed in here is named, not one whom the caller claims to be."""
    headers = passed_on(request.headers)
    headers.pop("end-user", None)
    return {**headers, "end-user": user} if user else headers


def index(request: Request) -> Response:
    return html_response(page.index(user_of(request), _served_by()), headers=_PAGE_HEADERS)


def product_page(request: Request) -> Response:
    user = user_of(request)
    headers = _headers(request, user)
    details = ask("details", str(_BOOK.number), headers)
    reviews = ask("reviews", str(_BOOK.number), headers, tries=2)
    return html_response(page.product(_BOOK, details, reviews, user, _served_by()), headers=_PAGE_HEADERS)


def _served_by() -> str:
    return page.served_by("productpage", pod_name(), version())


def login(request: Request) -> Response:
    form = urllib.parse.parse_qs(request.body.decode(errors="replace"))
    return _to_the_page(urllib.parse.quote(_name(form.get("username", [""])[0]), safe=""))


def logout(_: Request) -> Response:
    return _to_the_page("")


def _to_the_page(user: str) -> Response:
    # The address is relative, so that the page also works below a path of someone else's server.
    cookie = f"user={user}; Path=/; HttpOnly; SameSite=Lax" + ("" if user else "; Max-Age=0")
    return html_response("", 302, (("location", "productpage"), ("set-cookie", cookie)))


def products(_: Request) -> Response:
    return json_response([{"id": _BOOK.number, "title": _BOOK.title, "descriptionHtml": page.description(_BOOK)}])


def about(service: str, tries: int, request: Request, product: str) -> Response:
    answer = ask(service, product, _headers(request, user_of(request)), tries=tries)
    return json_response(answer.value, answer.status)


_PRODUCT = r"/api/v1/products/([^/]+)"
ROUTES = (
    Route("GET", "/health", lambda _: text_response("Product page is healthy")),
    Route("GET", r"/(?:index\.html)?", index),
    Route("GET", "/productpage", product_page),
    Route("POST", "/login", login),
    Route("GET", "/logout", logout),
    Route("GET", "/api/v1/products", products),
    Route("GET", _PRODUCT, lambda request, product: about("details", 1, request, product)),
    Route("GET", _PRODUCT + "/reviews", lambda request, product: about("reviews", 2, request, product)),
    Route("GET", _PRODUCT + "/ratings", lambda request, product: about("ratings", 1, request, product)),
)

if __name__ == "__main__":
    serve("productpage", ROUTES)
