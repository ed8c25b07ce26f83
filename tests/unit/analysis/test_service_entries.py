from __future__ import annotations

from tests.unit.analysis.marked import check


def entry(name: str, rest: str, namespace: str = "shop") -> str:
    return f"apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec:\n{rest}\n---\n"


CAPTURED = {
    "defaultConfig": {
        "proxyMetadata": {"ISTIO_META_DNS_CAPTURE": "true", "ISTIO_META_DNS_AUTO_ALLOCATE": "true"},
    }
}


def test_tcp_takes_an_address() -> None:
    ports = """\
  ports:
  - {number: 1, protocol: TCP}%s
  - {number: 2, protocol: tcp}%s
  - {number: 3}%s
  - {number: 4, protocol: HTTP}"""
    mark = "  #! IST0134 ServiceEntry shop/db"
    check("serviceentry.Analyzer", entry("db", ports % (mark, mark, mark)))
    check("serviceentry.Analyzer", entry("db", f"  addresses: [10.0.0.9]\n{ports % ('', '', '')}"))
    check("serviceentry.Analyzer", entry("db", ports % ("", "", "")), mesh_config=CAPTURED)


def test_a_host_and_port_has_one_protocol() -> None:
    def port(protocol: str, mark: str = "", export_to: str = "") -> str:
        exported = f"\n  exportTo: {export_to}" if export_to else ""
        return f"  hosts: [api.example]{exported}\n  ports:\n  - {{number: 80, protocol: {protocol}}}{mark}"

    check(
        "serviceentry.ConflictingServiceEntryProtocolAnalyzer",
        entry("a", port("HTTP", "  #! IST0177 ServiceEntry shop/a"))
        + entry("b", port("TCP", "  #! IST0177 ServiceEntry shop/b"))
        + entry("c", port("HTTP", "  #! IST0177 ServiceEntry shop/c")),
    )
    check(
        "serviceentry.ConflictingServiceEntryProtocolAnalyzer",
        entry("a", port("HTTP", export_to="[.]")) + entry("b", port("TCP", export_to="[.]"), "ops"),
    )
