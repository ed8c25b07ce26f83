"""The service ``details``: what is printed on the first pages of the book. It calls nobody."""

from __future__ import annotations

from .serving import Request, Response, Route, json_response, serve


def details(_: Request, product: str) -> Response:
    if not (product.isascii() and product.isdigit()):
        return json_response({"error": "please provide numeric product id"}, 400)
    return json_response(
        {
            "id": int(product),
            "author": "William Shakespeare",
            "year": 1595,
            "type": "paperback",
            "pages": 200,
            "publisher": "PublisherA",
            "language": "English",
            "ISBN-10": "1234567890",
            "ISBN-13": "123-1234567890",
        }
    )


ROUTES = (
    Route("GET", "/health", lambda _: json_response({"status": "Details is healthy"})),
    Route("GET", r"/details/([^/]*)", details),
)

if __name__ == "__main__":
    serve("details", ROUTES)
