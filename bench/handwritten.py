"""The baseline: two Envoys as one would configure them by hand for one call with mutual TLS, and nothing else.

The first takes plaintext and speaks TLS, the second takes TLS and speaks plaintext to the backend. Each has one HTTP
connection manager with the router, one route, one cluster, certificates from files, and everything else as Envoy has it
by default. What is not policy is as Mizzen starts its own Envoys: the number of workers, the range of TLS versions, keys
of the same kind, identities that both ends check.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from bench.ending import ended
from bench.waiting import eventually
from mizzen.identity.certificates import Validity, new_leaf, new_root
from mizzen.mesh.spiffe import SpiffeId
from mizzen.node.envoy import envoy_path
from mizzen.node.ports import Ports

LOOPBACK = "127.0.0.1"
BODY_BYTES = 1024
_TRUST_DOMAIN = "hand.written"
_TYPE = "type.googleapis.com/"
_TLS = "envoy.extensions.transport_sockets.tls.v3"
_HCM = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
_ROUTER = "envoy.extensions.filters.http.router.v3.Router"


@dataclass(frozen=True)
class Pair:
    """Two Envoys that run: where the first listens, and the processes of both."""

    port: int
    client_pid: int
    server_pid: int


def command(config: Mapping[str, Any]) -> list[str]:
    """Returns the command line of an Envoy with a static configuration, with as many workers as Mizzen's."""
    return [
        *(str(envoy_path()), "--config-yaml", json.dumps(config)),
        *("--concurrency", "1", "--log-level", "warning", "--disable-hot-restart"),
    ]


def backend_config(port: int | str, open_port: int = 0) -> dict[str, Any]:
    """Returns the configuration of the backend: an Envoy that answers 1 kB at once. ``port`` may be ``$(PORT)``.

    It listens on loopback, and at ``open_port``, if that is given, on all addresses.
    """
    answer = {
        "match": {"prefix": "/"},
        "direct_response": {"status": 200, "body": {"inline_string": "x" * BODY_BYTES}},
    }
    listeners = [_listener(port, answer)]
    if open_port:
        listeners.append(_listener(open_port, answer, address="0.0.0.0"))
    return {"static_resources": {"listeners": listeners}}


@contextlib.contextmanager
def pair(folder: Path, backend: int) -> Iterator[Pair]:
    """Runs the two Envoys before a backend on loopback, while the context lasts."""
    with contextlib.closing(Ports()) as ports:
        outer, inner = ports.take(), ports.take()
        server_tls, client_tls = _tls(folder)
        server = _config(folder / "server.sock", _listener(inner, _to("backend"), server_tls), backend)
        client = _config(folder / "client.sock", _listener(outer, _to("backend")), inner, client_tls)
        with (
            _running(server, folder / "server.sock") as at_server,
            _running(client, folder / "client.sock") as at_client,
        ):
            yield Pair(outer, at_client, at_server)


@contextlib.contextmanager
def _running(config: Mapping[str, Any], admin: Path) -> Iterator[int]:
    # A session of its own, as Mizzen's have: the kernel shares the processors out between sessions (autogroup).
    process = subprocess.Popen(command(config), start_new_session=True)
    with ended(process):
        eventually(lambda: _ready(admin), "Envoy is ready")
        yield process.pid


def _ready(admin: Path) -> bool:
    if not admin.exists():
        return False
    with httpx2.Client(transport=httpx2.HTTPTransport(uds=str(admin), verify=False), base_url="http://envoy") as client:
        try:
            return client.get("/ready").status_code == 200
        except httpx2.TransportError:
            return False


def _config(
    admin: Path, listener: Mapping[str, Any], port: int, tls: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    endpoint = {"endpoint": {"address": _address(port)}}
    cluster: dict[str, Any] = {
        "name": "backend",
        "load_assignment": {"cluster_name": "backend", "endpoints": [{"lb_endpoints": [endpoint]}]},
    }
    if tls:
        cluster["transport_socket"] = tls
    return {
        "admin": {"address": {"pipe": {"path": str(admin)}}},
        "static_resources": {"listeners": [listener], "clusters": [cluster]},
    }


def _listener(
    port: int | str, route: Mapping[str, Any], tls: Mapping[str, Any] | None = None, address: str = LOOPBACK
) -> dict[str, Any]:
    manager = {
        "@type": _TYPE + _HCM,
        "stat_prefix": "in",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]},
        "http_filters": [{"name": "envoy.filters.http.router", "typed_config": {"@type": _TYPE + _ROUTER}}],
    }
    chain: dict[str, Any] = {
        "filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]
    }
    if tls:
        chain["transport_socket"] = tls
    return {"address": _address(port, address), "filter_chains": [chain]}


def _to(cluster: str) -> dict[str, Any]:
    return {"match": {"prefix": "/"}, "route": {"cluster": cluster}}


def _address(port: int | str, address: str = LOOPBACK) -> dict[str, Any]:
    return {"socket_address": {"address": address, "port_value": port}}


def _tls(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Makes a root and two workload certificates in the folder; returns the transport sockets of server and client."""
    now = time.time()
    root_key = ec.generate_private_key(ec.SECP256R1())
    root = new_root(root_key, _TRUST_DOMAIN, now)
    (folder / "root.pem").write_bytes(root.public_bytes(Encoding.PEM))
    for name in ("server", "client"):
        key = ec.generate_private_key(ec.SECP256R1())
        valid = Validity(now - 60, now + 86400)
        leaf = new_leaf(key.public_key(), SpiffeId(_TRUST_DOMAIN, "default", name), valid, root_key, root)
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (folder / f"{name}.pem").write_bytes(private + leaf.public_bytes(Encoding.PEM))
    server = _transport_socket(folder, "server", "client", "DownstreamTlsContext")
    server["typed_config"]["require_client_certificate"] = True
    client = _transport_socket(folder, "client", "server", "UpstreamTlsContext")
    client["typed_config"]["sni"] = "backend"
    return server, client


def _transport_socket(folder: Path, own: str, peer: str, context: str) -> dict[str, Any]:
    file = {"filename": str(folder / f"{own}.pem")}
    identity = {"san_type": "URI", "matcher": {"exact": str(SpiffeId(_TRUST_DOMAIN, "default", peer))}}
    common = {
        "tls_params": {"tls_minimum_protocol_version": "TLSv1_2", "tls_maximum_protocol_version": "TLSv1_3"},
        "tls_certificates": [{"certificate_chain": file, "private_key": file}],
        "validation_context": {
            "trusted_ca": {"filename": str(folder / "root.pem")},
            "match_typed_subject_alt_names": [identity],
        },
    }
    return {
        "name": "envoy.transport_sockets.tls",
        "typed_config": {"@type": f"{_TYPE}{_TLS}.{context}", "common_tls_context": common},
    }
