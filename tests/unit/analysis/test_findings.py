from __future__ import annotations

import re
from pathlib import Path

import pytest

from mizzen.analysis import ANALYZERS, MESSAGE_TYPES, Selection, Suppression, World, found, read
from mizzen.resources.problems import Level

TEXT = """\
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: v1
kind: Service
metadata: {name: cart, namespace: shop}
spec: {ports: [{port: 80}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: cart
  namespace: shop
  annotations: {galley.istio.io/analyze-suppress: "%s"}
spec:
  hosts: [cart]
  http: [{route: [{destination: {host: gone}}], retries: {attempts: 1, retryOn: 5xx}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: stock, namespace: ops}
spec: {hosts: [stock], http: [{route: [{destination: {host: gone}}]}]}
"""


def said(selection: Selection, declined: str = "") -> list[str]:
    world = World(read([("f.yaml", TEXT % declined)]).items)
    return [f"{one.type.code} {one.item.shown}" for one in found(world, selection)[0]]


ALL = [
    "IST0101 VirtualService ops/stock",
    "IST0101 VirtualService shop/cart",
    "MZN0004 VirtualService shop/cart",
    "IST0102 Namespace shop",
    "IST0118 Service shop/cart",
]


def test_the_worst_comes_first() -> None:
    assert said(Selection()) == ALL


def test_namespaces_are_chosen_and_the_others_counted() -> None:
    assert said(Selection(["shop"])) == ALL[1:]
    assert said(Selection(["ops"])) == ALL[:1]
    world = World(read([("f.yaml", TEXT % "")]).items)
    assert found(world, Selection(["ops"]))[1] == 4


@pytest.mark.parametrize(
    ("declined", "left"),
    [
        ("IST0101", [0, 2, 3, 4]),
        ("IST0101,MZN0004", [0, 3, 4]),
        ("IST0101, MZN0004", [0, 3, 4]),
        ("*", [0, 3, 4]),
        ("IST0102", [0, 1, 2, 3, 4]),
    ],
)
def test_a_resource_declines_messages(declined: str, left: list[int]) -> None:
    assert said(Selection(), declined) == [ALL[index] for index in left]


@pytest.mark.parametrize(
    ("code", "pattern", "left"),
    [
        ("IST0101", "VirtualService cart.shop", [0, 2, 3, 4]),
        ("IST0101", "VirtualService shop/cart", [0, 2, 3, 4]),
        ("IST0101", "VirtualService *.shop", [0, 2, 3, 4]),
        ("IST0101", "VirtualService *", [2, 3, 4]),
        ("IST0101", "*", [2, 3, 4]),
        ("IST0102", "Namespace shop", [0, 1, 2, 4]),
        ("IST0102", "Namespace sho?", [0, 1, 2, 3, 4]),
        ("IST0118", "VirtualService *", [0, 1, 2, 3, 4]),
    ],
)
def test_messages_are_suppressed(code: str, pattern: str, left: list[int]) -> None:
    assert said(Selection(suppressions=[Suppression(code, pattern)])) == [ALL[index] for index in left]


def test_analyzers_are_chosen() -> None:
    assert said(Selection(analyzers=["mizzen.RetryAnalyzer"])) == ["MZN0004 VirtualService shop/cart"]


def test_one_message_is_said_once() -> None:
    front = """\
apiVersion: v1
kind: Pod
metadata: {name: other}
---
apiVersion: v1
kind: Secret
metadata: {name: other}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: front}
spec: {selector: {app: front}}
"""
    both = Selection(analyzers=["gateway.IngressGatewayPortAnalyzer", "gateway.SecretAnalyzer"])
    messages, _ = found(World(read([("f.yaml", front)]).items), both)
    assert [one.type.code for one in messages] == ["IST0101"]


def test_names_are_listed_in_order_and_once() -> None:
    names = [one.name for one in ANALYZERS]
    assert names == sorted(set(names))


def test_each_message_that_can_be_found_has_a_case() -> None:
    others = (path for path in Path(__file__).parent.glob("test_*.py") if path != Path(__file__))
    text = "".join(path.read_text() for path in others)
    assert [one.code for one in MESSAGE_TYPES.values() if one.decided and one.code not in text] == []


def test_the_table_is_istios() -> None:
    istio = [code for code in MESSAGE_TYPES if code.startswith("IST")]
    assert len(istio) == 68
    assert istio == sorted(istio)
    assert [code for code, one in MESSAGE_TYPES.items() if one.level is Level.ERROR and code < "IST0113"] == [
        "IST0001",
        "IST0101",
        "IST0106",
        "IST0109",
        "IST0110",
        "IST0111",
        "IST0112",
    ]


def test_each_message_is_explained() -> None:
    words = (Path(__file__).parents[3] / "docs" / "analyze.md").read_text()
    assert [code for code in MESSAGE_TYPES if not re.search(rf"\b{code}\b", words)] == []
