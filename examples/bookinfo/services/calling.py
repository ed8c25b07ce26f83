"""Calls another service by its plain name, and passes on what belongs to the request that caused the call.

``urllib`` follows ``http_proxy``; where nothing is set, the name is simply looked up. So the same code works in either
way of capture. The headers to pass on are those of Istio's example: without them spans do not join into one trace, and
a route that looks at ``end-user`` would see nothing behind the first hop.
"""

from __future__ import annotations

import json
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from email.message import Message
from http.client import HTTPException
from typing import Any, NamedTuple

from .serving import POD_HEADER, VERSION_HEADER

PORT = 9080
PASSED_ON = (
    "x-request-id",
    "x-ot-span-context",
    "x-datadog-trace-id",
    "x-datadog-parent-id",
    "x-datadog-sampling-priority",
    "traceparent",
    "tracestate",
    "x-cloud-trace-context",
    "grpc-trace-bin",
    "x-b3-traceid",
    "x-b3-spanid",
    "x-b3-parentspanid",
    "x-b3-sampled",
    "x-b3-flags",
    "b3",
    "sw8",
    "end-user",
    "user-agent",
    "cookie",
    "authorization",
    "jwt",
)


class Answer(NamedTuple):
    """What a service said. ``value`` is its JSON object where ``status`` is 200; nobody answered where it is 0."""

    status: int
    value: dict[str, Any]
    pod: str = ""
    version: str = ""


def passed_on(headers: Message) -> dict[str, str]:
    """The headers of a request that go along with the calls that it causes."""
    return {
        name: ("; " if name == "cookie" else ", ").join(values)
        for name in PASSED_ON
        if (values := headers.get_all(name))
    }


def address(service: str) -> str:
    """Where a service is called: its name, or ``<SERVICE>_HOSTNAME``, in ``SERVICES_DOMAIN`` if that is set."""
    host = os.environ.get(f"{service.upper()}_HOSTNAME") or service
    domain = os.environ.get("SERVICES_DOMAIN")
    return f"http://{host}.{domain}:{PORT}" if domain else f"http://{host}:{PORT}"


def call(url: str, headers: Mapping[str, str], timeout: float) -> Answer:
    """GETs a JSON object. ``timeout`` is in seconds and limits each wait for the network, not their sum.

    Every failure is an Answer, and a line in the log.
    """
    request = urllib.request.Request(url, headers=dict(headers))
    try:
        with urllib.request.urlopen(request, timeout=timeout) as response:
            pod, version = (response.headers.get(name, "") for name in (POD_HEADER, VERSION_HEADER))
            return Answer(response.status, dict(json.load(response)), pod, version)
    except urllib.error.HTTPError as error:
        with error:
            print(f"{url} answered {error.code}", file=sys.stderr, flush=True)
            return Answer(error.code, {})
    except (OSError, HTTPException, ValueError, TypeError) as error:
        print(f"{url} did not answer: {error}", file=sys.stderr, flush=True)
        return Answer(0, {})
