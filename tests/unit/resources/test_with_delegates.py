from __future__ import annotations

import json
from typing import Any

from tests.support.worlds import read
from tests.support.written import to

from mizzen.resources.delegates import VirtualService, with_delegates


def rule(name: str, *http: dict[str, Any], namespace: str = "default", **spec: Any) -> str:
    document = {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"http": list(http), **spec},
    }
    return f"---\n{json.dumps(document)}\n"


def whole(*texts: str) -> list[VirtualService]:
    return with_delegates(read(*texts))


def hosts(found: VirtualService) -> list[str]:
    return [one.destination.host for http in found.spec.http for one in http.route if one.destination]


def delegating(name: str = "d", namespace: str = "", path: str = "/d") -> dict[str, Any]:
    delegate = {"name": name} | ({"namespace": namespace} if namespace else {})
    return {"match": [{"uri": {"prefix": path}}], "delegate": delegate}


ROOT = rule("root", delegating(), to("after"), hosts=["reviews"])


def test_routes_of_a_delegate_stand_where_it_is_named() -> None:
    (found,) = whole(ROOT, rule("d", to("a"), to("b")))
    assert hosts(found) == ["a.default.svc.cluster.local", "b.default.svc.cluster.local", "after"]
    assert [str(key) for key in found.origins] == ["VirtualService default/root", "VirtualService default/d"]


def test_a_delegate_of_another_namespace_means_its_own_services() -> None:
    root = rule("root", delegating(namespace="other"), hosts=["reviews"])
    (found,) = whole(root, rule("d", to("a"), namespace="other"), rule("d", to("b")))
    assert hosts(found) == ["a.other.svc.cluster.local"]


def test_who_delegates_in_vain_is_left_without_that_route() -> None:
    assert [hosts(one) for one in whole(ROOT)] == [["after"]]
    root = rule("root", delegating(namespace="other"), to("after"), hosts=["reviews"])
    hidden = rule("d", to("a"), namespace="other", exportTo=["."])
    assert [hosts(one) for one in whole(root, hidden)] == [["after"]]
    assert [hosts(one) for one in whole(ROOT, rule("d", to("a"), hosts=["d"]))] == [["after"], ["a"]]


def test_a_delegate_serves_several() -> None:
    roots = [rule(name, delegating(path=f"/d/{name}"), hosts=[name]) for name in ("one", "two")]
    found = whole(*roots, rule("d", to("a")))
    assert [one.spec.http[0].match[0].uri.prefix for one in found if one.spec.http[0].match[0].uri] == [
        "/d/one",
        "/d/two",
    ]


def test_it_is_another_one_when_its_delegate_is() -> None:
    (before,), (after,) = whole(ROOT, rule("d", to("a"))), whole(ROOT, rule("d", to("b")))
    assert before != after
    assert [before] == whole(ROOT, rule("d", to("a")))


def test_what_does_not_delegate_is_as_it_was() -> None:
    (written,) = read(rule("plain", to("a"), hosts=["a"]))
    (found,) = with_delegates([written])
    assert found is written
