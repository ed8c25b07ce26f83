"""The service ``ratings``: how many stars each reviewer gives. It calls nobody.

Ratings that are sent to it (``PUT`` or ``POST /ratings/0`` with ``{"Reviewer1": 1, "Reviewer2": 3}``) are kept in
memory, and so belong to one instance and end with it.
"""

from __future__ import annotations

import json
import threading
from typing import Any

from .serving import Request, Response, Route, json_response, serve

_MOST_PRODUCTS = 1000


class Ratings:
    """The ratings of each product: two reviewers who liked it, until others are put in their place."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._given: dict[int, dict[str, int]] = {}

    def routes(self) -> tuple[Route, ...]:
        pattern = r"/ratings/([^/]*)"
        return (
            Route("GET", "/health", lambda _: json_response({"status": "Ratings is healthy"})),
            Route("GET", pattern, self.get),
            Route("PUT", pattern, self.put),
            Route("POST", pattern, self.put),
        )

    def get(self, _: Request, product: str) -> Response:
        if not _numeric(product):
            return json_response({"error": "please provide numeric product ID"}, 400)
        with self._lock:
            ratings = self._given.get(int(product), {"Reviewer1": 5, "Reviewer2": 4})
        return json_response({"id": int(product), "ratings": ratings})

    def put(self, request: Request, product: str) -> Response:
        if not _numeric(product):
            return json_response({"error": "please provide numeric product ID"}, 400)
        ratings = _ratings(request.body)
        if ratings is None:
            return json_response({"error": "please provide valid ratings JSON"}, 400)
        with self._lock:
            if len(self._given) >= _MOST_PRODUCTS and int(product) not in self._given:
                return json_response({"error": f"ratings of {_MOST_PRODUCTS} products are kept, not more"}, 507)
            self._given[int(product)] = ratings
        return self.get(request, product)


def _numeric(product: str) -> bool:
    return product.isascii() and product.isdigit() and len(product) < 16


def _ratings(body: bytes) -> dict[str, int] | None:
    """Stars, from 0 to 5, by reviewer; None if the body is anything else."""
    try:
        value: Any = json.loads(body)
    except ValueError:
        return None
    if isinstance(value, dict) and all(type(stars) is int and 0 <= stars <= 5 for stars in value.values()):
        return value
    return None


if __name__ == "__main__":
    serve("ratings", Ratings().routes())
