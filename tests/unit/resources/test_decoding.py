"""What the loader says about values of the wrong type and fields that do not exist."""

from __future__ import annotations

import pytest

from mizzen.resources.loading import load

HEAD = "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: a}\nspec:\n  hosts: [a]\n  http:\n"
ROUTE = "  - route:\n    - destination:\n        host: a\n"


@pytest.mark.parametrize(
    ("lines", "where", "message", "hint"),
    [
        ("        sub_set: v1\n", "10:9", "unknown field `sub_set`", "did you mean `subset`?"),
        ("        Subset: v1\n", "10:9", "unknown field `Subset`", "did you mean `subset`?"),
        (
            "        timeout: 1s\n",
            "10:9",
            "unknown field `timeout`",
            "`timeout` is a field of `spec.http[0]`: check the indentation",
        ),
        (
            "      subset: v1\n",
            "10:7",
            "unknown field `subset`",
            "`subset` is a field of `destination` below this: indent it under that",
        ),
        (
            "        elephant: v1\n",
            "10:9",
            "unknown field `elephant`",
            "the fields here are `host`, `subset`, `port`",
        ),
        ("        subset: 1.10\n", "10:17", "must be text, not the number 1.10", 'write it in quotes: "1.10"'),
        ("        subset: on\n", "10:17", "must be text, not the boolean `on`", 'write it in quotes: "on"'),
        ("        subset: [v1]\n", "10:9", "must be text, not a list", ""),
        ("        port: 80\n", "10:15", "must be a mapping, not the number 80", "its fields are `number`"),
        (
            "        port: {number: '80'}\n",
            "10:24",
            "must be a whole number, not the text '80'",
            "write it without quotes",
        ),
        ("      weight: 50%\n", "10:15", "must be a whole number, not the text '50%'", ""),
        ("    match:\n      uri: /a\n", "10:5", "must be a list, not a mapping", "put `- ` before each element"),
        (
            "    match:\n    - uri: /a\n",
            "11:12",
            "must be a mapping, not the text '/a'",
            "write `exact: /a` or `prefix: /a` below it",
        ),
        (
            "    match:\n    - uri: {exact: /a, prefix: /}\n",
            "11:7",
            "`exact` and `prefix` cannot be set together: keep one of them",
            "",
        ),
        (
            "    match:\n    - ignoreUriCase: 'true'\n",
            "11:22",
            "must be true or false, not the text 'true'",
            "write it without quotes",
        ),
        (
            "    timeout: 10\n",
            "10:14",
            "the number 10 is not a duration",
            'write it with its unit: "10s" or "10ms"',
        ),
        ("    timeout: soon\n", "10:14", "the text 'soon' is not a duration", 'write it as "1.5s" or "100ms"'),
    ],
)
def test_a_mistake_is_shown_at_its_place_with_what_to_do(lines: str, where: str, message: str, hint: str) -> None:
    loaded = load(HEAD + ROUTE + lines, "f")
    assert loaded.resources == ()
    assert [(str(problem.position), problem.message, problem.hint) for problem in loaded.problems] == [
        (f"f:{where}", message, hint)
    ]


def test_a_choice_that_does_not_exist_has_the_nearest() -> None:
    text = (
        "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: a}\n"
        "spec: {host: a, trafficPolicy: {loadBalancer: {simple: roundRobin}}}\n"
    )
    (problem,) = load(text, "f").problems
    assert str(problem) == (
        "f:4:56: error: DestinationRule default/a: spec.trafficPolicy.loadBalancer.simple: 'roundRobin' is none of "
        "`UNSPECIFIED`, `LEAST_CONN`, `RANDOM`, `PASSTHROUGH`, `ROUND_ROBIN`, `LEAST_REQUEST` (did you mean "
        "ROUND_ROBIN?) [WrongType]"
    )


@pytest.mark.parametrize(
    ("written", "shown"),
    [("yes", "the boolean `yes`"), ("0x1F", "the number 0x1F"), ("[a]", "a list"), ("{}", "a mapping")],
)
def test_what_is_no_text_is_no_choice_as_it_is_written(written: str, shown: str) -> None:
    text = (
        "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: a}\n"
        f"spec: {{host: a, trafficPolicy: {{tls: {{mode: {written}}}}}}}\n"
    )
    (problem,) = load(text, "f").problems
    assert problem.message == f"{shown} is none of `DISABLE`, `SIMPLE`, `MUTUAL`, `ISTIO_MUTUAL`"
