"""A host with the root's dot at its end is the same host: all cases give the same when every host is written with it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
import yaml
from tests.support.cases import Case, cases
from tests.support.worlds import read, snapshot_of

from mizzen.compile.compiler import Compiler
from mizzen.resources.hosts import is_ip_address

CASES = [
    case
    for case in cases()
    if case.name
    in {
        "egress_gateway",
        "gateway_http",
        "gateway_tls",
        "literal_host",
        "service_entries",
        "sidecar_scope",
        "tls_routes",
        "two_namespaces",
    }
]
_LISTS = ("hosts", "sniHosts")


def _absolute(host: str) -> str:
    name = host.rpartition("/")[2]
    # What is short, everything or an address has no absolute form.
    return f"{host}." if "." in name and not is_ip_address(name) else host


def _changed(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, list):
        return [_changed(item, change) for item in value]
    if not isinstance(value, dict):
        return value
    changed = {name: _changed(inner, change) for name, inner in value.items()}
    for name in _LISTS:
        if isinstance(value.get(name), list):
            changed[name] = [change(host) for host in value[name]]
    if isinstance(value.get("host"), str):
        changed["host"] = change(value["host"])
    return changed


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_dot_at_the_end_of_hosts_changes_nothing(case: Case) -> None:
    texts = [(case.folder / file).read_text() for file in case.files]
    dotted = [yaml.safe_dump_all(_changed(list(yaml.safe_load_all(text)), _absolute)) for text in texts]
    assert any(re.search(r"[a-z]\.$", text, re.MULTILINE) for text in dotted)
    snapshot = snapshot_of(read(*dotted), case.capture)
    for proxy in case.subjects():
        expected = case.rendered(Compiler().compile(proxy, case.snapshot))
        assert case.rendered(Compiler().compile(snapshot.proxies[proxy.id], snapshot)) == expected
