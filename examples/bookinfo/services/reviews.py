"""The service ``reviews``: what two readers say of the book.

One program, three versions, told apart by their environment: v1 calls nobody; v2 (``ENABLE_RATINGS=true``) asks
``ratings`` and shows black stars; v3 (and ``STAR_COLOR=red``) shows red ones.
"""

from __future__ import annotations

import os
from typing import Any

from .calling import Answer, address, call, passed_on
from .serving import Request, Response, Route, json_response, pod_name, serve

_REVIEWS = (
    ("Reviewer1", "Two pairs of twins, one town, and nobody asks the obvious question. I laughed until the last act."),
    ("Reviewer2", "Good company for an evening. It is the lightest of his plays, and it does not pretend otherwise."),
)


def ratings_timeout(color: str) -> float:
    """Seconds to wait for ratings: v3 is less patient than v2, as in the original, so that a delay parts them."""
    return 10.0 if color == "black" else 2.5


def rating(answer: Answer, reviewer: str, color: str) -> dict[str, Any]:
    ratings = answer.value.get("ratings")
    stars = ratings.get(reviewer) if isinstance(ratings, dict) else None
    if type(stars) is not int:
        return {"error": "Ratings service is currently unavailable"}
    return {"stars": stars, "color": color}


def reviews(request: Request, product: str) -> Response:
    found: list[dict[str, Any]] = [{"reviewer": reviewer, "text": text} for reviewer, text in _REVIEWS]
    if os.environ.get("ENABLE_RATINGS", "").lower() == "true":
        color = os.environ.get("STAR_COLOR", "black")
        url = f"{address('ratings')}/ratings/{product}"
        answer = call(url, passed_on(request.headers), ratings_timeout(color))
        for review in found:
            review["rating"] = rating(answer, review["reviewer"], color)
    cluster = os.environ.get("CLUSTER_NAME", "null")
    return json_response({"id": product, "podname": pod_name(), "clustername": cluster, "reviews": found})


ROUTES = (
    Route("GET", "/health", lambda _: json_response({"status": "Reviews is healthy"})),
    Route("GET", r"/reviews/([0-9]{1,15})", reviews),
)

if __name__ == "__main__":
    serve("reviews", ROUTES)
