from __future__ import annotations

import click
import pytest

from mizzen.cli.forwarding import PortPair
from mizzen.cli.options import DURATION


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30s", 30.0), ("1h30m", 5400.0), ("250ms", 0.25), ("1.5h", 5400.0), ("12", 12.0), ("0.5", 0.5)],
)
def test_durations(text: str, seconds: float) -> None:
    assert DURATION.convert(text, None, None) == seconds


@pytest.mark.parametrize("text", ["", "soon", "5 s", "5d", "-5s", "s", "5sx"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is not a duration"):
        DURATION.convert(text, None, None)


@pytest.mark.parametrize(
    ("text", "pair"),
    [("9080", (9080, "9080")), ("8080:9080", (8080, "9080")), (":9080", (0, "9080")), ("0:http", (0, "http"))],
)
def test_port_pairs(text: str, pair: tuple[int, str]) -> None:
    assert PortPair().convert(text, None, None) == pair


@pytest.mark.parametrize("text", ["", ":", "8080:", "x:80", "70000:80"])
def test_what_is_no_port_pair(text: str) -> None:
    with pytest.raises(click.BadParameter, match="LOCAL"):
        PortPair().convert(text, None, None)
