from __future__ import annotations

from collections.abc import Mapping

import pytest

from mizzen.control.rejections import SetAside, culprits, in_force
from mizzen.resources.key import Key
from mizzen.resources.loading import load
from mizzen.resources.resource import Resource
from mizzen.xds.status import Rejection

ROUTES = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration"


def virtual_service(name: str, regex: str) -> str:
    return f"""
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: {name}
spec:
  hosts: [{name}]
  http:
  - match:
    - headers:
        x-long-name:
          regex: '{regex}'
    route:
    - destination: {{host: {name}}}
"""


def resources(**regexes: str) -> dict[Key, Resource]:  # type: ignore[type-arg]
    text = "---".join(virtual_service(name, regex) for name, regex in regexes.items())
    loaded = load(text, "routes.yaml")
    assert not loaded.problems
    return {resource.key: resource for resource in loaded.resources}


def key(name: str) -> Key:
    return Key("VirtualService", "default", name)


WRITTEN = resources(reviews=r"\d+-reviews", ratings=r"\d+-ratings", details="detail")


def blamed(message: str, changed: Mapping[str, int], accepted: tuple[str, ...]) -> list[str]:
    rejection = Rejection(
        proxy="a-0.default",
        type_url=ROUTES,
        resource="9080",
        version="",
        message=message,
        snapshot=7,
        origins=(Key("Service", "default", "gone"), *WRITTEN),
        accepted_origins=tuple(map(key, accepted)),
    )
    found = culprits(rejection, WRITTEN, {key(name): version for name, version in changed.items()})
    return sorted(resource.name for resource in found)


ALL = ("reviews", "ratings", "details")


@pytest.mark.parametrize(
    ("message", "changed", "accepted", "expected"),
    [
        pytest.param("no", {"reviews": 7, "ratings": 3, "details": 3}, ALL, ["reviews"], id="the one that changed"),
        pytest.param("no", {"reviews": 7, "ratings": 7}, ALL, ["ratings", "reviews"], id="all that changed"),
        pytest.param("no", {"reviews": 7, "ratings": 7}, ("reviews", "details"), ["ratings"], id="the new one of them"),
        pytest.param("no", {}, ("reviews",), ["details", "ratings"], id="the new ones, after a restart"),
        pytest.param(r"'\d+-reviews' no", {"reviews": 7, "ratings": 7}, ALL, ["reviews"], id="the quoted one"),
        pytest.param(
            r"'\d+-reviews' no",
            {"reviews": 7, "ratings": 7},
            ("reviews", "details"),
            ["reviews"],
            id="the quoted one, though another is new",
        ),
        pytest.param(
            '"detail" no', {"reviews": 7, "details": 3}, ALL, ["reviews"], id="not one that was accepted before"
        ),
        pytest.param(
            '"detail" no', {"reviews": 7}, ("reviews",), ["details"], id="a quoted one that is new to the proxy"
        ),
        pytest.param(
            "cannot bind '127.0.0.1:20001': Address already in use",
            {"reviews": 7},
            (),
            [],
            id="nobody, where a port is taken",
        ),
        pytest.param("'x-long-name'", {"reviews": 7, "ratings": 7}, ("details",), ["ratings", "reviews"], id="a name"),
    ],
)
def test_who_is_to_blame(
    message: str, changed: Mapping[str, int], accepted: tuple[str, ...], expected: list[str]
) -> None:
    assert blamed(message, changed, accepted) == expected


def aside(name: str, message: str = "no", good: Resource | None = None) -> SetAside:  # type: ignore[type-arg]
    return SetAside(key(name), WRITTEN[key(name)].digest, "a-0.default", ROUTES, "9080", message, good=good)


@pytest.mark.parametrize(
    ("message", "line"), [(r"regex '\d+-ratings' no", 26), ("regex 'something else' no", 20), ("no", 20)]
)
def test_the_problem_stands_where_the_quoted_field_does(message: str, line: int) -> None:
    problem = aside("ratings", message).problem(WRITTEN[key("ratings")])
    assert problem.position
    assert (problem.position.file, problem.position.line) == ("routes.yaml", line)
    assert message in problem.message
    assert problem.resource == key("ratings")


SCRIPTS = """\
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata:
  name: scripts
spec:
  configPatches:
"""
SCRIPT = """\
  - applyTo: HTTP_FILTER
    patch:
      operation: INSERT_FIRST
      value:
        name: %(name)s
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua
          default_source_code:
            inline_string: |
              function envoy_on_request(%(name)s)
                local said = "no"
                x
              end
"""


@pytest.mark.parametrize(
    ("names", "message", "line"),
    [
        (["one", "two"], """[string "function envoy_on_request(two)..."]:4: unexpected symbol near 'end'""", 28),
        (["one", "two"], """[string "function envoy_on_request(one)..."]:4: '=' expected near 'end'""", 15),
        (["one", "two"], "no", 5),
        (["one"], "no", 8),
    ],
)
def test_a_script_is_found_by_its_first_line(names: list[str], message: str, line: int) -> None:
    text = SCRIPTS + "".join(SCRIPT % {"name": name} for name in names)
    (resource,) = load(text, "scripts.yaml").resources
    made = SetAside(resource.key, resource.digest, "a-0.default", ROUTES, "80", f"script load error: {message}")
    assert (made.position(resource).file, made.position(resource).line) == ("scripts.yaml", line)


def test_the_last_good_generation_is_in_force_until_the_resource_is_written_anew() -> None:
    (good,) = resources(reviews="good").values()
    both = [aside("reviews", good=good), aside("ratings")]
    effective, standing = in_force(WRITTEN, both)
    assert effective == {key("reviews"): good, key("details"): WRITTEN[key("details")]}
    assert standing.keys() == {key("reviews"), key("ratings")}
    mended = {**WRITTEN, **resources(reviews="mended")}
    del mended[key("ratings")]
    assert in_force(mended, both) == (mended, {})
