"""What the API says of gateways, which have no application."""

from __future__ import annotations

import msgspec
from tests.support.worlds import instances_of, read
from tests.support.written import gateway, gateway_workload, server
from tests.unit.control.apis import Api, codes

from mizzen.registry.credentials import Credentials
from mizzen.registry.gateways import gateway_secrets, wanted_sockets
from mizzen.registry.reports import FileSecret, GatewaySocket, Report

SECURE = {"mode": "MUTUAL", "serverCertificate": "a.pem", "privateKey": "/k.pem", "caCertificates": "ca.pem"}
TEXTS = (gateway_workload(), gateway("edge", server(), server(443, protocol="HTTPS", tls=SECURE)))


async def run(api: Api) -> None:
    report = Report(node="n", instances=instances_of(read(*TEXTS)))
    said = await api.client.put("/v1/node/report", content=msgspec.json.encode(report))
    assert said.status_code == 200, said.text


async def test_its_log_is_that_of_its_proxy(api: Api) -> None:
    await run(api)
    file = api.settings.log_file("default", "ingress-0", proxy=True)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("it listens\n")
    said = await api.client.get("/v1/logs", params={"name": "ingress"})
    assert "it listens" in said.text


async def test_no_command_runs_beside_it(api: Api) -> None:
    await run(api)
    assert codes(await api.get("/v1/workloads/default/ingress/exec", 409)) == ["Gateway"]


def test_what_its_node_is_to_do() -> None:
    resources = read(*TEXTS)
    gateways = [one for one in resources if one.key.kind == "Gateway"]
    labels = {"istio": "ingressgateway"}
    assert wanted_sockets(gateways, labels) == (
        GatewaySocket(number=80, scheme="http"),
        GatewaySocket(number=443, scheme="https"),
    )
    assert tuple(gateway_secrets(gateways, "default", labels, Credentials())) == (
        FileSecret(name="file-cert:a.pem~/k.pem", certificate="a.pem", key="/k.pem"),
        FileSecret(name="file-root:ca.pem", roots="ca.pem"),
    )
    assert wanted_sockets(gateways, {}) == ()
